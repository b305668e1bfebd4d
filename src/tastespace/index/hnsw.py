"""A graph of vectors near in direction, in layers, walked towards larger inner products (HNSW).

Malkov and Yashunin 2018, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small
World graphs". Unlike there, what is near and what is looked for differ: neighbours are near in direction, so that every
vector can be reached, and a walk goes where the inner product with the query is larger. The longest vectors, the head,
are always looked at, as by `lists`. Measured among 50,000 planted vectors x 64 whose lengths follow a power law of 3
(of 10), a walk of 64 candidates finds 0.9995 (0.974) of the best 10 this way, and 0.97 (0.98) where a random tenth is
allowed. Neighbours of large inner products (Morozov and Babenko 2018) and a head: 0.985 (0.961) and 0.84 (0.88), as
short vectors are nobody's neighbours. Neighbours by one more coordinate, sqrt(max^2 - length^2), and no head, of
100,000: 0.11 (0.64).

On disk, `graph.safetensors`: `levels` (M,) int32, the number of layers that a vector stands in, at least 1;
`neighbours` int32, vector after vector and layer after layer from the lowest, twice `width` places in the lowest and
`width` in each other, filled up with -1; `head` (H,) int64, its places; `walk` (3,) int64: `width`, the vector that a
search starts from, and how many candidates it keeps. FAISS walks the graph without looking where it steps, so every
step is checked when it is opened.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import faiss
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from tastespace.errors import BundleError
from tastespace.index.approximate import (
    Approximate,
    Mask,
    Places,
    Vectors,
    best_products,
    directions,
    head_and_tail,
    selector,
    together,
)
from tastespace.index.base import Effort, check_vectors
from tastespace.index.files import GRAPH_FILES

_GRAPH = GRAPH_FILES[0]
_WIDTH, _BUILD_REACH = 16, 40  # neighbours of a vector, and candidates among which a build looks for them
_REACH = 64
_LONG, _LONG_SHARE = 256, 1 / 200  # a walk that keeps more, in numbers or of M, takes longer than looking everywhere
_WIDEST = 256


@dataclass(frozen=True, eq=False)
class _Graph:
    """What a search walks."""

    levels: NDArray[np.int32]  # (M,)
    neighbours: NDArray[np.int32]
    head: Places  # (H,)
    width: int
    start: int  # -1 without vectors

    @property
    def starts(self) -> NDArray[np.uint64]:
        """(M + 1,) where each vector's neighbours begin."""
        rooms = (self.levels.astype(np.int64) + 1) * self.width
        return np.concatenate([[0], np.cumsum(rooms)]).astype(np.uint64)


