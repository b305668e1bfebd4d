"""Exact search: computes every score. The default up to 200,000 vectors."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from tastespace.index.base import Neighbours, SearchSettings, check_search, check_vectors

_SCORES_AT_ONCE = 16_000_000  # 64 MiB
_NARROW = 0.1  # of the vectors: where fewer are allowed, only these are multiplied


class ExactIndex:
    """Inner products with all vectors."""

    kind: ClassVar[str] = "exact"

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self.vectors = vectors

    @property
    def n_unindexed(self) -> int:
        """Zero, as nothing is built."""
        return 0

    @property
    def nbytes(self) -> int:
        """Zero."""
        return 0

    @property
    def settings(self) -> SearchSettings:
        """No limits: every search is exhaustive."""
        return SearchSettings()

    def widen(self) -> bool:
        """Return False: every search is exhaustive."""
        return False

    @classmethod
    def build(cls, vectors: NDArray[np.float32]) -> Self:
        """Index `vectors` (N, D), which are referenced, not copied."""
        return cls(check_vectors(vectors))

    def __len__(self) -> int:
        return len(self.vectors)

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        exclude: Sequence[NDArray[np.int64]] | None = None,
        allow: NDArray[np.bool_] | None = None,
    ) -> Neighbours:
        """Find the `k` best vectors for each of `queries` (B, D)."""
        check_search(self.vectors.shape[1], queries, k)
        allowed = None if allow is None else np.flatnonzero(allow)
        narrow = allowed is not None and len(allowed) <= _NARROW * len(self)
        vectors = self.vectors[allowed] if narrow else self.vectors
        indices = np.full((len(queries), k), -1, dtype=np.int64)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        at_once = max(1, _SCORES_AT_ONCE // max(1, len(vectors)))
        for start in range(0, len(queries), at_once):
            block = queries[start : start + at_once] @ vectors.T  # (b, N)
            for row, products in enumerate(block, start):
                # scores that are not allowed are dropped, not set to -inf: NumPy partitions many equal scores slowly,
                # 67 ms for a million of which 11 % are allowed, against 24
                row_scores = products if allowed is None or narrow else products[allowed]
                if exclude is not None:
                    row_scores[exclude[row] if allowed is None else _positions(allowed, exclude[row])] = -np.inf
                best = top_k(row_scores, k)
                scores[row, : len(best)] = row_scores[best]
                indices[row, : len(best)] = best if allowed is None else allowed[best]
        return Neighbours(indices, scores)

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Append vectors; copies all vectors."""
        self.vectors = np.concatenate([self.vectors, check_vectors(vectors, self.vectors.shape[1])])

    def save(self, folder: Path) -> None:
        """Write no files, as nothing is built."""

    @classmethod
    def load(cls, folder: Path, vectors: NDArray[np.float32]) -> Self:
        """Index the vectors; no files are read."""
        return cls.build(vectors)


def _positions(ascending: NDArray[np.int64], indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions in an ascending list of those indices that it holds."""
    positions = np.searchsorted(ascending, indices)
    exists = positions < len(ascending)
    exists[exists] = ascending[positions[exists]] == indices[exists]
    return positions[exists]


def top_k(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Indices of the `k` highest scores above -inf, best first; equal scores rank by ascending index."""
    n = len(scores)
    if k < n:
        lowest = np.partition(scores, n - k)[n - k]
        candidates = np.flatnonzero((scores >= lowest) & (scores > -np.inf))
    else:
        candidates = np.flatnonzero(scores > -np.inf)
    order = np.lexsort((candidates, -scores[candidates]))
    return candidates[order[:k]]
