"""Inverted lists of product-quantised codes (see `lists`): a quarter of a byte a coordinate, and exact rescoring.

The residual of a vector from its list's centroid is cut into subvectors, and each is replaced by the nearest of 256
codewords (Jegou, Douze, Schmid 2011, "Product quantization for nearest neighbor search"): one byte for some 4
coordinates. The codes select candidates, which are then scored by the vectors themselves.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import faiss
import numpy as np
from numpy.typing import NDArray

from tastespace.index.approximate import Indices, Vectors
from tastespace.index.base import SearchSettings
from tastespace.index.ivf import InvertedIndex, is_number
from tastespace.index.lists import Assignment, InvertedLists, pad

_CODEWORDS = 256  # that a byte can number
_COORDINATES = 32  # for 8 bytes: codes of a multiple of 8 bytes keep the indices after them aligned
_RESCORED = 64  # candidates beyond those requested
_MOST_RESCORED = 2**20
_SAMPLE, _ITERATIONS = 100, 10  # of k-means: vectors a codeword that it is trained on
_FAST_WIDTH = 8  # FAISS's k-means takes ten times as long over 4 coordinates as over 8


class QuantisedIndex(InvertedIndex):
    """Scan of lists of codes; `lists.safetensors` holds `codebooks` (P, 256, W) and `n_rescored` (1,) too."""

    kind: ClassVar[str] = "pq"

    def __init__(self, vectors: Vectors, lists: InvertedLists, n_indexed: int) -> None:
        """Use `build` or `load`."""
        super().__init__(vectors, lists, n_indexed)
        self.n_rescored = int(lists.tables["n_rescored"][0])

    @property
    def settings(self) -> SearchSettings:
        """Settings of the lists, and the number of candidates that are rescored beyond those requested."""
        return replace(super().settings, n_rescored=self.n_rescored)

    def widen(self) -> bool:
        """Double the number of lists that a search scans, and of candidates that it rescores."""
        before = self.n_rescored
        self.n_rescored = min(2 * self.n_rescored, max(_RESCORED, self.n_indexed), _MOST_RESCORED)
        return super().widen() or self.n_rescored > before

    @staticmethod
    def _code_size(dim: int) -> int:
        return 8 * max(1, -(-dim // _COORDINATES))

    @classmethod
    def _train(cls, vectors: Vectors, assignment: Assignment) -> dict[str, NDArray[Any]]:
        n_parts, width = _subvectors(vectors.shape[1])
        sample = np.arange(len(assignment.rest))
        if len(sample) > _SAMPLE * _CODEWORDS:
            sample = np.sort(np.random.default_rng(0).choice(len(sample), _SAMPLE * _CODEWORDS, replace=False))
        residuals = vectors[assignment.rest[sample]] - assignment.centroids[assignment.list_of[sample]]
        residuals = pad(residuals, n_parts * width)
        codebooks = [_codebook(residuals[:, start : start + width]) for start in range(0, n_parts * width, width)]
        return {"codebooks": np.stack(codebooks), "n_rescored": np.array([_RESCORED])}

    @classmethod
    def _are_valid(cls, tables: Mapping[str, NDArray[Any]], n_lists: int, vectors: Vectors) -> bool:
        codebooks = tables.get("codebooks")
        n_parts, width = _subvectors(vectors.shape[1])
        return (
            super()._are_valid(tables, n_lists, vectors)
            and is_number(tables.get("n_rescored"), _MOST_RESCORED)
            and codebooks is not None
            and codebooks.dtype == np.float32
            and codebooks.shape == (n_parts, _CODEWORDS, width)
            and bool(np.isfinite(codebooks).all())
        )

    def _make_faiss_index(self, lists: InvertedLists) -> Any:
        n_parts, width = _subvectors(self.vectors.shape[1])
        dim, n_lists = n_parts * width, len(lists.centroids)
        self._quantizer = faiss.IndexFlatIP(dim)
        self._quantizer.add(pad(lists.centroids, dim))
        index = faiss.IndexIVFPQ(self._quantizer, dim, n_lists, n_parts, 8, faiss.METRIC_INNER_PRODUCT, False)
        index.by_residual = True
        faiss.copy_array_to_vector(np.ascontiguousarray(lists.tables["codebooks"]).ravel(), index.pq.centroids)
        return index

    def _settings_tables(self) -> dict[str, NDArray[Any]]:
        return {**super()._settings_tables(), "n_rescored": np.array([self.n_rescored], dtype=np.int64)}

    def _n_from_lists(self, n_candidates: int) -> int:
        return min(n_candidates + self.n_rescored, self.n_indexed)

    def _exact_scores(self, queries: Vectors, scores: Vectors, indices: Indices) -> Vectors:
        exact = np.full(indices.shape, -np.inf, dtype=np.float32)
        for row, query in enumerate(queries):
            filled = indices[row] >= 0
            exact[row, filled] = self.vectors[indices[row, filled]] @ query
        return exact


def _subvectors(dim: int) -> tuple[int, int]:
    """Number of subvectors that a vector is cut into, and their width; the last one is padded with zeros."""
    n_parts = QuantisedIndex._code_size(dim)
    return n_parts, -(-dim // n_parts)


def _codebook(subvectors: Vectors) -> Vectors:
    """Codewords (256, W) of subvectors (T, W); the subvectors themselves where there are no more than 256."""
    if len(subvectors) <= _CODEWORDS:
        shape = (_CODEWORDS, subvectors.shape[1])
        return np.resize(subvectors, shape) if len(subvectors) else np.zeros(shape, dtype=np.float32)
    wide = pad(subvectors, max(_FAST_WIDTH, subvectors.shape[1]))
    kmeans = faiss.Kmeans(
        wide.shape[1],
        _CODEWORDS,
        niter=_ITERATIONS,
        seed=0,
        max_points_per_centroid=_SAMPLE,
        min_points_per_centroid=1,
    )
    kmeans.train(wide)
    return np.ascontiguousarray(kmeans.centroids[:, : subvectors.shape[1]], dtype=np.float32)
