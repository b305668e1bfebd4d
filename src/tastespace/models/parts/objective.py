"""Objective: what the models of two tables learn from, whatever makes their vectors.

A batch is B users with all their rows. Under softmax vectors are compared by angle, each half for itself: the first
half of the coordinates is asked to tell what a user meets at all, and both halves together what they like; an item met
and not liked weighs more among those that the liked ones must stand above, unless it is hidden from its user anyway.
Without low ratings in the log it is plain softmax.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from tastespace.config import check, option
from tastespace.data.histories import Histories
from tastespace.data.split import Split
from tastespace.models.base import Shapes
from tastespace.models.parts import losses
from tastespace.models.parts.losses import Targets
from tastespace.models.parts.negatives import KnownPairs, Sampler, Sampling

_FEWEST_STEPS = 8  # an epoch: one step over a whole small log would learn next to nothing
_NEVER = -30.0  # added to the score of what cannot be an answer


@dataclass(frozen=True)
class Objective:
    """Width, loss, negatives, and what belongs to each loss. The base of a model's config."""

    dim: int = option(64, "length of the vectors", usual=(16, 512), at_least=2)
    loss: Literal["softmax", "sampled-softmax", "bpr", "bce", "gbce"] = option(
        "softmax", "softmax over all items or sampled ones, pairwise (bpr) or pointwise (bce; gbce: not overconfident)"
    )
    temperature: float = option(1.2, "divides the second half's cosine (softmax)", usual=(0.1, 2), above=0)
    interaction_temperature: float = option(0.45, "divides the first half's cosine (softmax)", usual=(0.1, 2), above=0)
    interaction_weight: float = option(0.5, "weight of telling what a user meets (softmax)", usual=(0, 2), at_least=0)
    neutral_weight: float = option(0.2, "a neutral row counts as so much of a like (softmax)", at_least=0)
    low_rated: Literal["auto", "ranked", "hidden"] = option(
        "auto", "items met but not liked stay in the ranking, so must stand low, or are hidden; auto: as the split says"
    )
    hard_negative_weight: float = option(
        4.0, "their extra weight below the line, where they are ranked (softmax)", at_least=0
    )
    sampling: Sampling = option("uniform", "where negatives come from (all but softmax)")
    sampling_exponent: float = option(0.75, "of likes, where sampling is by popularity", usual=(0, 1), at_least=0)
    allow_false_negatives: bool = option(False, "let a known positive be drawn as a negative")
    shared_negatives: int = option(1024, "items shared by a step (sampled-softmax)", usual=(256, 4096), at_least=1)
    negatives: int = option(4, "negatives a positive (bpr, bce, gbce)", usual=(1, 10), at_least=1)
    calibration: float = option(
        0.75, "0: plain bce, 1: probabilities as over the whole catalogue (gbce)", at_least=0, at_most=1
    )
    l2: float = option(0.01, "L2 on the vectors of a step (bpr, bce, gbce)", usual=(0, 0.1), at_least=0)

    def __post_init__(self) -> None:
        check(self)

    def resolve(self, split: Split) -> Self:
        """With "auto" settled by what the split hides."""
        if self.low_rated != "auto":
            return self
        return replace(self, low_rated="hidden" if split.hidden == "seen" else "ranked")

    @property
    def pushed(self) -> float:
        """Added to the score of an item met but not liked, below the line."""
        return 0.0 if self.low_rated == "hidden" else math.log1p(self.hard_negative_weight)

    @property
    def by_angle(self) -> bool:
        """Whether vectors are compared by angle (softmax) or by plain inner product (bpr, bce, gbce)."""
        return self.loss in ("softmax", "sampled-softmax")

    @property
    def halves(self) -> tuple[tuple[int, float], ...]:
        """(width, length) of the two halves of a vector under softmax; lengths make cosine / temperature."""
        first = self.dim // 2
        return ((first, self.interaction_temperature**-0.5), (self.dim - first, self.temperature**-0.5))

    def scaled(self, vectors: Tensor) -> Tensor:
        """(..., D) vectors as they enter the inner product: under softmax each half at its fixed length."""
        if not self.by_angle:
            return vectors
        halves = vectors.split([width for width, _ in self.halves], dim=-1)
        lengths = [length for _, length in self.halves]
        return torch.cat([F.normalize(h, dim=-1) * length for h, length in zip(halves, lengths, strict=True)], dim=-1)


@dataclass(frozen=True)
class Batch:
    """B users with what they liked (P rows: place among the users, item, weight) and met without liking (S rows)."""

    users: Tensor  # (B,)
    rows: Tensor  # (P,)
    items: Tensor  # (P,)
    weight: Tensor  # (P,)
    met_rows: Tensor  # (S,)
    met_items: Tensor  # (S,)
    met_weight: Tensor  # (S,) 0 neutral, below 0 disliked
    negatives: Tensor  # (P, n) for bpr, bce and gbce, (M,) for sampled softmax, else empty
    log_expected: Tensor  # (M,) for sampled softmax, else empty
    hit: Tensor  # (B, M) shared negatives that the user likes, else empty
    told_rows: Tensor  # (T,) what was told with a question, and is not asked for (softmax), else empty
    told_items: Tensor  # (T,)
    told_liked: Tensor  # (T,) bool
    meets: bool = field(kw_only=True)  # whether users of the log meet what they do not like; if not, liking is all


