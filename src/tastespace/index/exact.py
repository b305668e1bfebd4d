"""Exact search: every score is computed. Right up to some 200,000 vectors."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from tastespace.index.base import Neighbours, check_search, check_vectors

_SCORES_AT_ONCE = 16_000_000  # 64 MiB
_NARROW = 0.1  # of the vectors: where fewer are allowed, only theirs are multiplied


class ExactIndex:
    """Inner products with all vectors."""

    kind: ClassVar[str] = "exact"

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self.vectors = vectors

    @property
    def nbytes(self) -> int:
        """Nothing."""
        return 0

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
        listed, outside = None, None
        if allow is not None:
            if np.count_nonzero(allow) > _NARROW * len(self):
                outside = ~allow
            else:
                listed = np.flatnonzero(allow)
        vectors = self.vectors if listed is None else self.vectors[listed]
        indices = np.full((len(queries), k), -1, dtype=np.int64)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        at_once = max(1, _SCORES_AT_ONCE // max(1, len(vectors)))
        for start in range(0, len(queries), at_once):
            block = queries[start : start + at_once] @ vectors.T  # (b, N)
            for row, scored in enumerate(block, start):
                if outside is not None:
                    scored[outside] = -np.inf
                if exclude is not None:
                    scored[exclude[row] if listed is None else np.isin(listed, exclude[row])] = -np.inf
                best = best_of(scored, k)
                scores[row, : len(best)] = scored[best]
                indices[row, : len(best)] = best if listed is None else listed[best]
        return Neighbours(indices, scores)

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Append vectors; costs a copy of the index."""
        self.vectors = np.concatenate([self.vectors, check_vectors(vectors, self.vectors.shape[1])])

    def save(self, folder: Path) -> None:
        """Nothing is built, so nothing is written."""

    @classmethod
    def load(cls, folder: Path, vectors: NDArray[np.float32]) -> Self:
        """The index of the vectors."""
        return cls.build(vectors)


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
