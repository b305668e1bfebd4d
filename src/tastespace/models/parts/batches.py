"""Batches of training rows: users in random order, all their rows, and negatives where the loss needs them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tastespace.data.histories import Histories
from tastespace.models.base import Shapes
from tastespace.models.parts.negatives import KnownPairs, Sampler
from tastespace.models.parts.objective import Batch, Objective

_MIN_STEPS = 8  # per epoch: a single step over a whole small log would learn next to nothing


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

    def item_lengths(self) -> Tensor:
        """(N,) lengths of item vectors (see `Objective.item_lengths`)."""
        return self.config.item_lengths(torch.from_numpy(self._popularity))

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


def restrict_to_batch(batch: Batch) -> tuple[Batch, Tensor]:
    """Return the batch over its own items alone, and their indices (M,): for losses with sampled negatives."""
    groups = (batch.items, batch.unliked_items, batch.negatives.flatten())
    distinct, inverse = torch.unique(torch.cat(groups), return_inverse=True)
    liked, unliked, drawn = inverse.split([len(group) for group in groups])
    return replace(batch, items=liked, unliked_items=unliked, negatives=drawn.view_as(batch.negatives)), distinct
