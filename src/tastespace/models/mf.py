"""Matrix factorisation: one vector a user, one an item; a like is their inner product.

Koren, Bell and Volinsky 2009, "Matrix factorization techniques for recommender systems". The loss decides more than
anything else: softmax over the whole catalogue by default; sampled softmax, BPR (Rendle et al. 2009) and binary
cross-entropy are there to compare with. Under softmax vectors are compared by angle, each half for itself.

Unlike textbook factorisations, the softmax also learns from what a user met and did not like. The first half of the
coordinates is asked to tell what a user meets at all, and both halves together what they like; a disliked item
weighs more among those that the liked ones must stand above. Without such rows in the log, it is a plain softmax.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tastespace.config import check, option
from tastespace.data.histories import Histories
from tastespace.data.interactions import Interactions
from tastespace.data.queries import Queries
from tastespace.models import losses
from tastespace.models.base import Factored, Options, Shapes
from tastespace.models.fold_in import FoldIn, fit_fold_in
from tastespace.models.negatives import KnownPairs, uniform_negatives

_FEWEST_STEPS = 8  # an epoch: one step over a whole small log would learn next to nothing


@dataclass(frozen=True)
class MFConfig:
    """Width, loss, and what belongs to each loss."""

    dim: int = option(64, "length of the vectors", usual=(16, 512), at_least=2)
    loss: Literal["softmax", "sampled-softmax", "bpr", "bce"] = option(
        "softmax", "softmax over all items or sampled ones, pairwise (bpr) or pointwise (bce)"
    )
    temperature: float = option(1.2, "divides the second half's cosine (softmax)", usual=(0.1, 2), above=0)
    seen_temperature: float = option(0.45, "divides the first half's cosine (softmax)", usual=(0.1, 2), above=0)
    seen_weight: float = option(0.5, "weight of telling what a user meets (softmax)", usual=(0, 2), at_least=0)
    neutral_weight: float = option(0.2, "a neutral row counts as so much of a like (softmax)", at_least=0)
    push: float = option(4.0, "extra weight of an item met but not liked, below the line (softmax)", at_least=0)
    candidates: int = option(1024, "items shared by a step (sampled-softmax)", usual=(256, 4096), at_least=1)
    negatives: int = option(4, "negatives a positive (bpr, bce)", usual=(1, 10), at_least=1)
    l2: float = option(0.01, "L2 on the rows of a step (bpr, bce)", usual=(0, 0.1), at_least=0)

    def __post_init__(self) -> None:
        check(self)

    @property
    def by_angle(self) -> bool:
        """Whether vectors are compared by angle (softmax) or by plain inner product (bpr, bce)."""
        return self.loss in ("softmax", "sampled-softmax")

    @property
    def parts(self) -> tuple[tuple[int, float], ...]:
        """(width, length) of the two halves of a vector under softmax; lengths make cosine / temperature."""
        first = self.dim // 2
        return ((first, self.seen_temperature**-0.5), (self.dim - first, self.temperature**-0.5))


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
    negatives: Tensor  # (P, n) for bpr and bce, (M,) for sampled softmax, else empty
    known: Tensor  # (B, M) shared negatives that the user likes, else empty


class MF(Factored):
    """User and item vectors with biases."""

    about = "matrix factorisation with softmax over the catalogue: the first to try"
    Config = MFConfig
    OPTIONS = Options(epochs=30, batch_size=5500, learning_rate=0.06, patience=5)
    config: MFConfig
    likes: Tensor
    fold: Tensor
    _lists: Histories
    _known: KnownPairs

    def __init__(self, config: MFConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        self.n_bias = 2 if config.loss == "bce" else 1
        self.sigmoid = config.loss == "bce"
        self.user = nn.Parameter(torch.randn(shapes.n_users, config.dim) * 0.1)  # (U, D)
        self.item = nn.Parameter(torch.randn(shapes.n_items, config.dim) * 0.1)  # (N, D)
        self.item_bias = nn.Parameter(torch.zeros(shapes.n_items))  # (N,)
        if config.loss == "bce":
            self.user_bias = nn.Parameter(torch.zeros(shapes.n_users))  # (U,) cancels in any ranking loss
        self.register_buffer("likes", torch.zeros(shapes.n_users, dtype=torch.int32))  # (U,) items liked in training
        self.register_buffer("fold", torch.zeros(shapes.n_items, config.dim))  # (N, D) what an item of a history adds

    def prepare(self, train: Interactions) -> None:
        """Note who has a row worth using; under softmax item biases start at the logarithm of their likes."""
        self._lists = train.histories()
        liked = self._lists.positives()
        self._known = KnownPairs(liked.matrix(train.n_items))
        self.likes = torch.from_numpy(liked.lengths.astype(np.int32))
        if self.config.by_angle:  # against uniform negatives it would look better than what is learnt for too long
            popularity = torch.from_numpy(np.bincount(liked.items, minlength=train.n_items)).float().log1p()
            with torch.no_grad():
                self.item_bias.copy_(popularity - popularity.mean())

    def batches(self, train: Interactions, rng: np.random.Generator, batch_size: int) -> Iterator[Batch]:
        """Users in random order, each with all their rows, about `batch_size` likes a step; small logs in 8 steps."""
        order = rng.permutation(np.flatnonzero(self.likes.cpu().numpy()))
        likes = np.cumsum(self._lists.positives().lengths[order])
        steps = max(_FEWEST_STEPS, round(likes[-1] / batch_size)) if len(order) else 0
        cuts = np.searchsorted(likes, np.arange(1, steps) * (likes[-1] / steps)) if steps else []
        for users in np.split(order, cuts):
            if len(users):
                yield self._batch(users, rng)

    def _batch(self, users: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        lists = self._lists.take(users)
        liked, met = lists.positives(), lists.keep(lists.weights <= 0)
        negatives, known = np.zeros(0, np.int64), np.zeros(0, bool)
        likers = users[liked.rows]  # (P,)
        n_items = self.shapes.n_items
        if self.config.loss in ("bpr", "bce"):
            negatives = uniform_negatives(likers, self.config.negatives, n_items, self._known, rng)
        elif self.config.loss == "sampled-softmax":
            negatives = rng.choice(n_items, min(self.config.candidates, n_items), replace=False)
            known = self._known.contains(users[:, None], negatives[None, :])
        arrays = (
            users,
            liked.rows,
            liked.items.astype(np.int64),
            liked.weights,
            met.rows,
            met.items.astype(np.int64),
            met.weights,
            negatives,
            known,
        )
        return Batch(*(torch.from_numpy(array).to(self.user.device) for array in arrays))

    def loss(self, batch: Batch) -> Tensor:
        """() the configured loss, per like."""
        if self.config.loss == "softmax":
            return self._softmax(batch)
        users = self._scaled(self.user[batch.users])  # (B, D)
        likers = users[batch.rows]  # (P, D)
        items = self._scaled(self.item[batch.items])  # (P, D)
        liked = (likers * items).sum(dim=1) + self.item_bias[batch.items]  # (P,)
        others = self._scaled(self.item[batch.negatives])  # (P, n, D) or (M, D)
        if self.config.loss == "sampled-softmax":
            scores = users @ others.T + self.item_bias[batch.negatives]  # (B, M)
            correction = math.log(self.shapes.n_items / len(batch.negatives))
            return losses.sampled_softmax(liked, batch.rows, scores, batch.known, correction, batch.weight)
        unliked = torch.einsum("pd,pnd->pn", likers, others) + self.item_bias[batch.negatives]  # (P, n)
        squares = likers.square().sum() + items.square().sum() + others.square().sum() / others.shape[1]
        penalty = 0.5 * self.config.l2 * squares / len(liked)
        if self.config.loss == "bpr":
            return losses.bpr(liked, unliked, batch.weight) + penalty
        bias = self.user_bias[batch.users][batch.rows]  # (P,)
        return losses.bce(liked + bias, unliked + bias[:, None], batch.weight) + penalty

    def _softmax(self, batch: Batch) -> Tensor:
        """() likes against the whole catalogue, and what the user met against what they did not."""
        config = self.config
        users, items = self._scaled(self.user[batch.users]), self._scaled(self.item)  # (B, D), (N, D)
        total = float(batch.weight.sum())
        logits = users @ items.T + self.item_bias  # (B, N)
        rows, columns, weight = batch.rows, batch.items, batch.weight
        if len(batch.met_rows) == 0:
            return losses.softmax_per_user(logits, rows, columns, weight, total)
        push = logits.new_full((len(batch.met_rows),), math.log1p(config.push))
        logits.index_put_((batch.met_rows, batch.met_items), push, accumulate=True)
        met = (torch.cat([rows, batch.met_rows]), torch.cat([columns, batch.met_items]))
        counted = torch.cat([weight, torch.where(batch.met_weight < 0, 0.0, config.neutral_weight)])
        liking = losses.softmax_per_user(logits, *met, counted, total)
        first = config.parts[0][0]
        meeting = users[:, :first] @ items[:, :first].T + self.item_bias  # (B, N)
        every = torch.cat([weight, torch.ones_like(batch.met_weight)])
        return liking + config.seen_weight * losses.softmax_per_user(meeting, *met, every, total)

    def _scaled(self, vectors: Tensor) -> Tensor:
        """(..., D) vectors as they enter the inner product: under softmax each half at its fixed length."""
        if not self.config.by_angle:
            return vectors
        halves = vectors.split([width for width, _ in self.config.parts], dim=-1)
        lengths = [length for _, length in self.config.parts]
        return torch.cat([F.normalize(h, dim=-1) * length for h, length in zip(halves, lengths, strict=True)], dim=-1)

    def encode_items(self, features: Tensor | None = None) -> Tensor:
        """(N, D + 1) vectors and bias; under bce a last coordinate of 1 meets the user's bias."""
        parts = [self._scaled(self.item), self.item_bias[:, None]]
        if self.config.loss == "bce":
            parts.append(torch.ones_like(self.item_bias)[:, None])
        return torch.cat(parts, dim=1)

    def encode_users(self, users: Tensor) -> Tensor:
        """(B, D + 1) vectors and a coordinate of 1 that meets the item biases; under bce the user's bias follows."""
        parts = [self._scaled(self.user[users]), self.item_bias.new_ones(len(users), 1)]
        if self.config.loss == "bce":
            parts.append(self.user_bias[users][:, None])
        return torch.cat(parts, dim=1)

    def has_row(self, queries: Queries) -> NDArray[np.bool_]:
        """(B,) whether the user's row was trained, and on just as many likes as the query's history holds."""
        likes = self.likes.cpu().numpy()[queries.users]
        return (queries.users >= 0) & (likes > 0) & (likes == queries.history.positives().lengths)

    @torch.no_grad()
    def finish(self, train: Interactions) -> None:
        """Fit the fold-in to the trained users."""
        items, users = self._scaled(self.item).cpu().numpy(), self._scaled(self.user).cpu().numpy()
        self.fold = torch.from_numpy(fit_fold_in(items, users, self._lists)).to(self.item.device)

    def fold_in(self) -> FoldIn:
        """The mean of the liked items' fold-in vectors, under softmax at the length of a user's vector."""
        tail = [1.0, 0.0] if self.config.loss == "bce" else [1.0]
        parts = self.config.parts if self.config.by_angle else ()
        return FoldIn(self.fold.cpu().numpy(), parts, np.array(tail, dtype=np.float32))


MODEL = MF
