"""Negative sampling: items that a user is assumed not to like, drawn for a whole batch at once."""

from typing import Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Sampling = Literal["uniform", "popularity", "in-batch", "mixed"]

_ROUNDS = 20


class KnownPairs:
    """(user, item) pairs that must not be drawn, for fast look-up."""

    def __init__(self, matrix: sp.csr_matrix) -> None:
        self._matrix, self._n_items = matrix, matrix.shape[1]
        pairs = matrix.tocoo()
        self._keys = np.sort(pairs.row.astype(np.int64) * self._n_items + pairs.col)

    def contains(self, users: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each pair is known; `users` and `items` broadcast."""
        keys = users * self._n_items + items
        if len(self._keys) == 0:
            return np.zeros(keys.shape, dtype=bool)
        positions = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        known: NDArray[np.bool_] = self._keys[positions] == keys
        return known

    def grid(self, users: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(B, M) whether each pair of `users` (B,) and `items` (M,) is known; either may repeat."""
        known: NDArray[np.bool_] = self._matrix[users][:, items].toarray() != 0
        return known


class Sampler:
    """Sampler of negatives.

    `uniform` over the catalogue; `popularity`: in proportion to positives ** exponent; `in-batch`: among the positives
    of the batch, which is popularity with exponent 1; `mixed`: half in-batch, half uniform (Yang et al. 2020).
    """

    def __init__(self, sampling: Sampling, likes: NDArray[np.int64], exponent: float = 0.75) -> None:
        self.sampling = sampling
        self.n_items = len(likes)
        weights = (likes / max(1, likes.max(initial=0))) ** (exponent if sampling == "popularity" else 1.0)
        if sampling == "popularity" and exponent > 0:
            weights = np.where(likes > 0, weights, 0.0)
        total = weights.sum()
        self._popular = weights / total if total > 0 else np.full(self.n_items, 1 / self.n_items)  # (N,)
        self._cumulative = np.cumsum(self._popular)

    def per_positive(
        self,
        users: NDArray[np.int64],
        items: NDArray[np.int64],
        n: int,
        known: KnownPairs | None,
        rng: np.random.Generator,
    ) -> NDArray[np.int64]:
        """(P, n) items for the positives (`users`, `items`) (P,) of a batch, pairs of `known` drawn again.

        After 20 rounds the rest is drawn uniformly; a user with nearly the whole catalogue may keep a known item.
        """
        drawn = self._draw((len(users), n), items, rng)
        if known is None:
            return drawn
        for rounds_left in range(2 * _ROUNDS, 0, -1):
            rows, columns = np.nonzero(known.contains(users[:, None], drawn))
            if len(rows) == 0:
                break
            n_known = len(rows)
            drawn[rows, columns] = (
                self._draw((n_known,), items, rng) if rounds_left > _ROUNDS else rng.integers(0, self.n_items, n_known)
            )
        return drawn

    def shared(
        self, items: NDArray[np.int64], m: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(M,) items for a whole batch with the positives `items` (P,), and the logarithm of their expected counts.

        Uniform ones are distinct, so at most N; in-batch ones are at most P. Subtracting the
        second array from their scores makes a sum over them an estimate of the sum over the catalogue (logQ).
        """
        if self.sampling == "uniform":
            drawn = rng.choice(self.n_items, min(m, self.n_items), replace=False)
            expected = np.full(len(drawn), len(drawn) / self.n_items)
        elif self.sampling == "popularity":
            drawn = self._draw((m,), items, rng)
            expected = m * self._popular[drawn]
        else:
            from_batch = min(len(items), m if self.sampling == "in-batch" else m // 2)
            from_catalogue = 0 if self.sampling == "in-batch" else m - from_batch
            drawn = np.concatenate(
                [rng.choice(items, from_batch, replace=False), rng.integers(0, self.n_items, from_catalogue)]
            )
            expected = from_batch * self._popular[drawn] + from_catalogue / self.n_items
        return drawn.astype(np.int64), np.log(np.maximum(expected, 1e-12)).astype(np.float32)

    def _draw(self, shape: tuple[int, ...], items: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        if self.sampling == "popularity":
            return np.minimum(np.searchsorted(self._cumulative, rng.random(shape), side="right"), self.n_items - 1)
        if self.sampling == "uniform" or len(items) == 0:
            return rng.integers(0, self.n_items, shape)
        drawn = items[rng.integers(0, len(items), shape)].astype(np.int64)
        if self.sampling == "mixed":
            uniform = rng.integers(0, self.n_items, shape)
            drawn = np.where(rng.random(shape) < 0.5, drawn, uniform)
        return drawn
