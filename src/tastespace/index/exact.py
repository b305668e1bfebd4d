"""Exact search: every score is computed. Right up to some 200,000 vectors."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from tastespace.index.base import Effort, Neighbours, check_search, check_vectors

_SCORES_AT_ONCE = 16_000_000  # 64 MiB
_NARROW = 0.1  # of the vectors: where fewer are allowed, only theirs are multiplied


class ExactIndex:
    """Inner products with all vectors."""

    kind: ClassVar[str] = "exact"

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self.vectors = vectors

    @property
    def overlay(self) -> int:
        """Nothing is built, so nothing comes after."""
        return 0

    @property
    def nbytes(self) -> int:
        """Nothing."""
        return 0

    @property
    def effort(self) -> Effort:
        """Everything is looked at."""
        return Effort()

    def more(self) -> bool:
        """There is no more."""
        return False

    @classmethod
    def build(cls, vectors: NDArray[np.float32]) -> Self:
        """Index `vectors` (N, D); they are kept as they are, not copied."""
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
        """The `k` best for each of `queries` (B, D), exactly."""
        check_search(self.vectors.shape[1], queries, k)
        listed = None if allow is None else np.flatnonzero(allow)
        narrow = listed is not None and len(listed) <= _NARROW * len(self)
        vectors = self.vectors[listed] if narrow else self.vectors
        indices = np.full((len(queries), k), -1, dtype=np.int64)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        at_once = max(1, _SCORES_AT_ONCE // max(1, len(vectors)))
        for start in range(0, len(queries), at_once):
            block = queries[start : start + at_once] @ vectors.T  # (b, N)
            for row, products in enumerate(block, start):
                # what is not allowed is taken out, not set to -inf: among so many equal scores NumPy selects slowly,
                # 67 ms among a million of which 11 % are allowed, where it now takes 24
                scored = products if listed is None or narrow else products[listed]
                if exclude is not None:
                    scored[exclude[row] if listed is None else _within(listed, exclude[row])] = -np.inf
                best = best_of(scored, k)
                scores[row, : len(best)] = scored[best]
                indices[row, : len(best)] = best if listed is None else listed[best]
        return Neighbours(indices, scores)

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Append vectors; costs a copy of all."""
        self.vectors = np.concatenate([self.vectors, check_vectors(vectors, self.vectors.shape[1])])

    def save(self, folder: Path) -> None:
        """Nothing is built, so nothing is written."""

    @classmethod
    def load(cls, folder: Path, vectors: NDArray[np.float32]) -> Self:
        """The index of the vectors."""
        return cls.build(vectors)


def _within(listed: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where these places stand in an ascending list, those that do."""
    found = np.searchsorted(listed, places)
    there = found < len(listed)
    there[there] = listed[found[there]] == places[there]
    return found[there]


def best_of(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Places of the `k` highest scores above -inf, best first; ties to the lower place."""
    n = len(scores)
    if k < n:
        lowest = np.partition(scores, n - k)[n - k]
        candidates = np.flatnonzero((scores >= lowest) & (scores > -np.inf))
    else:
        candidates = np.flatnonzero(scores > -np.inf)
    order = np.lexsort((candidates, -scores[candidates]))
    return candidates[order[:k]]
