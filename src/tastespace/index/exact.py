"""Exact search: every score is computed. Right up to some 200,000 vectors."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from tastespace.errors import BundleError, OptionError
from tastespace.index.base import Neighbours

_SCORES_AT_ONCE = 16_000_000  # 64 MiB


class ExactIndex:
    """Inner products with all vectors."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self.vectors = vectors

    @classmethod
    def build(cls, vectors: NDArray[np.float32]) -> Self:
        """Index `vectors` (N, D); they are kept as they are, not copied."""
        if vectors.ndim != 2:
            raise OptionError(f"vectors (N, D) are expected, not an array of {vectors.ndim} dimensions")
        return cls(np.asarray(vectors, dtype=np.float32))

    def __len__(self) -> int:
        return len(self.vectors)

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        exclude: Sequence[NDArray[np.int64]] | None = None,
        allow: NDArray[np.int64] | None = None,
    ) -> Neighbours:
        """The `k` best for each of `queries` (B, D), exactly."""
        if k < 1:
            raise OptionError(f"k is {k}, but at least 1 is expected")
        if queries.ndim != 2 or queries.shape[1] != self.vectors.shape[1]:
            raise OptionError(f"queries of width {self.vectors.shape[1]} are expected, not shape {queries.shape}")
        places = np.arange(len(self), dtype=np.int64) if allow is None else np.unique(allow)
        vectors = self.vectors if allow is None else self.vectors[places]
        indices = np.full((len(queries), k), -1, dtype=np.int64)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        at_once = max(1, _SCORES_AT_ONCE // max(1, len(vectors)))
        for start in range(0, len(queries), at_once):
            block = queries[start : start + at_once] @ vectors.T  # (b, N)
            for row, scored in enumerate(block, start):
                if exclude is not None:
                    hide(scored, places, exclude[row], everything=allow is None)
                best = best_of(scored, k)
                indices[row, : len(best)], scores[row, : len(best)] = places[best], scored[best]
        return Neighbours(indices, scores)

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Append vectors; costs a copy of the index."""
        if vectors.ndim != 2 or vectors.shape[1] != self.vectors.shape[1]:
            raise OptionError(f"vectors of width {self.vectors.shape[1]} are expected, not shape {vectors.shape}")
        self.vectors = np.concatenate([self.vectors, vectors.astype(np.float32)])

    def save(self, path: Path) -> None:
        """Write the vectors as safetensors."""
        save_file({"vectors": np.ascontiguousarray(self.vectors)}, path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; anything else raises `BundleError`."""
        try:
            return cls.build(load_file(path)["vectors"])
        except (OSError, SafetensorError, KeyError, OptionError, TypeError, AttributeError) as error:
            # the last two: a tensor of a type that numpy does not know, such as bfloat16
            raise BundleError(f"{path} is not an exact index") from error


def hide(
    scores: NDArray[np.float32], places: NDArray[np.int64], exclude: NDArray[np.int64], *, everything: bool
) -> None:
    """Set the scores of excluded indices to -inf; `places` says which index each score belongs to."""
    if everything:
        scores[exclude] = -np.inf
    else:
        scores[np.isin(places, exclude)] = -np.inf


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
