"""Search steps common to approximate indexes: over-fetching, exclusions, allow-lists and unindexed vectors.

An index covers the first M of N vectors; the others were added after it was built, and every search scans them in full.
A subclass finds candidates among the first M. More candidates are requested than needed, hidden ones are dropped, and
where fewer than k remain all vectors are scanned, so that k results come back wherever k exist.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import faiss
import numpy as np
from numpy.typing import NDArray

from tastespace.errors import BundleError
from tastespace.index.base import Neighbours, check_search, check_vectors
from tastespace.index.exact import ExactIndex

Vectors = NDArray[np.float32]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

_NARROW = 0.02  # of the vectors: where fewer are allowed, all of them are scanned
_MANY = 0.25  # of the allowed vectors: where more candidates are needed, all of them are scanned


class ApproximateIndex(ABC):
    """Approximate search of the first `n_indexed` vectors, and exhaustive search of the others."""

    kind: ClassVar[str]

    def __init__(self, vectors: Vectors, n_indexed: int) -> None:
        self.vectors, self.n_indexed = vectors, n_indexed

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def n_unindexed(self) -> int:
        """Number of vectors added since the build, N - M."""
        return len(self.vectors) - self.n_indexed

    @abstractmethod
    def _search_indexed(
        self, queries: Vectors, n_candidates: int, allowed_share: float, allow: Mask | None
    ) -> tuple[Vectors, Indices]:
        """Find candidates among the first M vectors: scores and indices (B, W), unordered, -1 for empty slots.

        They hold what are probably the best `n_candidates`. Where `allow` (M,) is given, only vectors in it are
        candidates; it covers `allowed_share` of all.
        """

    def search(
        self,
        queries: Vectors,
        k: int,
        *,
        exclude: Sequence[Indices] | None = None,
        allow: Mask | None = None,
    ) -> Neighbours:
        """Find the `k` best candidates for each of `queries` (B, D)."""
        check_search(self.vectors.shape[1], queries, k)
        excluded = [np.zeros(0, np.int64)] * len(queries) if exclude is None else exclude
        n_candidates = k + max((len(hidden) for hidden in excluded), default=0)
        allowed_share = 1.0 if allow is None else float(np.count_nonzero(allow)) / max(1, len(self))
        exact = ExactIndex(self.vectors)
        if self._prefers_exact(n_candidates, allowed_share):
            return exact.search(queries, k, exclude=exclude, allow=allow)
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        scores, candidates = self._candidates(queries, n_candidates, allowed_share, allow)
        top, top_scores = (
            np.full((len(queries), k), -1, dtype=np.int64),
            np.full((len(queries), k), -np.inf, np.float32),
        )
        for row, hidden in enumerate(excluded):
            valid = candidates[row] >= 0
            if len(hidden):
                valid &= ~np.isin(candidates[row], hidden)
            row_scores, row_indices = scores[row][valid], candidates[row][valid]
            if len(row_scores) < k:  # too few candidates: scan all vectors
                neighbours = exact.search(queries[row : row + 1], k, exclude=[hidden], allow=allow)
                top[row], top_scores[row] = neighbours.indices[0], neighbours.scores[0]
                continue
            order = np.lexsort((row_indices, -row_scores))[:k]
            top[row], top_scores[row] = row_indices[order], row_scores[order]
        return Neighbours(top, top_scores)

    def _prefers_exact(self, n_candidates: int, allowed_share: float) -> bool:
        """Whether an exact search is faster."""
        return allowed_share <= _NARROW or n_candidates > _MANY * allowed_share * len(self)

    def _candidates(
        self, queries: Vectors, n_candidates: int, allowed_share: float, allow: Mask | None
    ) -> tuple[Vectors, Indices]:
        """Find candidates among all N vectors: scores and indices (B, W)."""
        n = self.n_indexed
        found = []
        if n:
            allow_indexed = None if allow is None else allow[:n]
            found.append(self._search_indexed(queries, min(n_candidates, n), allowed_share, allow_indexed))
        if self.n_unindexed:
            found.append(top_products(queries, self.vectors[n:], np.arange(n, len(self)), n_candidates, allow))
        return concatenated(found)

    def _check_indices(self, indices: Indices) -> None:
        """Refuse indices out of range: the lists on disk are not read at load, so each answer is checked."""
        if indices.max(initial=-1) >= self.n_indexed:
            raise BundleError("the lists of this index name vectors that do not exist; build it again")

    def add(self, vectors: Vectors) -> None:
        """Append vectors, unindexed; copies all vectors."""
        self.vectors = np.concatenate([self.vectors, check_vectors(vectors, self.vectors.shape[1])])


def top_products(
    queries: Vectors, vectors: Vectors, indices: Indices, n: int, allow: Mask | None
) -> tuple[Vectors, Indices]:
    """Scores and indices (B, W) of up to `n` of `vectors` with the largest products, unordered.

    `indices` are those of the vectors in the whole index.
    """
    products = queries @ vectors.T
    if allow is not None:
        allowed = np.flatnonzero(allow[indices])
        products, indices = products[:, allowed], indices[allowed]
    if products.shape[1] <= n:
        return products, np.broadcast_to(indices, products.shape)
    best = np.argpartition(products, products.shape[1] - n, axis=1)[:, -n:]
    return np.take_along_axis(products, best, axis=1), indices[best]


def concatenated(candidates: Sequence[tuple[Vectors, Indices]]) -> tuple[Vectors, Indices]:
    """Concatenate scores and indices of several searches along the second axis."""
    return (
        np.concatenate([scores for scores, _ in candidates], axis=1),
        np.concatenate([indices for _, indices in candidates], axis=1),
    )


def id_selector(allow: Mask | None) -> Any:
    """FAISS selector of the allowed indices, None where all are; indices out of range are not allowed."""
    return None if allow is None else faiss.IDSelectorBitmap(np.packbits(allow, bitorder="little"))
