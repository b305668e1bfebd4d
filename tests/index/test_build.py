"""Building: the kind follows from the size, and the search is widened until its recall suffices."""

import numpy as np
import pytest

from tastespace.errors import OptionError
from tastespace.index import build, build_index
from tests.index.planted import planted


def test_queries_of_zeros_are_not_measured() -> None:
    vectors = np.repeat(planted(300), 10, axis=0)
    queries = np.concatenate([planted(20, seed=1), np.zeros((80, 16), np.float32)])
    index, report = build_index(vectors, queries, kind="ivf", recall=1.0)
    assert (index.kind, report.queries) == ("ivf", 20)
    nothing, none = build_index(vectors, queries[20:], kind="ivf")
    assert (none.recall, none.queries, len(nothing)) == (1.0, 0, 3000)


def test_an_unknown_index_and_an_impossible_recall_are_refused() -> None:
    vectors, queries = planted(1000), planted(50, seed=1)
    for wrong in ("hnsw", "IVF!"):
        with pytest.raises(OptionError, match="there is no index"):
            build_index(vectors, queries, kind=wrong)
    for recall in (0, 1.01):
        with pytest.raises(OptionError, match="a number above 0 and up to 1 is expected"):
            build_index(vectors, queries, recall=recall)


def test_the_kind_follows_from_the_number_of_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, queries = planted(600), planted(5, seed=1)
    assert build_index(vectors, queries)[0].kind == "exact"
    monkeypatch.setattr(build, "EXACT_UP_TO", 500)
    assert build_index(vectors, queries)[0].kind == "ivf"


def test_a_recall_that_no_search_reaches_is_refused_or_an_exact_index_built(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, queries = planted(600), planted(5, seed=1)
    monkeypatch.setattr(build, "_recall", lambda *_: 0.5)
    monkeypatch.setattr(build, "EXACT_UP_TO", 500)
    with pytest.raises(OptionError, match=r"recall@10 of an index of kind ivf is 0\.500 at most, but 0\.9 is required"):
        build_index(vectors, queries, kind="ivf", recall=0.9)
    index, report = build_index(vectors, queries, recall=0.9)
    assert (index.kind, report.kind, report.recall) == ("exact", "exact", 1.0)


def test_recall_counts_equal_scores_as_hits() -> None:
    vectors = np.ones((20, 4), dtype=np.float32)
    index = build.ExactIndex.build(vectors)
    queries = np.ones((2, 4), dtype=np.float32)
    truth = index.search(queries, 5, exclude=[np.arange(10)] * 2)
    assert build._recall(index, queries, truth) == 1.0
