"""Head and lists: M vectors in lists, of which a search looks at the few that promise most. FAISS does the looking.

Which vectors are looked at is a guess. What makes it a good one where lengths differ:

- The longest vectors, the head, are always looked at: they may win against any query, whatever their direction.
- The others are clustered by direction (spherical k-means), and each cluster is cut into lists by length. A list
  promises the product of query and centre times the length of its longest vector. By direction alone, long vectors a
  little aside would be missed, and they are what inner products favour.

On disk: `lists.safetensors` (what each list promises with (L, D), sizes of the lists (L,), the head's places (H,), and
what else a kind keeps), and `lists.bin`: list after list what it holds of its vectors, uint8 (size, C), and their
places, int64 (size,). FAISS maps that file into memory as it is; its length is checked before, places in every answer.
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
from tastespace.index.approximate import Places, Vectors, directions, head_and_tail
from tastespace.index.files import LIST_FILES

_TABLES, _LISTS = LIST_FILES
_PIECES = (0.08, 0.25, 1.0)  # a cluster's longest vectors up to these shares form a list
_ROUNDS, _SAMPLE = 10, 40  # of k-means, and vectors a cluster that it looks at
_ROWS_AT_ONCE = 2**16


@dataclass(frozen=True, eq=False)
class Lists:
    """Head and lists, and what else is kept with them by name."""

    promises: Vectors  # (L, D)
    head: Places  # (H,)
    held: Any  # FAISS's inverted lists
    tables: Mapping[str, NDArray[Any]]

    @property
    def sizes(self) -> Places:
        """(L,) of the lists."""
        return np.array([self.held.list_size(place) for place in range(len(self.promises))], dtype=np.int64)

    def save(self, folder: Path) -> None:
        """Write both files."""
        sizes = self.sizes
        save_file({"promises": self.promises, "head": self.head, "sizes": sizes, **self.tables}, folder / _TABLES)
        with open(folder / _LISTS, "wb") as out:
            for place, size in enumerate(sizes.tolist()):
                if size:
                    out.write(faiss.rev_swig_ptr(self.held.get_codes(place), size * self.held.code_size))
                    out.write(faiss.rev_swig_ptr(self.held.get_ids(place), size))


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Which vectors are the head (H,), which the tail (T,), and the list (T,) of each of these; what lists promise."""

    promises: Vectors  # (L, D)
    head: Places
    tail: Places
    list_of: Places


def arranged(vectors: Vectors, clusters: int | None) -> Arrangement:
    """Head and lists of `clusters` (2 sqrt(M) unless given)."""
    head, tail = head_and_tail(vectors)
    centres, cluster = _clustered(directions(vectors[tail]), clusters or max(1, round(2 * len(vectors) ** 0.5)))
    lengths = np.linalg.norm(vectors[tail], axis=1)
    list_of = _pieces(cluster, lengths, len(centres))
    longest = np.zeros(len(centres) * len(_PIECES), dtype=np.float32)
    np.maximum.at(longest, list_of, lengths)
    return Arrangement(np.repeat(centres, len(_PIECES), axis=0) * longest[:, None], head, tail, list_of)