class GraphIndex(Approximate):
    """Search by a walk that keeps the best `reach` candidates, beside those that are wanted."""

    kind: ClassVar[str] = "hnsw"

    def __init__(self, vectors: Vectors, graph: _Graph, reach: int) -> None:
        """Use `build` or `load`."""
        super().__init__(vectors, len(graph.levels))
        self.reach = reach
        self._graph = graph
        self._head_vectors = np.ascontiguousarray(vectors[graph.head])
        self._tail = np.ones(self.n_indexed, dtype=bool)
        self._tail[graph.head] = False
        self._attach()

    def _attach(self) -> None:
        """Let FAISS walk the graph over the vectors, both where they are: it neither copies nor keeps them."""
        graph = self._graph
        self._held = np.ascontiguousarray(self.vectors[: self.n_indexed])
        self._flat = faiss.IndexFlatIP(self.vectors.shape[1])
        self._flat.codes = _viewed(faiss.MaybeOwnedVectorUInt8, self._held.view(np.uint8).reshape(-1))
        self._flat.ntotal = self.n_indexed
        self._searcher = faiss.IndexHNSW(self._flat, graph.width)
        walk = self._searcher.hnsw
        faiss.copy_array_to_vector(graph.levels, walk.levels)
        faiss.copy_array_to_vector(graph.starts, walk.offsets)
        walk.neighbors = _viewed(faiss.MaybeOwnedVectorInt32, graph.neighbours)
        walk.entry_point = graph.start
        walk.max_level = int(graph.levels[graph.start]) - 1 if self.n_indexed else -1
        self._searcher.ntotal, self._searcher.is_trained = self.n_indexed, True

    @property
    def nbytes(self) -> int:
        """The graph and the head."""
        graph = self._graph
        parts = (graph.levels, graph.neighbours, graph.head, self._head_vectors, self._tail)
        return sum(part.nbytes for part in parts) + 8 * (self.n_indexed + 1)

    @property
    def effort(self) -> Effort:
        """How many candidates a walk keeps beside those that are wanted."""
        return Effort(reach=self.reach)

    def more(self) -> bool:
        """Keep twice as many candidates."""
        before = self.reach
        self.reach = min(2 * self.reach, max(_REACH, self._longest // 2))
        return self.reach > before

    @classmethod
    def build(cls, vectors: Vectors, *, reach: int = _REACH) -> Self:
        """Index `vectors` (N, D); one after the other is put in, and looks for its place as a query does.

        On several threads no two graphs are alike.
        """
        vectors = np.ascontiguousarray(check_vectors(vectors))
        built = faiss.IndexHNSWFlat(vectors.shape[1], _WIDTH)
        built.hnsw.efConstruction = _BUILD_REACH
        head, _ = head_and_tail(vectors)
        if len(vectors):
            built.add(directions(vectors))
        levels, neighbours = (faiss.vector_to_array(part) for part in (built.hnsw.levels, built.hnsw.neighbors))
        return cls(vectors, _Graph(levels, neighbours, head, _WIDTH, built.hnsw.entry_point), reach)

    def add(self, vectors: Vectors) -> None:
        """Append vectors to the overlay; costs a copy of all, which takes the place of those before."""
        super().add(vectors)
        self._attach()

    def save(self, folder: Path) -> None:
        """Write the graph."""
        graph = self._graph
        walk = np.array([graph.width, graph.start, self.reach], dtype=np.int64)
        tables: dict[str, NDArray[Any]] = {"levels": graph.levels, "neighbours": graph.neighbours, "head": graph.head}
        save_file({**tables, "walk": walk}, folder / _GRAPH)

    @classmethod
    def load(cls, folder: Path, vectors: Vectors) -> Self:
        """Open what `save` wrote; anything else raises `BundleError`."""
        vectors = check_vectors(vectors)
        try:
            tables = load_file(folder / _GRAPH)
            levels, neighbours, head, walk = (tables[name] for name in ("levels", "neighbours", "head", "walk"))
        except (OSError, SafetensorError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"{folder} is not an index of a graph") from error
        if (
            all(table.dtype == np.int32 and table.ndim == 1 for table in (levels, neighbours))
            and walk.dtype == head.dtype == np.int64
            and walk.shape == (3,)
            and head.ndim == 1
            and len(levels) <= len(vectors)
            and (len(head) == 0 or (head.min() >= 0 and head.max() < len(levels)))
            and 1 <= walk[2] <= max(_LONG, len(levels))
            and 2 <= walk[0] <= _WIDEST
        ):
            graph = _Graph(levels, neighbours, head, int(walk[0]), int(walk[1]))
            if _can_be_walked(graph):
                return cls(vectors, graph, int(walk[2]))
        raise BundleError(f"{folder} is not an index of these {len(vectors):,} vectors; build it again")

    @property
    def _longest(self) -> int:
        return max(_LONG, int(_LONG_SHARE * self.n_indexed))

    def _kept(self, wanted: int, share: float) -> int:
        """How many candidates a walk keeps: more in proportion, where some are not allowed."""
        return round((self.reach + wanted) / share)

    def _looks_everywhere(self, wanted: int, share: float) -> bool:
        return super()._looks_everywhere(wanted, share) or self._kept(wanted, share) > self._longest

    def _look(self, queries: Vectors, wanted: int, share: float, allow: Mask | None) -> tuple[Vectors, Places]:
        tail = selector(self._tail if allow is None else self._tail & allow)
        asked = faiss.SearchParametersHNSW(efSearch=self._kept(wanted, share), sel=tail)
        head = best_products(queries, self._head_vectors, self._graph.head, wanted, allow)
        return together([self._searcher.search(queries, wanted, params=asked), head])


def _viewed(kind: Any, array: NDArray[Any]) -> Any:
    """A vector of FAISS's over the memory of an array, which must be kept."""
    return kind.create_view(faiss.swig_ptr(array), len(array), kind().owner)


def _can_be_walked(graph: _Graph) -> bool:
    """Whether every step from the start leads to a vector, and on no layer to one that does not stand in it."""
    n, levels, neighbours = len(graph.levels), graph.levels, graph.neighbours
    if n == 0:
        return len(neighbours) == 0 and graph.start == -1
    most = faiss.HNSW(graph.width).cum_nneighbor_per_level.size() - 1  # layers that FAISS reckons with at this width
    if not (levels.min() >= 1 and levels.max() <= most and 0 <= graph.start < n):
        return False
    starts = graph.starts.astype(np.int64)
    if len(neighbours) != starts[-1] or levels[graph.start] != levels.max():
        return False
    if neighbours.min(initial=-1) < -1 or neighbours.max(initial=-1) >= n:
        return False
    for level in range(1, int(levels.max())):
        there = np.flatnonzero(levels > level)
        steps = neighbours[(starts[there] + (level + 1) * graph.width)[:, None] + np.arange(graph.width)]
        if (levels[steps[steps >= 0]] <= level).any():
            return False
    return True
