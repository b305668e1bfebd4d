"""Which index suits a catalogue, and what it then reaches: recall against exact search, latency, bytes."""

import time
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tastespace._messages import did_you_mean, shown
from tastespace.errors import OptionError
from tastespace.index.base import Index, Neighbours, check_vectors
from tastespace.index.exact import ExactIndex
from tastespace.index.files import KINDS, Kind

EXACT_UP_TO = 200_000  # vectors; beyond, exact search takes more than some 10 ms a query
LEAST_RECALL = 0.95
_ROUNDING = 1e-5  # of a score
_QUERIES = 500  # that an index is judged by


@dataclass(frozen=True)
class Figures:
    """What an index of N vectors reaches on `queries` queries of `k`; one query at a time, on one thread.

    `overlay` vectors more came after it was built and measured: they are searched in full. `lists`, `reach` and
    `rescored` say how much of what there is a search looks at (see `Effort`).
    """

    kind: str
    n: int
    overlay: int
    lists: int | None
    reach: int | None
    rescored: int | None
    k: int
    queries: int
    recall: float
    p50_ms: float
    p95_ms: float
    bytes: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def class_of(kind: Kind) -> type[Index]:
    """The class of an index of this kind. FAISS is loaded here, where one needs it."""
    if kind == "ivf":
        from tastespace.index.ivf import InvertedIndex

        return InvertedIndex
    if kind == "pq":
        from tastespace.index.pq import QuantisedIndex

        return QuantisedIndex
    if kind == "hnsw":
        from tastespace.index.hnsw import GraphIndex

        return GraphIndex
    return ExactIndex


def choose_kind(n: int) -> Kind:
    """The kind for N vectors.

    Never a graph: of 1,000,000 planted vectors x 64, one takes 53 to 62 s to build on two cores and lists 8, and with
    200 seen ones hidden it finds 1.00 of the best 10 in 1.1 ms (lengths follow a power law of 3) or 0.97 in 7.0 ms (of
    10), where lists find 1.00 in 0.7 ms or 0.98 in 0.5 ms (benchmarks/answers.py).
    """
    return "exact" if n <= EXACT_UP_TO else "ivf"


def build_index(
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    *,
    kind: str = "auto",
    recall: float = LEAST_RECALL,
    k: int = 10,
) -> tuple[Index, Figures]:
    """An index of `vectors` (N, D) and its figures on up to 500 of `queries` (B, D), such as users' vectors.

    `kind` is one of `KINDS`, or "auto": by N. An approximate index looks at more until it finds the share `recall` of
    the best `k` in the mean. One that finds less at its most is refused (`OptionError`), or, where `kind` is "auto", an
    exact one built instead.
    """
    vectors = check_vectors(vectors)
    if kind != "auto" and kind not in KINDS:
        raise OptionError(f"there is no index {shown(kind)}{did_you_mean(kind, ['auto', *KINDS])}")
    if not 0 < recall <= 1:
        raise OptionError(f"a recall of {recall:g} is asked for, but it lies above 0 and up to 1")
    asked = _some(queries)
    began = time.perf_counter()
    index = class_of(choose_kind(len(vectors)) if kind == "auto" else cast("Kind", kind)).build(vectors)
    seconds = time.perf_counter() - began
    if index.effort.reach is None:
        return index, _figures(index, asked, 1.0, k, seconds)
    truth = ExactIndex.build(vectors).search(asked, k)
    reached = _recall(index, asked, truth)
    while reached < recall and index.more():
        reached = _recall(index, asked, truth)
    if reached < recall and kind == "auto":
        return build_index(vectors, queries, kind="exact", k=k)
    if reached < recall:
        raise OptionError(
            f"an index of kind {index.kind} finds {reached:.3f} of the best {k} at most, and {recall:g} is asked for; "
            "build an exact one (--kind exact)"
        )
    return index, _figures(index, asked, reached, k, seconds)


def _some(queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """A fixed random choice of the queries that ask for anything."""
    queries = queries[np.abs(queries).max(axis=1, initial=0) > 0]
    if len(queries) <= _QUERIES:
        return queries
    return queries[np.sort(np.random.default_rng(0).choice(len(queries), _QUERIES, replace=False))]


def _recall(index: Index, queries: NDArray[np.float32], truth: Neighbours) -> float:
    """Mean share of the best (B, K) that an index finds, or as good ones; 1 where nothing is asked."""
    if len(queries) == 0:
        return 1.0
    wanted = truth.scores
    found = index.search(queries, wanted.shape[1]).scores
    there = truth.indices >= 0
    last = np.where(there, wanted, np.inf).min(axis=1, initial=np.inf)[:, None]  # what a found one must reach
    hits = (found >= last - _ROUNDING * np.maximum(1.0, np.abs(last))).sum(axis=1)
    return float(np.minimum(hits, there.sum(axis=1)).sum() / max(1, int(there.sum())))


def _figures(index: Index, queries: NDArray[np.float32], recall: float, k: int, seconds: float) -> Figures:
    times = []
    for row in range(len(queries)):
        began = time.perf_counter()
        index.search(queries[row : row + 1], k)
        times.append(1000 * (time.perf_counter() - began))
    return Figures(
        kind=index.kind,
        n=len(index),
        overlay=index.overlay,
        lists=index.effort.lists,
        reach=index.effort.reach,
        rescored=index.effort.rescored,
        k=k,
        queries=len(queries),
        recall=recall,
        p50_ms=float(np.median(times)) if times else 0.0,
        p95_ms=float(np.quantile(times, 0.95)) if times else 0.0,
        bytes=index.nbytes,
        seconds=seconds,
    )
