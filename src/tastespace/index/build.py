"""Builds an index of the kind that suits a catalogue, and measures it: recall against exact search, latency, bytes."""

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
_SAMPLE_QUERIES = 500  # that an index is measured on


@dataclass(frozen=True)
class IndexReport:
    """Measured quality and cost of an index of `n` vectors, on `queries` queries of `k`, one at a time on one thread.

    `n_unindexed` vectors were added since; they are searched exhaustively. For `n_lists`, `nprobe` and `n_rescored` see
    `SearchSettings`.
    """

    kind: str
    n: int
    n_unindexed: int
    n_lists: int | None
    nprobe: int | None
    n_rescored: int | None
    k: int
    queries: int
    recall: float
    p50_ms: float
    p95_ms: float
    bytes: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values by name."""
        return asdict(self)


def index_class(kind: Kind) -> type[Index]:
    """Class of an index of this kind; imports FAISS if it is an approximate one."""
    if kind == "ivf":
        from tastespace.index.ivf import InvertedIndex

        return InvertedIndex
    if kind == "pq":
        from tastespace.index.pq import QuantisedIndex

        return QuantisedIndex
    return ExactIndex


def choose_kind(n: int) -> Kind:
    """Choose the kind of index for N vectors.

    There is no graph (HNSW), as it was better nowhere. Of 1,000,000 planted vectors x 64, on two cores, a graph took 53
    to 62 s to build where inverted lists take 8, and 144 MiB beside the vectors where lists of codes take 29. With 200
    seen items hidden, it had recall@10 1.00 in 1.1 ms (norms by a power law of 3) and 0.97 in 7.0 ms (of 10), where
    lists have 1.00 in 0.7 ms and 0.98 in 0.5 ms; it took up to 15 ms under an allow-list, where lists take 1.1 ms
    (measured 2026-11-26). benchmarks/own_implementations.py repeats the comparison with FAISS's own graph.
    """
    return "exact" if n <= EXACT_UP_TO else "ivf"


def build_index(
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    *,
    kind: str = "auto",
    recall: float = LEAST_RECALL,
    k: int = 10,
) -> tuple[Index, IndexReport]:
    """Build an index of `vectors` (N, D), and measure it on up to 500 of `queries` (B, D), such as users' embeddings.

    `kind` is one of `KINDS`, or "auto": by N. The search of an approximate index is widened until its mean recall of
    the best `k` is at least `recall`. If even its widest search has less, `OptionError` is raised, or, where `kind` is
    "auto", an exact index is built instead.
    """
    vectors = check_vectors(vectors)
    if kind != "auto" and kind not in KINDS:
        raise OptionError(f"there is no index {shown(kind)}{did_you_mean(kind, ['auto', *KINDS])}")
    if not 0 < recall <= 1:
        raise OptionError(f"recall is {recall:g}, but a number above 0 and up to 1 is expected")
    sample = _sample_queries(queries)
    start = time.perf_counter()
    index = index_class(choose_kind(len(vectors)) if kind == "auto" else cast("Kind", kind)).build(vectors)
    seconds = time.perf_counter() - start
    if index.settings.nprobe is None:
        return index, _measure(index, sample, 1.0, k, seconds)
    truth = ExactIndex.build(vectors).search(sample, k)
    measured = _recall(index, sample, truth)
    while measured < recall and index.widen():
        measured = _recall(index, sample, truth)
    if measured < recall and kind == "auto":
        return build_index(vectors, queries, kind="exact", k=k)
    if measured < recall:
        raise OptionError(
            f"the recall@{k} of an index of kind {index.kind} is {measured:.3f} at most, but {recall:g} is required; "
            "build an exact one (--kind exact)"
        )
    return index, _measure(index, sample, measured, k, seconds)


def _sample_queries(queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fixed random sample of the queries that are not all zeros."""
    queries = queries[np.abs(queries).max(axis=1, initial=0) > 0]
    if len(queries) <= _SAMPLE_QUERIES:
        return queries
    return queries[np.sort(np.random.default_rng(0).choice(len(queries), _SAMPLE_QUERIES, replace=False))]


def _recall(index: Index, queries: NDArray[np.float32], truth: Neighbours) -> float:
    """Mean share of the true best (B, K) that an index finds, counting equal scores as hits; 1 without queries."""
    if len(queries) == 0:
        return 1.0
    true_scores = truth.scores
    scores = index.search(queries, true_scores.shape[1]).scores
    exists = truth.indices >= 0
    lowest = np.where(exists, true_scores, np.inf).min(axis=1, initial=np.inf)[:, None]  # score that makes a hit
    hits = (scores >= lowest - _ROUNDING * np.maximum(1.0, np.abs(lowest))).sum(axis=1)
    return float(np.minimum(hits, exists.sum(axis=1)).sum() / max(1, int(exists.sum())))


def _measure(index: Index, queries: NDArray[np.float32], recall: float, k: int, seconds: float) -> IndexReport:
    times = []
    for row in range(len(queries)):
        start = time.perf_counter()
        index.search(queries[row : row + 1], k)
        times.append(1000 * (time.perf_counter() - start))
    return IndexReport(
        kind=index.kind,
        n=len(index),
        n_unindexed=index.n_unindexed,
        n_lists=index.settings.n_lists,
        nprobe=index.settings.nprobe,
        n_rescored=index.settings.n_rescored,
        k=k,
        queries=len(queries),
        recall=recall,
        p50_ms=float(np.median(times)) if times else 0.0,
        p95_ms=float(np.quantile(times, 0.95)) if times else 0.0,
        bytes=index.nbytes,
        seconds=seconds,
    )