def narrowed(batch: Batch) -> tuple[Batch, Tensor]:
    """The batch over the items that it holds alone, and which ones (M,) they are: for losses that sample."""
    parts = (batch.items, batch.met_items, batch.negatives.flatten())
    held, place = torch.unique(torch.cat(parts), return_inverse=True)
    liked, met, drawn = place.split([len(part) for part in parts])
    return replace(batch, items=liked, met_items=met, negatives=drawn.view_as(batch.negatives)), held


def step_bytes(config: Objective, shapes: Shapes, questions: int) -> int:
    """Forecast of what a step over so many questions takes beside the tables: scores, vectors and their gradients.

    Scores of the whole catalogue are made some at a time; those of sampled items are held, with those of likes and
    negatives.
    """
    vectors = 4 * 4 * config.dim * (questions + shapes.n_items)
    if config.loss == "softmax":
        return vectors + min(max(losses.SCRATCH_BYTES, 4 * shapes.n_items), 4 * questions * shapes.n_items)
    return vectors + 4 * 4 * questions * (config.shared_negatives + config.negatives * config.dim)


def users_a_step(batch_size: int, shapes: Shapes, n_rows: int) -> int:
    """How many users the batches of a log hold, on average."""
    return min(shapes.n_users, shapes.n_users * batch_size // max(1, n_rows) + 1)


def steps(order: NDArray[np.int64], sizes: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    """`order` (M,) cut into steps of about `batch_size` in all of `sizes` (M,) each; 8 at least, none of them empty."""
    if len(order) == 0:
        return []
    total = np.cumsum(sizes)
    count = max(_FEWEST_STEPS, round(total[-1] / batch_size))
    cuts = np.searchsorted(total, np.arange(1, count) * (total[-1] / count))
    return [part for part in np.split(order, cuts) if len(part)]


class Batches:
    """The training rows of a log, user by user."""

    def __init__(self, config: Objective, lists: Histories, n_items: int) -> None:
        self.config = config
        self.lists = lists
        liked = lists.positives()
        self.n_positives = liked.lengths  # (U,)
        self._known = KnownPairs(liked.matrix(n_items))
        self._meets = bool((lists.weights <= 0).any())
        self._popularity = np.bincount(liked.items, minlength=n_items)  # (N,)
        self._sampler = Sampler(config.sampling, self._popularity, config.sampling_exponent)

    def log_popularity(self) -> Tensor:
        """(N,) logarithm of one more than the likes of each item, around zero: where item biases start."""
        found = torch.from_numpy(self._popularity).float().log1p()
        return found - found.mean()

    def users(self, rng: np.random.Generator, batch_size: int) -> Iterator[NDArray[np.int64]]:
        """Users with likes in random order, about `batch_size` likes a step; small logs in 8 steps."""
        order = rng.permutation(np.flatnonzero(self.n_positives))
        return iter(steps(order, self.n_positives[order], batch_size))

    def of(self, users: NDArray[np.int64], rng: np.random.Generator, device: torch.device) -> Batch:
        """All rows of some users, with negatives where the loss needs them."""
        return self.asking(users, self.lists.take(users), rng, device)

    def asking(
        self,
        users: NDArray[np.int64],
        lists: Histories,
        rng: np.random.Generator,
        device: torch.device,
        told: Histories | None = None,
    ) -> Batch:
        """A batch of B questions, of `users` (B,) (a user may ask several), whose answers are `lists`.

        What was `told` with a question (B lists) is no wrong answer to it, as it will not be recommended.
        """
        config = self.config
        liked, met = lists.positives(), lists.keep(lists.weights <= 0)
        likers, items = users[liked.rows], liked.items.astype(np.int64)  # (P,)
        negatives, log_expected, hit = np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros((0, 0), bool)
        if config.loss in ("bpr", "bce", "gbce"):
            known = None if config.allow_false_negatives else self._known
            negatives = self._sampler.per_positive(likers, items, config.negatives, known, rng)
        elif config.loss == "sampled-softmax":
            negatives, log_expected = self._sampler.shared(items, config.shared_negatives, rng)
            askers, place = np.unique(users, return_inverse=True)
            hit = self._known.grid(askers, negatives)[place]
        arrays: list[NDArray[Any]] = [users, liked.rows, items, liked.weights]
        arrays += [met.rows, met.items.astype(np.int64), met.weights, negatives, log_expected, hit]
        told = lists.take(np.zeros(0, np.int64)) if told is None or config.loss != "softmax" else told
        arrays += [told.rows, told.items.astype(np.int64), told.weights > 0]
        return Batch(*(torch.from_numpy(array).to(device) for array in arrays), meets=self._meets)


def loss(
    config: Objective,
    batch: Batch,
    users: Tensor,
    items: Tensor,
    item_bias: Tensor,
    user_bias: Tensor | None = None,
    *,
    gain: Tensor | None = None,
    n_items: int | None = None,
) -> Tensor:
    """() the configured loss of a batch, per like; 0 for a batch of none where nothing else is learnt from.

    `users` (B, D) are the raw vectors of the batch's users, `items` (N, D) and `item_bias` (N,) of the catalogue;
    `user_bias` (B,) counts under bce alone, as it cancels in any ranking loss. `gain` (D,) multiplies the scaled user
    vectors: a learnt temperature. `n_items` is the catalogue's size where `items` holds only those of the batch.
    """
    users = config.scaled(users) if gain is None else config.scaled(users) * gain
    if config.loss == "softmax":
        items = config.scaled(items)
        first = config.halves[0][0]
        return softmax_loss(
            config,
            batch,
            lambda targets: losses.softmax_of_products(users, items, item_bias, targets),
            lambda targets: losses.softmax_of_products(users[:, :first], items[:, :first], item_bias, targets),
        )
    if len(batch.rows) == 0:
        return users.sum() * 0.0
    likers, liked_items = users[batch.rows], config.scaled(items[batch.items])  # (P, D)
    drawn = config.scaled(items[batch.negatives])  # (P, n, D) or (M, D)
    liked = (likers * liked_items).sum(dim=1) + item_bias[batch.items]  # (P,)
    bias = item_bias[batch.negatives]
    if config.loss == "sampled-softmax":
        return sampled_loss(config, batch, liked, users @ drawn.T + bias)  # (B, M)
    unliked = torch.einsum("pd,pnd->pn", likers, drawn) + bias
    if config.loss == "bce" and user_bias is not None:
        liked, unliked = liked + user_bias[batch.rows], unliked + user_bias[batch.rows][:, None]
    squares = likers.square().sum() + liked_items.square().sum() + drawn.square().sum() / drawn.shape[1]
    penalty = 0.5 * config.l2 * squares / len(liked)
    return sampled_loss(config, batch, liked, unliked, n_items or len(items)) + penalty


def sampled_loss(config: Objective, batch: Batch, liked: Tensor, others: Tensor, n_items: int = 0) -> Tensor:
    """() a loss of the scores of likes (P,) and of what was drawn: (B, M) for sampled softmax, else (P, n).

    `n_items` is the catalogue's size (gbce).
    """
    if config.loss == "sampled-softmax":
        rows, hit = batch.rows, batch.hit
        if config.allow_false_negatives:  # one row of candidates a like: only the like itself is an accidental hit
            others, hit = others[rows], batch.items[:, None] == batch.negatives
            rows = torch.arange(len(rows), device=rows.device)
        return losses.sampled_softmax(liked, rows, others, hit, batch.log_expected, batch.weight)
    if config.loss == "bpr":
        return losses.bpr(liked, others, batch.weight)
    if config.loss == "gbce":
        return losses.gbce(liked, others, batch.weight, n_items, config.calibration)
    return losses.bce(liked, others, batch.weight)


def softmax_loss(
    config: Objective,
    batch: Batch,
    liking: Callable[[Targets], Tensor],
    meeting: Callable[[Targets], Tensor] | None,
) -> Tensor:
    """() likes against the whole catalogue, and what the user met against what they did not.

    `liking` and `meeting` give the softmax cross-entropy () of targets among the scores of being liked, and of being
    met at all; without `meeting` the second part is left out.
    """
    total = float(batch.weight.sum()) or 1.0
    told = _told(batch, _NEVER if config.low_rated == "hidden" else config.pushed)
    if not batch.meets:
        return liking(Targets(batch.rows, batch.items, batch.weight, total, None, *told))
    rows, columns = torch.cat([batch.rows, batch.met_rows]), torch.cat([batch.items, batch.met_items])
    counted = torch.cat([batch.weight, torch.where(batch.met_weight < 0, 0.0, config.neutral_weight)])
    pushed = torch.cat([torch.zeros_like(batch.weight), torch.full_like(batch.met_weight, config.pushed)])
    found = liking(Targets(rows, columns, counted, total, pushed if config.pushed > 0 else None, *told))
    if meeting is None or config.interaction_weight == 0:
        return found
    every = torch.cat([batch.weight, torch.ones_like(batch.met_weight)])
    return found + config.interaction_weight * meeting(
        Targets(rows, columns, every, total, None, *_told(batch, _NEVER))
    )


def _told(batch: Batch, unliked: float) -> tuple[Tensor, Tensor, Tensor]:
    """(row, item) pairs (T,) that a question told, and (T,) what is added to their scores.

    A like will not be shown again; what was told and not liked gets `unliked`.
    """
    lift = torch.where(batch.told_liked, _NEVER, unliked).to(batch.weight)
    return batch.told_rows, batch.told_items, lift
