"""Inverted lists of short codes (see `lists`): a quarter of a byte a coordinate, and what is found is scored again.

A vector less its list's promise is cut into pieces, and each is replaced by the nearest of 256 (Jegou, Douze, Schmid
2011, "Product quantization for nearest neighbor search"): one byte a piece, some 4 coordinates. The codes choose
candidates, the vectors themselves score them, so scores are exact.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import faiss
import numpy as np
from numpy.typing import NDArray

from tastespace.index.approximate import Places, Vectors
from tastespace.index.base import Effort
from tastespace.index.ivf import InvertedIndex, is_number
from tastespace.index.lists import Arrangement, Lists, padded

_WORDS = 256  # that a byte can tell apart
_BYTES_FOR = 32  # coordinates are told in 8 bytes: codes of whole words keep the places after them aligned
_RESCORED = 64  # candidates more than are wanted
_MOST_RESCORED = 2**20
_SAMPLE, _ROUNDS = 100, 10  # vectors a word that k-means looks at, and how often
_FAST_WIDTH = 8  # FAISS's k-means takes ten times as long over 4 coordinates as over 8


class QuantisedIndex(InvertedIndex):
    """Search by head and lists of codes; `lists.safetensors` holds `codebooks` (P, 256, W) and `rescored` (1,) too."""

    kind: ClassVar[str] = "pq"

    def __init__(self, vectors: Vectors, lists: Lists, n_indexed: int) -> None:
        """Use `build` or `load`."""
        super().__init__(vectors, lists, n_indexed)
        self.rescored = int(lists.tables["rescored"][0])

    @property
    def effort(self) -> Effort:
        """The same, and how many candidates more than are wanted are scored again."""
        return replace(super().effort, rescored=self.rescored)

    def more(self) -> bool:
        """Look at twice as many lists, and score twice as many of what they hold again."""
        before = self.rescored
        self.rescored = min(2 * self.rescored, max(_RESCORED, self.n_indexed), _MOST_RESCORED)
        return super().more() or self.rescored > before

    @staticmethod
    def _code_size(dim: int) -> int:
        return 8 * max(1, -(-dim // _BYTES_FOR))

    @classmethod
    def _learnt(cls, vectors: Vectors, plan: Arrangement) -> dict[str, NDArray[Any]]:
        pieces, width = _cut(vectors.shape[1])
        chosen = np.arange(len(plan.tail))
        if len(chosen) > _SAMPLE * _WORDS:
            chosen = np.sort(np.random.default_rng(0).choice(len(chosen), _SAMPLE * _WORDS, replace=False))
        rests = padded(vectors[plan.tail[chosen]] - plan.promises[plan.list_of[chosen]], pieces * width)
        books = [_words(rests[:, start : start + width]) for start in range(0, pieces * width, width)]
        return {"codebooks": np.stack(books), "rescored": np.array([_RESCORED])}

    @classmethod
    def _fits(cls, tables: Mapping[str, NDArray[Any]], n_lists: int, vectors: Vectors) -> bool:
        books = tables.get("codebooks")
        pieces, width = _cut(vectors.shape[1])
        return (
            super()._fits(tables, n_lists, vectors)
            and is_number(tables.get("rescored"), _MOST_RESCORED)
            and books is not None
            and books.dtype == np.float32
            and books.shape == (pieces, _WORDS, width)
            and bool(np.isfinite(books).all())
        )

    def _over(self, lists: Lists) -> Any:
        pieces, width = _cut(self.vectors.shape[1])
        self._finder = faiss.IndexFlatIP(pieces * width)
        self._finder.add(padded(lists.promises, pieces * width))
        n_lists = len(lists.promises)
        found = faiss.IndexIVFPQ(self._finder, pieces * width, n_lists, pieces, 8, faiss.METRIC_INNER_PRODUCT, False)
        found.by_residual = True
        faiss.copy_array_to_vector(np.ascontiguousarray(lists.tables["codebooks"]).ravel(), found.pq.centroids)
        return found

    def _efforts(self) -> dict[str, NDArray[Any]]:
        return {**super()._efforts(), "rescored": np.array([self.rescored], dtype=np.int64)}

    def _enough(self, wanted: int) -> int:
        return min(wanted + self.rescored, self.n_indexed)

    def _scored(self, queries: Vectors, scores: Vectors, found: Places) -> Vectors:
        exact = np.full(found.shape, -np.inf, dtype=np.float32)
        for row, query in enumerate(queries):
            there = found[row] >= 0
            exact[row, there] = self.vectors[found[row, there]] @ query
        return exact


def _cut(dim: int) -> tuple[int, int]:
    """How many pieces a vector is cut into, and the width of each; zeros fill the last one up."""
    pieces = QuantisedIndex._code_size(dim)
    return pieces, -(-dim // pieces)


def _words(rests: Vectors) -> Vectors:
    """(256, W) what stands for these pieces (T, W); themselves, where they are no more."""
    if len(rests) <= _WORDS:
        return np.resize(rests, (_WORDS, rests.shape[1])) if len(rests) else np.zeros((_WORDS, rests.shape[1]), "f")
    wide = padded(rests, max(_FAST_WIDTH, rests.shape[1]))
    found = faiss.Kmeans(
        wide.shape[1], _WORDS, niter=_ROUNDS, seed=0, max_points_per_centroid=_SAMPLE, min_points_per_centroid=1
    )
    found.train(wide)
    return np.ascontiguousarray(found.centroids[:, : rests.shape[1]], dtype=np.float32)
