import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tastespace.errors import OptionError
from tastespace.index import ExactIndex, exact
from tests.build import examples

modest = settings(max_examples=examples(80))
VECTORS = np.array([[1, 0], [2, 0], [0, 3], [2, 0]], dtype=np.float32)


def _grid(data: st.DataObject, rows: int, width: int) -> np.ndarray:
    """Small whole numbers, so that products are exact and ties are many."""
    cells = data.draw(st.lists(st.integers(-2, 2), min_size=rows * width, max_size=rows * width))
    return np.array(cells, dtype=np.float32).reshape(rows, width)


@modest
@given(st.integers(0, 12), st.integers(0, 4), st.integers(1, 3), st.integers(1, 15), st.data())
def test_search_is_brute_force_with_ties_to_the_lower_index(
    n: int, b: int, dim: int, k: int, data: st.DataObject
) -> None:
    vectors, queries = _grid(data, n, dim), _grid(data, b, dim)
    some = st.lists(st.integers(0, n - 1), max_size=n) if n else st.just([])
    allow = data.draw(st.none() | some)
    exclude = data.draw(st.none() | st.lists(some, min_size=b, max_size=b))
    found = ExactIndex.build(vectors).search(
        queries,
        k,
        exclude=None if exclude is None else [np.array(one, dtype=np.int64) for one in exclude],
        allow=None if allow is None else np.isin(np.arange(n), allow),
    )
    for row in range(b):
        left = set(range(n) if allow is None else allow) - set([] if exclude is None else exclude[row])
        best = sorted((-float(sum(queries[row] * vectors[place])), place) for place in left)[:k]
        fill = k - len(best)
        assert found.indices[row].tolist() == [place for _, place in best] + [-1] * fill
        assert found.scores[row].tolist() == [-score for score, _ in best] + [-np.inf] * fill


def test_missing_results_are_minus_one() -> None:
    found = ExactIndex.build(VECTORS).search(np.ones((1, 2), np.float32), 3, exclude=[np.array([2, 3, 1])])
    assert found.indices.tolist() == [[0, -1, -1]]
    assert found.scores.tolist() == [[1, -np.inf, -np.inf]]


def test_each_query_has_its_own_exclusions() -> None:
    queries = np.ones((2, 2), np.float32)
    found = ExactIndex.build(VECTORS).search(queries, 1, exclude=[np.array([2]), np.array([], dtype=np.int64)])
    assert found.indices.tolist() == [[1], [2]]


def test_an_empty_allow_list_leaves_nothing() -> None:
    found = ExactIndex.build(VECTORS).search(np.ones((1, 2), np.float32), 2, allow=np.zeros(4, dtype=bool))
    assert found.indices.tolist() == [[-1, -1]]


def test_blocks_of_queries_equal_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    index, queries = ExactIndex.build(rng.normal(size=(30, 4)).astype(np.float32)), rng.normal(size=(7, 4))
    exclude = [rng.integers(0, 30, 5) for _ in queries]
    whole = index.search(queries.astype(np.float32), 6, exclude=exclude)
    monkeypatch.setattr(exact, "_SCORES_AT_ONCE", 60)
    parts = index.search(queries.astype(np.float32), 6, exclude=exclude)
    np.testing.assert_array_equal(parts.indices, whole.indices)
    np.testing.assert_allclose(parts.scores, whole.scores, rtol=1e-5)


def test_searching_changes_nothing() -> None:
    index = ExactIndex.build(VECTORS.copy())
    index.search(np.ones((1, 2), np.float32), 2, exclude=[np.array([1])])
    np.testing.assert_array_equal(index.vectors, VECTORS)


def test_added_vectors_follow_the_others() -> None:
    index = ExactIndex.build(VECTORS)
    index.add(np.array([[0, 9], [9, 0]], dtype=np.float32))
    assert len(index) == 6
    assert index.search(np.eye(2, dtype=np.float32), 2).indices.tolist() == [[5, 1], [4, 2]]


def test_wrong_shapes_are_refused() -> None:
    index = ExactIndex.build(VECTORS)
    with pytest.raises(OptionError, match=r"vectors \(N, D\) are expected, not an array of 1 dimensions"):
        ExactIndex.build(VECTORS[0])
    for wrong in (np.ones((1, 3), np.float32), np.ones(2, np.float32)):
        with pytest.raises(OptionError, match=r"vectors .*are expected, not"):
            index.add(wrong)
        with pytest.raises(OptionError, match="queries of width 2 are expected, not shape"):
            index.search(wrong, 1)
    with pytest.raises(OptionError, match="k is 0, but at least 1 is expected"):
        index.search(np.ones((1, 2), np.float32), 0)