def load_lists(folder: Path, vectors: Vectors, code_size: int) -> Lists:
    """Open what `Lists.save` wrote of the first of these vectors; anything else raises `BundleError`.

    The lists are mapped, not read. Tables of one kind alone are for that kind to check.
    """
    try:
        tables = load_file(folder / _TABLES)
        promises, head, sizes = (tables.pop(name) for name in ("promises", "head", "sizes"))
        length = (folder / _LISTS).stat().st_size
    except (OSError, SafetensorError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{folder} is not an index of lists") from error
    n, dim = vectors.shape
    if not (
        all(table.dtype == np.int64 and table.ndim == 1 for table in (head, sizes))
        and promises.dtype == np.float32
        and promises.shape == (len(sizes), dim)
        and np.isfinite(promises).all()
        and len(sizes) >= 1
        and sizes.min() >= 0
        and sizes.max() <= n  # so that no sum overflows
        and sizes.sum() + len(head) <= n
        and length == sizes.sum() * (code_size + 8)
        and (len(head) == 0 or (head.min() >= 0 and head.max() < sizes.sum() + len(head)))
    ):
        raise not_of_these(folder, vectors)
    if length == 0:  # an empty file cannot be mapped
        return Lists(promises, head, faiss.ArrayInvertedLists(len(sizes), code_size), tables)
    held = faiss.OnDiskInvertedLists()
    held.nlist, held.code_size, held.filename, held.read_only = len(sizes), code_size, str(folder / _LISTS), True
    held.lists.resize(len(sizes))
    counts = sizes.astype(np.uint64)  # a name, as FAISS takes its address
    held.set_all_lists_sizes(faiss.swig_ptr(counts))
    held.totsize = length
    held.prefetch_nthread = 0  # FAISS would start 32 threads a search; what is mapped is in memory soon enough
    held.do_mmap()
    return Lists(promises, head, held, tables)


def not_of_these(folder: Path, vectors: Vectors) -> BundleError:
    """What is told of files that do not fit."""
    return BundleError(f"{folder} is not an index of these {len(vectors):,} vectors; build it again")


def fill(searcher: Any, vectors: Vectors, plan: Arrangement) -> None:
    """Put the tail of M vectors into the lists of a FAISS index."""
    for start in range(0, len(plan.tail), _ROWS_AT_ONCE):
        some = plan.tail[start : start + _ROWS_AT_ONCE]
        rows = padded(vectors[some], searcher.d)
        lists = np.ascontiguousarray(plan.list_of[start : start + len(some)])
        searcher.add_core(len(some), *(faiss.swig_ptr(part) for part in (rows, some, lists)))


def padded(vectors: Vectors, width: int) -> Vectors:
    """The same with zeros up to a width, one row after the other in memory."""
    if vectors.shape[1] == width:
        return np.ascontiguousarray(vectors, dtype=np.float32)
    found = np.zeros((len(vectors), width), dtype=np.float32)
    found[:, : vectors.shape[1]] = vectors
    return found


def _clustered(pointing: Vectors, clusters: int) -> tuple[Vectors, Places]:
    """Centres (C, D) of directions (T, D), each of length 1, and the cluster (T,) of each."""
    if len(pointing) == 0:
        return np.zeros((1, pointing.shape[1]), dtype=np.float32), np.zeros(0, dtype=np.int64)
    found = faiss.Kmeans(
        pointing.shape[1],
        max(1, min(clusters, len(pointing) // _SAMPLE)),
        niter=_ROUNDS,
        spherical=True,
        seed=0,
        max_points_per_centroid=_SAMPLE,
        min_points_per_centroid=1,
    )
    found.train(pointing)
    centres = np.asarray(found.centroids, dtype=np.float32)
    finder = faiss.IndexFlatIP(pointing.shape[1])
    finder.add(centres)
    starts = range(0, len(pointing), _ROWS_AT_ONCE)
    nearest = [finder.search(pointing[start : start + _ROWS_AT_ONCE], 1)[1][:, 0] for start in starts]
    return centres, np.concatenate(nearest)


def _pieces(cluster: Places, lengths: Vectors, clusters: int) -> Places:
    """(T,) the list of each vector: its cluster's, and there the piece that its length falls into."""
    order = np.lexsort((-lengths, cluster))
    sizes = np.bincount(cluster, minlength=clusters)
    rank = np.empty(len(cluster), dtype=np.int64)
    rank[order] = np.arange(len(cluster)) - (np.cumsum(sizes) - sizes)[cluster[order]]
    share = (rank + 0.5) / sizes[cluster]
    return cluster * len(_PIECES) + np.searchsorted(_PIECES, share)
