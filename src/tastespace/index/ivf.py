"""Inverted lists of whole vectors (see `lists`): every scanned vector gets its exact score."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from tastespace.index.approximate import (
    ApproximateIndex,
    Indices,
    Mask,
    Vectors,
    concatenated,
    id_selector,
    top_products,
)
from tastespace.index.base import SearchSettings, check_vectors
from tastespace.index.lists import Assignment, InvertedLists, add_to_lists, assign, load_lists, mismatch, pad

_FEW_ALLOWED = 0.5  # below this share of allowed vectors, more lists are scanned, in proportion


class InvertedIndex(ApproximateIndex):
    """Scan of the `nprobe` lists with the best centroids; `lists.safetensors` holds `nprobe` (1,) too."""

    kind: ClassVar[str] = "ivf"

    def __init__(self, vectors: Vectors, lists: InvertedLists, n_indexed: int) -> None:
        """Use `build` or `load`."""
        super().__init__(vectors, n_indexed)
        self._lists = lists  # FAISS does not keep a reference
        self._largest_norm_vectors = np.ascontiguousarray(vectors[lists.largest_norm])
        self._faiss_index = self._make_faiss_index(lists)
        self._faiss_index.replace_invlists(lists.faiss_lists, False)
        self._faiss_index.is_trained, self._faiss_index.ntotal = True, n_indexed - len(lists.largest_norm)
        self.nprobe = int(lists.tables["nprobe"][0])

    @property
    def n_lists(self) -> int:
        """L."""
        return len(self._lists.centroids)

    @property
    def nbytes(self) -> int:
        """Bytes of lists, centroids, tables and the vectors of largest norm."""
        lists = self._lists
        in_lists = (self.n_indexed - len(lists.largest_norm)) * (lists.faiss_lists.code_size + 8)
        tables: list[NDArray[Any]] = [lists.centroids, lists.largest_norm, self._largest_norm_vectors]
        return int(in_lists + sum(table.nbytes for table in [*tables, *lists.tables.values()]))

    @property
    def settings(self) -> SearchSettings:
        """Number of lists, and how many of them a search scans."""
        return SearchSettings(n_lists=self.n_lists, nprobe=self.nprobe)

    def widen(self) -> bool:
        """Double the number of lists that a search scans."""
        before = self.nprobe
        self.nprobe = min(2 * self.nprobe, self.n_lists)
        return self.nprobe > before

    @classmethod
    def build(cls, vectors: Vectors, *, n_clusters: int | None = None, nprobe: int = 32) -> Self:
        """Index `vectors` (N, D) in lists of `n_clusters` clusters (2 sqrt(N) unless given), `nprobe` scanned."""
        vectors = np.ascontiguousarray(check_vectors(vectors))
        assignment = assign(vectors, n_clusters)
        n_lists = len(assignment.centroids)
        faiss_lists = faiss.ArrayInvertedLists(n_lists, cls._code_size(vectors.shape[1]))
        tables = {"nprobe": np.array([min(nprobe, n_lists)]), **cls._train(vectors, assignment)}
        lists = InvertedLists(assignment.centroids, assignment.largest_norm, faiss_lists, tables)
        index = cls(vectors, lists, len(vectors))
        add_to_lists(index._faiss_index, vectors, assignment)
        return index

    def save(self, folder: Path) -> None:
        """Write tables and lists."""
        lists = self._lists
        tables = {**lists.tables, **self._settings_tables()}
        InvertedLists(lists.centroids, lists.largest_norm, lists.faiss_lists, tables).save(folder)

    @classmethod
    def load(cls, folder: Path, vectors: Vectors) -> Self:
        """Load what `save` wrote; raise `BundleError` for anything else."""
        vectors = check_vectors(vectors)
        lists = load_lists(folder, vectors, cls._code_size(vectors.shape[1]))
        if not cls._are_valid(lists.tables, len(lists.centroids), vectors):
            raise mismatch(folder, vectors)
        return cls(vectors, lists, int(lists.sizes.sum()) + len(lists.largest_norm))

    def _search_indexed(
        self, queries: Vectors, n_candidates: int, allowed_share: float, allow: Mask | None
    ) -> tuple[Vectors, Indices]:
        nprobe = min(round(self.nprobe * max(1.0, _FEW_ALLOWED / allowed_share)), self.n_lists)
        parameters = faiss.SearchParametersIVF(nprobe=nprobe, sel=id_selector(allow))
        scores, indices = self._faiss_index.search(
            pad(queries, self._faiss_index.d), self._n_from_lists(n_candidates), params=parameters
        )
        self._check_indices(indices)
        largest = top_products(queries, self._largest_norm_vectors, self._lists.largest_norm, n_candidates, allow)
        return concatenated([(self._exact_scores(queries, scores, indices), indices), largest])

    @staticmethod
    def _code_size(dim: int) -> int:
        """Bytes of a vector in a list."""
        return 4 * dim

    @classmethod
    def _train(cls, vectors: Vectors, assignment: Assignment) -> dict[str, NDArray[Any]]:
        """Train the tables that this kind needs beside the lists."""
        return {}

    @classmethod
    def _are_valid(cls, tables: Mapping[str, NDArray[Any]], n_lists: int, vectors: Vectors) -> bool:
        """Whether the tables of this kind can be used."""
        return is_number(tables.get("nprobe"), n_lists)

    def _make_faiss_index(self, lists: InvertedLists) -> Any:
        """Make the FAISS index, without lists; its coarse quantizer is referenced here, as FAISS does not."""
        dim = self.vectors.shape[1]
        self._quantizer = faiss.IndexFlatIP(dim)
        self._quantizer.add(lists.centroids)
        return faiss.IndexIVFFlat(self._quantizer, dim, len(lists.centroids), faiss.METRIC_INNER_PRODUCT, False)

    def _settings_tables(self) -> dict[str, NDArray[Any]]:
        """Tables that may have changed since the build."""
        return {"nprobe": np.array([self.nprobe], dtype=np.int64)}

    def _n_from_lists(self, n_candidates: int) -> int:
        """Number of candidates to take from the lists."""
        return n_candidates

    def _exact_scores(self, queries: Vectors, scores: Vectors, indices: Indices) -> Vectors:
        """(B, W) exact scores of candidates that FAISS scored."""
        return scores


def is_number(table: NDArray[Any] | None, most: int) -> bool:
    """Whether a table holds one number from 1 to `most`."""
    return table is not None and table.dtype == np.int64 and table.shape == (1,) and 1 <= int(table[0]) <= most
