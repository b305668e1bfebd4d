"""Objective: the training loss of models whose score is the product of a user and an item vector.

A batch is B users with all their rows. Under softmax vectors are compared by angle, each half separately: the first
half of the coordinates predicts which items a user interacts with at all, both halves together which ones they like. An
item seen but not liked weighs more among the negatives, unless it is hidden from its user anyway. Without low ratings
in the log it is plain softmax.
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

_MIN_STEPS = 8  # per epoch: a single step over a whole small log would learn next to nothing
_EXCLUDED = -30.0  # added to the score of an item that cannot be an answer


@dataclass(frozen=True)
class Objective:
    """Dimension, loss, negatives, and the options of each loss. The base of a model's config."""

    dim: int = option(64, "embedding dimension", usual=(16, 512), at_least=2)
    loss: Literal["softmax", "sampled-softmax", "bpr", "bce", "gbce"] = option(
        "softmax", "softmax over all items or sampled ones, pairwise (bpr) or pointwise (bce; gbce: not overconfident)"
    )
    temperature: float = option(
        1.2,
        "softmax temperature τ of the second half of the coordinates, which predicts positives",
        usual=(0.1, 2),
        above=0,
    )
    interaction_temperature: float = option(
        0.45, "softmax temperature τ of the first half, which predicts any interaction", usual=(0.1, 2), above=0
    )
    interaction_weight: float = option(
        0.5, "weight of the loss of any interaction, relative to that of positives (softmax)", usual=(0, 2), at_least=0
    )
    neutral_weight: float = option(0.2, "weight of a neutral row, relative to a positive (softmax)", at_least=0)
    low_rated: Literal["auto", "ranked", "hidden"] = option(
        "auto",
        "items seen but not liked: ranked (hard negatives) or hidden; auto: as the split evaluates them",
    )
    hard_negative_weight: float = option(
        4.0, "extra weight of ranked items seen but not liked, in the softmax denominator", at_least=0
    )
    sampling: Sampling = option("uniform", "distribution of negatives (all losses but softmax)")
    sampling_exponent: float = option(0.75, "exponent of popularity in popularity sampling", usual=(0, 1), at_least=0)
    allow_false_negatives: bool = option(False, "allow positives of the user to be drawn as negatives")
    shared_negatives: int = option(
        1024, "negatives shared by all positives of a step (sampled-softmax)", usual=(256, 4096), at_least=1
    )
    negatives: int = option(4, "negatives per positive (bpr, bce, gbce)", usual=(1, 10), at_least=1)
    calibration: float = option(
        0.75, "t: 0 is plain bce, 1 gives calibrated probabilities (gbce)", at_least=0, at_most=1
    )
    l2: float = option(
        0.01, "L2 regularisation λ of the vectors of a step (bpr, bce, gbce)", usual=(0, 0.1), at_least=0
    )

    def __post_init__(self) -> None:
        check(self)

    def resolve(self, split: Split) -> Self:
        """Resolve "auto" by what the split hides from the ranking."""
        if self.low_rated != "auto":
            return self
        return replace(self, low_rated="hidden" if split.hidden == "seen" else "ranked")

    @property
    def unliked_offset(self) -> float:
        """Offset of the score of an item seen and not liked, in the denominator."""
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
    """B queries with their positives (P rows: query, item, weight) and items seen but not liked (S rows)."""

    users: Tensor  # (B,)
    rows: Tensor  # (P,)
    items: Tensor  # (P,)
    weight: Tensor  # (P,)
    unliked_rows: Tensor  # (S,)
    unliked_items: Tensor  # (S,)
    unliked_weight: Tensor  # (S,) 0 neutral, below 0 disliked
    negatives: Tensor  # (P, n) for bpr, bce and gbce, (M,) for sampled softmax, else empty
    log_expected: Tensor  # (M,) for sampled softmax, else empty
    accidental_hit: Tensor  # (B, M) shared negatives that are positives of the query's user, else empty
    given_rows: Tensor  # (T,) history that a query gives, excluded from its answers (softmax), else empty
    given_items: Tensor  # (T,)
    given_positive: Tensor  # (T,) bool
    has_unliked: bool = field(kw_only=True)  # whether the log has rows that are not positive


