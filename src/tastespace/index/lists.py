"""Inverted lists by direction and norm; a search scans those whose centroids have the largest products with the query.

Two measures keep recall high where the norms of vectors differ:

- The 2 % of largest norm are scanned in every search: they may be the best for any query, whatever their direction.
- The others are clustered by direction (spherical k-means), and each cluster is cut into lists by norm. The centroid of
  a list is the cluster's centre times the largest norm in the list. Lists by direction alone would miss vectors of
  large norm a little off the query's direction, and those are what inner products favour.

On disk: `lists.safetensors` (`centroids` (L, D), `list_sizes` (L,), `largest_norm` (H,), which are indices, and the
tables of a kind) and `lists.bin`: list after list the codes of its vectors, uint8 (size, C), and their indices, int64
(size,).

The files have their own layout so that they can be checked: sizes and length when they are loaded, indices in every
answer. FAISS's reader trusts its file: of 200 files with 8 bytes of sizes or indices altered, 1 to 1.5 % crashed, hung
or gave indices out of range, and none of these. Both are memory-mapped; loading takes 1.5 ms here, 0.04 ms there.
FAISS's own IVF needs 9 to 11 times as long for a query at equal recall (100,000 planted vectors x 64,
benchmarks/own_implementations.py, 2026-11-27).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from tastespace.errors import BundleError
from tastespace.index.approximate import Indices, Vectors
from tastespace.index.files import LIST_FILES

_TABLES, _LISTS = LIST_FILES
_LARGEST_NORM_SHARE = 0.02  # of the vectors
_NORM_QUANTILES = (0.08, 0.25, 1.0)  # a cluster is cut into lists at these shares, in order of decreasing norm
_ITERATIONS, _SAMPLE = 10, 40  # of k-means, and vectors a cluster that it is trained on
_ROWS_AT_ONCE = 2**16


@dataclass(frozen=True, eq=False)
class InvertedLists:
    """Lists with their centroids, and the tables of a kind by name."""

    centroids: Vectors  # (L, D)
    largest_norm: Indices  # (H,)
    faiss_lists: Any
    tables: Mapping[str, NDArray[Any]]

    @property
    def sizes(self) -> Indices:
        """(L,) number of vectors in each list."""
        return np.array([self.faiss_lists.list_size(row) for row in range(len(self.centroids))], dtype=np.int64)

    def save(self, folder: Path) -> None:
        """Write both files."""
        sizes = self.sizes
        own: dict[str, NDArray[Any]] = {"centroids": self.centroids, "largest_norm": self.largest_norm}
        save_file({**own, "list_sizes": sizes, **self.tables}, folder / _TABLES)
        with open(folder / _LISTS, "wb") as out:
            for row, size in enumerate(sizes.tolist()):
                if size:
                    out.write(faiss.rev_swig_ptr(self.faiss_lists.get_codes(row), size * self.faiss_lists.code_size))
                    out.write(faiss.rev_swig_ptr(self.faiss_lists.get_ids(row), size))


@dataclass(frozen=True, eq=False)
class Assignment:
    """Assignment of vectors to lists: those of largest norm to none, each of the rest to one."""

    centroids: Vectors  # (L, D)
    largest_norm: Indices  # (H,)
    rest: Indices  # (R,)
    list_of: Indices  # (R,)


def assign(vectors: Vectors, n_clusters: int | None) -> Assignment:
    """Assign vectors (M, D) to the lists of `n_clusters` clusters (2 sqrt(M) unless given)."""
    all_norms = np.linalg.norm(vectors, axis=1)
    order = np.argsort(-all_norms, kind="stable")
    n_largest = int(_LARGEST_NORM_SHARE * len(vectors))
    largest, rest = np.sort(order[:n_largest]), np.sort(order[n_largest:])
    centres, cluster_of = _cluster(_normalised(vectors[rest]), n_clusters or max(1, round(2 * len(vectors) ** 0.5)))
    norms = np.linalg.norm(vectors[rest], axis=1)
    list_of = _cut_by_norm(cluster_of, norms, len(centres))
    largest_in_list = np.zeros(len(centres) * len(_NORM_QUANTILES), dtype=np.float32)
    np.maximum.at(largest_in_list, list_of, norms)
    centroids = np.repeat(centres, len(_NORM_QUANTILES), axis=0) * largest_in_list[:, None]
    return Assignment(centroids, largest, rest, list_of)


def load_lists(folder: Path, vectors: Vectors, code_size: int) -> InvertedLists:
    """Load what `InvertedLists.save` wrote for the first of these vectors; raise `BundleError` for anything else.

    The lists are memory-mapped, not read. The tables of a kind are not checked here.
    """
    try:
        tables = load_file(folder / _TABLES)
        centroids, largest_norm, sizes = (tables.pop(name) for name in ("centroids", "largest_norm", "list_sizes"))
        length = (folder / _LISTS).stat().st_size
    except (OSError, SafetensorError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{folder} is not an index of lists") from error
    n, dim = vectors.shape
    if not (
        all(table.dtype == np.int64 and table.ndim == 1 for table in (largest_norm, sizes))
        and centroids.dtype == np.float32
        and centroids.shape == (len(sizes), dim)
        and np.isfinite(centroids).all()
        and len(sizes) >= 1
        and sizes.min() >= 0
        and sizes.max() <= n  # so that no sum overflows
        and sizes.sum() + len(largest_norm) <= n
        and length == sizes.sum() * (code_size + 8)
        and (
            len(largest_norm) == 0 or (largest_norm.min() >= 0 and largest_norm.max() < sizes.sum() + len(largest_norm))
        )
    ):
        raise mismatch(folder, vectors)
    if length == 0:  # an empty file cannot be mapped
        return InvertedLists(centroids, largest_norm, faiss.ArrayInvertedLists(len(sizes), code_size), tables)
    lists = faiss.OnDiskInvertedLists()
    lists.nlist, lists.code_size, lists.filename, lists.read_only = len(sizes), code_size, str(folder / _LISTS), True
    lists.lists.resize(len(sizes))
    counts = sizes.astype(np.uint64)  # a variable, as FAISS takes its address
    lists.set_all_lists_sizes(faiss.swig_ptr(counts))
    lists.totsize = length
    lists.prefetch_nthread = 0  # FAISS would start 32 threads a search, and mapped pages are in memory soon enough
    lists.do_mmap()
    return InvertedLists(centroids, largest_norm, lists, tables)


def mismatch(folder: Path, vectors: Vectors) -> BundleError:
    """Error for files that do not fit the vectors."""
    return BundleError(f"{folder} is not an index of these {len(vectors):,} vectors; build it again")


def add_to_lists(faiss_index: Any, vectors: Vectors, assignment: Assignment) -> None:
    """Add the vectors that are assigned to lists to a FAISS index."""
    for start in range(0, len(assignment.rest), _ROWS_AT_ONCE):
        indices = assignment.rest[start : start + _ROWS_AT_ONCE]
        rows = pad(vectors[indices], faiss_index.d)
        lists = np.ascontiguousarray(assignment.list_of[start : start + len(indices)])
        faiss_index.add_core(len(indices), *(faiss.swig_ptr(array) for array in (rows, indices, lists)))


def pad(vectors: Vectors, width: int) -> Vectors:
    """Pad vectors with zeros to a width, contiguous in memory."""
    if vectors.shape[1] == width:
        return np.ascontiguousarray(vectors, dtype=np.float32)
    padded = np.zeros((len(vectors), width), dtype=np.float32)
    padded[:, : vectors.shape[1]] = vectors
    return padded


def _normalised(vectors: Vectors) -> Vectors:
    """Vectors scaled to norm 1; zeros stay zeros."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1), np.float32(1e-12))[:, None]


