"""Inverted lists: vectors in lists, of which a search looks at the few that promise most. FAISS does the looking.

Inner products are exact; only which vectors are looked at is a guess. What makes it a good one where lengths differ:

- The longest vectors, the head, are always looked at: they may win against any query, whatever their direction.
- The others are clustered by direction (spherical k-means), and each cluster is cut into lists by length. A list
  promises the product of query and centre times the length of its longest vector. By direction alone, long vectors a
  little aside would be missed, and they are what inner products favour.

On disk: `lists.safetensors` (what each list promises with (L, D), sizes of the lists (L,), the head's places (H,), and
how many lists a search looks at (1,)), and `lists.bin`: list after list its vectors, float32 (size, D), and their
places, int64 (size,). FAISS maps that file into memory as it is; its length is checked before, places in every answer.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import faiss
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from tastespace.errors import BundleError
from tastespace.index.base import LIST_FILES, Neighbours, check_search, check_vectors
from tastespace.index.exact import ExactIndex

Vectors = NDArray[np.float32]
Places = NDArray[np.int64]
Mask = NDArray[np.bool_]

_TABLES, _LISTS = LIST_FILES
_HEAD = 0.02  # of the vectors
_PIECES = (0.08, 0.25, 1.0)  # a cluster's longest vectors up to these shares form a list
_ROUNDS, _SAMPLE = 10, 40  # of k-means, and vectors a cluster that it looks at
_NARROW = 0.02  # of the vectors: where fewer are allowed, all of them are looked at
_WIDER = 0.5  # below this share of allowed vectors, more lists are looked at, in proportion
_SPARE = 1.3  # times as many as are enough on average are asked for, where some will be dropped
_ROWS_AT_ONCE = 2**16


class InvertedIndex:
    """Search of N vectors by head and lists, and of those added since in full."""

    kind: ClassVar[str] = "ivf"

    def __init__(self, vectors: Vectors, promises: Vectors, head: Places, lists: Any, reach: int) -> None:
        """Use `build` or `load`."""
        self.vectors, self.promises, self.head = vectors, promises, head
        self._head_vectors = np.ascontiguousarray(vectors[head])
        self._lists = lists  # FAISS does not keep it alive
        self._finder = faiss.IndexFlatIP(vectors.shape[1])
        self._finder.add(promises)
        self._searcher = faiss.IndexIVFFlat(
            self._finder, vectors.shape[1], len(promises), faiss.METRIC_INNER_PRODUCT, False
        )
        self._searcher.replace_invlists(lists, False)
        self._searcher.is_trained, self._searcher.ntotal = True, len(vectors) - len(head)
        self.reach = reach
        self.added = np.zeros((0, vectors.shape[1]), dtype=np.float32)

    def __len__(self) -> int:
        return len(self.vectors) + len(self.added)

    @property
    def n_lists(self) -> int:
        """L."""
        return len(self.promises)

    @property
    def nbytes(self) -> int:
        """Lists, what they promise, and the head."""
        listed = (len(self.vectors) - len(self.head)) * (4 * self.vectors.shape[1] + 8)
        return listed + self.promises.nbytes + self._head_vectors.nbytes + self.head.nbytes

    @property
    def reach(self) -> int:
        """How many lists a search looks at: more of them find more, and take longer."""
        return int(self._searcher.nprobe)

    @reach.setter
    def reach(self, lists: int) -> None:
        self._searcher.nprobe = max(1, min(lists, self.n_lists))

    @classmethod
    def build(cls, vectors: Vectors, *, clusters: int | None = None, reach: int = 32) -> Self:
        """Index `vectors` (N, D) in lists of `clusters` (2 sqrt(N) unless given); a search looks at `reach` lists."""
        vectors = np.ascontiguousarray(check_vectors(vectors))
        lengths = np.linalg.norm(vectors, axis=1)
        order = np.argsort(-lengths, kind="stable")
        head, tail = np.sort(order[: int(_HEAD * len(vectors))]), np.sort(order[int(_HEAD * len(vectors)) :])
        centres, cluster = _clustered(vectors, lengths, tail, clusters or max(1, round(2 * len(vectors) ** 0.5)))
        list_of = _pieces(cluster, lengths[tail], len(centres))
        n_lists = len(centres) * len(_PIECES)
        longest = np.zeros(n_lists, dtype=np.float32)
        np.maximum.at(longest, list_of, lengths[tail])
        promises = np.repeat(centres, len(_PIECES), axis=0) * longest[:, None]
        held = faiss.ArrayInvertedLists(n_lists, vectors.shape[1] * 4)
        found = cls(vectors, promises, head, held, reach)
        for start in range(0, len(tail), _ROWS_AT_ONCE):
            some = tail[start : start + _ROWS_AT_ONCE]
            rows, lists = np.ascontiguousarray(vectors[some]), np.ascontiguousarray(list_of[start : start + len(some)])
            found._searcher.add_core(len(some), *(faiss.swig_ptr(part) for part in (rows, some, lists)))
        return found

    def search(
        self,
        queries: Vectors,
        k: int,
        *,
        exclude: Sequence[Places] | None = None,
        allow: Mask | None = None,
    ) -> Neighbours:
        """The `k` best found for each of `queries` (B, D)."""
        check_search(self.vectors.shape[1], queries, k)
        count = len(self) if allow is None else int(np.count_nonzero(allow))
        if count <= _NARROW * len(self):
            return self._fully(queries, k, exclude, allow)
        out = [np.zeros(0, np.int64)] * len(queries) if exclude is None else exclude
        wanted, reach = k + max((len(one) for one in out), default=0), self.reach
        if allow is not None:
            share = count / len(self)
            wanted, reach = int(_SPARE * wanted / share) + 1, round(reach * max(1.0, _WIDER / share))
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        scores, found = self._candidates(queries, max(1, min(wanted, len(self))), min(reach, self.n_lists))
        indices, best = np.full((len(queries), k), -1, dtype=np.int64), np.full((len(queries), k), -np.inf, np.float32)
        for row, hidden in enumerate(out):
            keep = found[row] >= 0
            keep &= ~np.isin(found[row], hidden)
            if allow is not None:
                keep &= allow[found[row]]
            own, places_found = scores[row][keep], found[row][keep]
            if len(own) < k:  # the lists did not hold enough: look everywhere, once
                whole = self._fully(queries[row : row + 1], k, [hidden], allow)
                indices[row], best[row] = whole.indices[0], whole.scores[0]
                continue
            order = np.lexsort((places_found, -own))[:k]
            indices[row], best[row] = places_found[order], own[order]
        return Neighbours(indices, best)

    def _candidates(self, queries: Vectors, wanted: int, reach: int) -> tuple[Vectors, Places]:
        """Scores and places (B, W) of what head, lists and added vectors hold, in no order; -1 for none."""
        scores, found = self._searcher.search(queries, wanted, params=faiss.SearchParametersIVF(nprobe=reach))
        if found.max(initial=-1) >= len(self.vectors):
            raise BundleError("the lists of this index name vectors that are not there; build it again")
        parts = [(scores, found)]
        for vectors, places in (
            (self._head_vectors, self.head),
            (self.added, np.arange(len(self.vectors), len(self))),
        ):
            if len(vectors):
                own = queries @ vectors.T
                if own.shape[1] > wanted:
                    best = np.argpartition(own, own.shape[1] - wanted, axis=1)[:, -wanted:]
                    parts.append((np.take_along_axis(own, best, axis=1), places[best]))
                else:
                    parts.append((own, np.broadcast_to(places, own.shape)))
        return np.concatenate([part[0] for part in parts], axis=1), np.concatenate([part[1] for part in parts], axis=1)

    def _fully(self, queries: Vectors, k: int, exclude: Sequence[Places] | None, allow: Mask | None) -> Neighbours:
        """Exact search."""
        if not len(self.added):
            return ExactIndex.build(self.vectors).search(queries, k, exclude=exclude, allow=allow)
        whole = ExactIndex.build(np.concatenate([self.vectors, self.added]))
        return whole.search(queries, k, exclude=exclude, allow=allow)

    def add(self, vectors: Vectors) -> None:
        """Append vectors, which are searched in full: build again when they are many."""
        self.added = np.concatenate([self.added, check_vectors(vectors, self.vectors.shape[1])])

    def save(self, folder: Path) -> None:
        """Write tables and lists; added vectors are left out, as a build takes them in."""
        sizes = self._sizes()
        tables: dict[str, NDArray[Any]] = {"promises": self.promises, "head": self.head, "sizes": sizes}
        tables["reach"] = np.array([self.reach], dtype=np.int64)
        save_file(tables, folder / _TABLES)
        with open(folder / _LISTS, "wb") as out:
            for place, size in enumerate(sizes.tolist()):
                if size:
                    out.write(faiss.rev_swig_ptr(self._lists.get_codes(place), size * self._lists.code_size))
                    out.write(faiss.rev_swig_ptr(self._lists.get_ids(place), size))

    def _sizes(self) -> Places:
        return np.array([self._lists.list_size(place) for place in range(self.n_lists)], dtype=np.int64)

    @classmethod
    def load(cls, folder: Path, vectors: Vectors) -> Self:
        """Open what `save` wrote; anything else raises `BundleError`. The lists are mapped, not read."""
        vectors = check_vectors(vectors)
        try:
            tables = load_file(folder / _TABLES)
            promises, head, sizes, reach = (tables[name] for name in ("promises", "head", "sizes", "reach"))
            length = (folder / _LISTS).stat().st_size
        except (OSError, SafetensorError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"{folder} is not an index of lists") from error
        n, dim = vectors.shape
        if not (
            all(table.dtype == np.int64 and table.ndim == 1 for table in (head, sizes, reach))
            and promises.dtype == np.float32
            and promises.shape == (len(sizes), dim)
            and len(reach) == 1
            and 1 <= reach[0] <= len(sizes)
            and np.isfinite(promises).all()
            and len(sizes) >= 1
            and sizes.min() >= 0
            and sizes.max() <= n  # so that no sum overflows
            and sizes.sum() + len(head) == n
            and length == sizes.sum() * (4 * dim + 8)
            and (len(head) == 0 or (head.min() >= 0 and head.max() < n))
        ):
            raise BundleError(f"{folder} is not an index of these {n:,} vectors; build it again")
        if length == 0:  # an empty file cannot be mapped
            held = faiss.ArrayInvertedLists(len(sizes), 4 * dim)
            return cls(vectors, promises, head, held, int(reach[0]))
        lists = faiss.OnDiskInvertedLists()
        lists.nlist, lists.code_size, lists.filename, lists.read_only = len(sizes), 4 * dim, str(folder / _LISTS), True
        lists.lists.resize(len(sizes))
        counts = sizes.astype(np.uint64)  # a name, as FAISS takes its address
        lists.set_all_lists_sizes(faiss.swig_ptr(counts))
        lists.totsize = length
        lists.prefetch_nthread = 0  # FAISS would start 32 threads a search; what is mapped is in memory soon enough
        lists.do_mmap()
        return cls(vectors, promises, head, lists, int(reach[0]))


def _clustered(vectors: Vectors, lengths: Vectors, tail: Places, clusters: int) -> tuple[Vectors, Places]:
    """Directions of clusters (C, D), and the cluster of each vector of the tail (T,)."""
    if len(tail) == 0:
        return np.zeros((1, vectors.shape[1]), dtype=np.float32), tail
    directions = vectors[tail] / np.maximum(lengths[tail], np.float32(1e-12))[:, None]
    found = faiss.Kmeans(
        vectors.shape[1],
        max(1, min(clusters, len(tail) // _SAMPLE)),
        niter=_ROUNDS,
        spherical=True,
        seed=0,
        max_points_per_centroid=_SAMPLE,
        min_points_per_centroid=1,
    )
    found.train(directions)
    centres = np.asarray(found.centroids, dtype=np.float32)
    finder = faiss.IndexFlatIP(vectors.shape[1])
    finder.add(centres)
    starts = range(0, len(tail), _ROWS_AT_ONCE)
    nearest = [finder.search(directions[start : start + _ROWS_AT_ONCE], 1)[1][:, 0] for start in starts]
    return centres, np.concatenate(nearest)


def _pieces(cluster: Places, lengths: Vectors, clusters: int) -> Places:
    """(T,) the list of each vector: its cluster's, and there the piece that its length falls into."""
    order = np.lexsort((-lengths, cluster))
    sizes = np.bincount(cluster, minlength=clusters)
    rank = np.empty(len(cluster), dtype=np.int64)
    rank[order] = np.arange(len(cluster)) - (np.cumsum(sizes) - sizes)[cluster[order]]
    share = (rank + 0.5) / sizes[cluster]
    return cluster * len(_PIECES) + np.searchsorted(_PIECES, share)