def restrict_to_batch(batch: Batch) -> tuple[Batch, Tensor]:
    """Return the batch over its own items alone, and their indices (M,): for losses with sampled negatives."""
    groups = (batch.items, batch.unliked_items, batch.negatives.flatten())
    distinct, inverse = torch.unique(torch.cat(groups), return_inverse=True)
    liked, unliked, drawn = inverse.split([len(group) for group in groups])
    return replace(batch, items=liked, unliked_items=unliked, negatives=drawn.view_as(batch.negatives)), distinct


def step_bytes(config: Objective, shapes: Shapes, n_queries: int) -> int:
    """Forecast the bytes of a step over `n_queries` beside the tables: scores, vectors and their gradients.

    Scores of the whole catalogue are computed in pieces; those of sampled items are held as a whole.
    """
    vectors = 4 * 4 * config.dim * (n_queries + shapes.n_items)
    if config.loss == "softmax":
        return vectors + min(max(losses.SCRATCH_BYTES, 4 * shapes.n_items), 4 * n_queries * shapes.n_items)
    return vectors + 4 * 4 * n_queries * (config.shared_negatives + config.negatives * config.dim)


def users_per_step(batch_size: int, shapes: Shapes, n_rows: int) -> int:
    """Average number of users in a batch."""
    return min(shapes.n_users, shapes.n_users * batch_size // max(1, n_rows) + 1)


def steps(order: NDArray[np.int64], sizes: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    """Cut `order` (M,) into steps of about `batch_size` in sum of `sizes` (M,); at least 8 steps, none empty."""
    if len(order) == 0:
        return []
    total = np.cumsum(sizes)
    count = max(_MIN_STEPS, round(total[-1] / batch_size))
    cuts = np.searchsorted(total, np.arange(1, count) * (total[-1] / count))
    return [part for part in np.split(order, cuts) if len(part)]


class Batches:
    """Training rows grouped by user, and the batches drawn from them."""

    def __init__(self, config: Objective, lists: Histories, n_items: int) -> None:
        self.config = config
        self.lists = lists
        liked = lists.positives()
        self.n_positives = liked.lengths  # (U,)
        self._known = KnownPairs(liked.matrix(n_items))
        self._has_unliked = bool((lists.weights <= 0).any())
        self._popularity = np.bincount(liked.items, minlength=n_items)  # (N,)
        self._sampler = Sampler(config.sampling, self._popularity, config.sampling_exponent)

    def log_popularity(self) -> Tensor:
        """(N,) centred log(1 + positives) of each item: the initial item biases."""
        log_counts = torch.from_numpy(self._popularity).float().log1p()
        return log_counts - log_counts.mean()

    def users(self, rng: np.random.Generator, batch_size: int) -> Iterator[NDArray[np.int64]]:
        """Users with positives in random order, about `batch_size` positives a step; small logs in 8 steps."""
        order = rng.permutation(np.flatnonzero(self.n_positives))
        return iter(steps(order, self.n_positives[order], batch_size))

    def of(self, users: NDArray[np.int64], rng: np.random.Generator, device: torch.device) -> Batch:
        """Batch of all rows of the `users`, with negatives where the loss needs them."""
        return self.for_queries(users, self.lists.take(users), rng, device)

    def for_queries(
        self,
        users: NDArray[np.int64],
        lists: Histories,
        rng: np.random.Generator,
        device: torch.device,
        given: Histories | None = None,
    ) -> Batch:
        """Batch of B queries of `users` (B,), who may have several each, with the answers `lists`.

        Items of the `given` histories (B lists) are no negatives of their query, as they will not be recommended.
        """
        config = self.config
        liked, unliked = lists.positives(), lists.keep(lists.weights <= 0)
        positive_users, items = users[liked.rows], liked.items.astype(np.int64)  # (P,)
        negatives, log_expected, hit = np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros((0, 0), bool)
        if config.loss in ("bpr", "bce", "gbce"):
            known = None if config.allow_false_negatives else self._known
            negatives = self._sampler.per_positive(positive_users, items, config.negatives, known, rng)
        elif config.loss == "sampled-softmax":
            negatives, log_expected = self._sampler.shared(items, config.shared_negatives, rng)
            distinct, inverse = np.unique(users, return_inverse=True)
            hit = self._known.grid(distinct, negatives)[inverse]
        arrays: list[NDArray[Any]] = [users, liked.rows, items, liked.weights]
        arrays += [unliked.rows, unliked.items.astype(np.int64), unliked.weights, negatives, log_expected, hit]
        if given is None or config.loss != "softmax":
            given = lists.take(np.zeros(0, np.int64))
        arrays += [given.rows, given.items.astype(np.int64), given.weights > 0]
        return Batch(*(torch.from_numpy(array).to(device) for array in arrays), has_unliked=self._has_unliked)


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
    """() the configured loss of a batch, per positive; 0 for a batch of none.

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
    positive_users, liked_items = users[batch.rows], config.scaled(items[batch.items])  # (P, D)
    drawn = config.scaled(items[batch.negatives])  # (P, n, D) or (M, D)
    liked = (positive_users * liked_items).sum(dim=1) + item_bias[batch.items]  # (P,)
    bias = item_bias[batch.negatives]
    if config.loss == "sampled-softmax":
        return sampled_loss(config, batch, liked, users @ drawn.T + bias)  # (B, M)
    unliked = torch.einsum("pd,pnd->pn", positive_users, drawn) + bias
    if config.loss == "bce" and user_bias is not None:
        liked, unliked = liked + user_bias[batch.rows], unliked + user_bias[batch.rows][:, None]
    squares = positive_users.square().sum() + liked_items.square().sum() + drawn.square().sum() / drawn.shape[1]
    penalty = 0.5 * config.l2 * squares / len(liked)
    return sampled_loss(config, batch, liked, unliked, n_items or len(items)) + penalty


def sampled_loss(config: Objective, batch: Batch, liked: Tensor, others: Tensor, n_items: int = 0) -> Tensor:
    """() a loss of the scores of positives (P,) and negatives: (B, M) for sampled softmax, else (P, n).

    `n_items` is the catalogue's size (gbce).
    """
    if config.loss == "sampled-softmax":
        rows, hit = batch.rows, batch.accidental_hit
        if (
            config.allow_false_negatives
        ):  # one row of candidates per positive: only the positive itself is an accidental hit
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
    preference_loss: Callable[[Targets], Tensor],
    interaction_loss: Callable[[Targets], Tensor] | None,
) -> Tensor:
    """() softmax loss of positives against the whole catalogue, and of all interactions against it.

    `preference_loss` and `interaction_loss` give the softmax cross-entropy () of targets among the scores of being
    liked, and of being interacted with at all; without `interaction_loss` the second term is left out.
    """
    total = float(batch.weight.sum()) or 1.0
    given = _given_offsets(batch, _EXCLUDED if config.low_rated == "hidden" else config.unliked_offset)
    if not batch.has_unliked:
        return preference_loss(Targets(batch.rows, batch.items, batch.weight, total, None, *given))
    rows, columns = torch.cat([batch.rows, batch.unliked_rows]), torch.cat([batch.items, batch.unliked_items])
    counted = torch.cat([batch.weight, torch.where(batch.unliked_weight < 0, 0.0, config.neutral_weight)])
    unliked_offset = torch.cat(
        [torch.zeros_like(batch.weight), torch.full_like(batch.unliked_weight, config.unliked_offset)]
    )
    loss = preference_loss(
        Targets(rows, columns, counted, total, unliked_offset if config.unliked_offset > 0 else None, *given)
    )
    if interaction_loss is None or config.interaction_weight == 0:
        return loss
    every = torch.cat([batch.weight, torch.ones_like(batch.unliked_weight)])
    return loss + config.interaction_weight * interaction_loss(
        Targets(rows, columns, every, total, None, *_given_offsets(batch, _EXCLUDED))
    )


def _given_offsets(batch: Batch, unliked: float) -> tuple[Tensor, Tensor, Tensor]:
    """(row, item) pairs (T,) of the given histories, and offsets (T,) of their scores.

    A positive will not be shown again; a given item that was not liked gets `unliked`.
    """
    offset = torch.where(batch.given_positive, _EXCLUDED, unliked).to(batch.weight)
    return batch.given_rows, batch.given_items, offset