def _cluster(directions: Vectors, n_clusters: int) -> tuple[Vectors, Indices]:
    """Cluster directions (R, D): centres (C, D) of norm 1, and the cluster (R,) of each direction."""
    if len(directions) == 0:
        return np.zeros((1, directions.shape[1]), dtype=np.float32), np.zeros(0, dtype=np.int64)
    kmeans = faiss.Kmeans(
        directions.shape[1],
        max(1, min(n_clusters, len(directions) // _SAMPLE)),
        niter=_ITERATIONS,
        spherical=True,
        seed=0,
        max_points_per_centroid=_SAMPLE,
        min_points_per_centroid=1,
    )
    kmeans.train(directions)
    centres = np.asarray(kmeans.centroids, dtype=np.float32)
    nearest = faiss.IndexFlatIP(directions.shape[1])
    nearest.add(centres)
    starts = range(0, len(directions), _ROWS_AT_ONCE)
    clusters = [nearest.search(directions[start : start + _ROWS_AT_ONCE], 1)[1][:, 0] for start in starts]
    return centres, np.concatenate(clusters)


def _cut_by_norm(cluster_of: Indices, norms: Vectors, n_clusters: int) -> Indices:
    """List (R,) of each vector: each cluster is cut into lists by decreasing norm."""
    order = np.lexsort((-norms, cluster_of))
    sizes = np.bincount(cluster_of, minlength=n_clusters)
    rank = np.empty(len(cluster_of), dtype=np.int64)
    rank[order] = np.arange(len(cluster_of)) - (np.cumsum(sizes) - sizes)[cluster_of[order]]
    quantile = (rank + 0.5) / sizes[cluster_of]
    return cluster_of * len(_NORM_QUANTILES) + np.searchsorted(_NORM_QUANTILES, quantile)
