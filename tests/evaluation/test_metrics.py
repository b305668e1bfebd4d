import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tastespace.data.histories import Histories
from tastespace.evaluation import metrics
from tests.build import examples

modest = settings(max_examples=examples(80))


def _slow(name: str, found: list[int], relevant: set[int]) -> float:
    """A metric of one list as its textbook sum, place by place."""
    k = len(found)
    places = [place for place, item in enumerate(found, 1) if item in relevant]
    if name == "map":
        total = sum(len([other for other in places if other <= place]) / place for place in places)
        return total / min(k, len(relevant))
    if name == "ndcg":
        ideal = sum(1 / math.log2(place + 1) for place in range(1, min(k, len(relevant)) + 1))
        return sum(1 / math.log2(place + 1) for place in places) / ideal
    return {
        "recall": len(places) / len(relevant),
        "precision": len(places) / k,
        "hit": float(len(places) > 0),
        "mrr": 1 / min(places) if places else 0.0,
    }[name]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("recall", [2 / 4, 0, 1]),
        ("precision", [2 / 3, 0, 1 / 3]),
        ("hit", [1, 0, 1]),
        ("mrr", [1, 0, 1 / 2]),
        ("map", [(1 + 2 / 3) / 3, 0, 1 / 2]),
        ("ndcg", [1.5 / (1.5 + 1 / math.log2(3)), 0, 1 / math.log2(3)]),
    ],
)
def test_metrics_by_hand(name: str, values: list[float]) -> None:
    hits = np.array([[True, False, True], [False, False, False], [False, True, False]])
    found = metrics.PER_USER[name](hits, np.array([4, 2, 1]))
    np.testing.assert_allclose(found, values)
    assert found.dtype == np.float64


@modest
@given(st.sampled_from(sorted(metrics.PER_USER)), st.integers(1, 6), st.data())
def test_metrics_equal_their_textbook_sums(name: str, k: int, data: st.DataObject) -> None:
    n_items = 9
    catalogue = st.lists(st.integers(0, n_items - 1), unique=True)
    lists = data.draw(st.lists(st.tuples(catalogue, catalogue.filter(bool)), min_size=1, max_size=5))
    padded = [(found[:k] + [-1] * k)[:k] for found, _ in lists]
    relevant = Histories.of([wanted for _, wanted in lists])
    hits = metrics.find_hits(np.array(padded), relevant, n_items)
    expected = [_slow(name, found, set(wanted)) for found, (_, wanted) in zip(padded, lists, strict=True)]
    np.testing.assert_allclose(metrics.PER_USER[name](hits, relevant.lengths), expected)


@pytest.mark.parametrize("name", sorted(metrics.PER_USER))
def test_a_list_that_begins_with_all_relevant_items_is_perfect(name: str) -> None:
    hits = np.array([[True, True, True]])
    assert metrics.PER_USER[name](hits, np.array([3])).tolist() == [1]


def test_a_place_without_an_item_is_no_hit() -> None:
    relevant = Histories.of([[3], [0]])  # -1 in row 1 would be item 3 of row 0, were places not checked
    items = np.array([[3, -1], [-1, -1]])
    assert metrics.find_hits(items, relevant, 4).tolist() == [[True, False], [False, False]]


def test_nothing_relevant_is_no_hit() -> None:
    assert metrics.find_hits(np.array([[0, 1]]), Histories.of([[]]), 2).tolist() == [[False, False]]
    assert metrics.find_hits(np.empty((0, 2), dtype=np.int64), Histories.of([]), 2).shape == (0, 2)


def test_large_catalogues_do_not_overflow() -> None:
    relevant = Histories.of([[]] * 2999 + [[1_999_999]])
    items = np.full((3000, 1), 1_999_999)
    assert np.flatnonzero(metrics.find_hits(items, relevant, 2_000_000)).tolist() == [2999]


LISTS = np.array([[0, 1], [0, -1], [0, 2]])  # item 0 three times, 1 and 2 once, 3 never


def test_coverage_by_hand() -> None:
    assert metrics.coverage(LISTS, 4) == 3 / 4


def test_average_popularity_by_hand() -> None:
    assert metrics.average_popularity(LISTS, np.array([4, 2, 0, 7])) == (3 * 4 + 2 + 0) / 5


def test_novelty_by_hand() -> None:
    # of 8 users 4, 2 and 0 (counts as 1) like the items: 1, 2 and 3 bits
    assert metrics.novelty(LISTS, np.array([4, 2, 0, 7]), 8) == pytest.approx((3 * 1 + 2 + 3) / 5)


def test_gini_by_hand() -> None:
    # sorted 0, 1, 1, 3 with coefficients -3, -1, 1, 3: 9 / (4 * 5)
    assert metrics.gini(LISTS, 4) == pytest.approx(9 / 20)


def test_gini_is_0_for_an_even_spread_and_near_1_for_one_item_everywhere() -> None:
    assert metrics.gini(np.array([[0, 1], [2, 3]]), 4) == 0
    assert metrics.gini(np.zeros((9, 1), dtype=np.int64), 1000) == pytest.approx(1 - 1 / 1000)


@modest
@given(st.lists(st.integers(0, 4), min_size=1, max_size=20))
def test_gini_is_half_the_relative_mean_difference(shown: list[int]) -> None:
    counts = [shown.count(item) for item in range(5)]
    differences = sum(abs(a - b) for a in counts for b in counts)
    assert metrics.gini(np.array([shown]), 5) == pytest.approx(differences / (2 * 5 * sum(counts)))


@pytest.mark.parametrize("items", [np.full((2, 3), -1), np.empty((0, 3), dtype=np.int64)])
def test_empty_lists_are_0_in_every_figure(items: np.ndarray) -> None:
    popularity = np.array([1, 2])
    assert metrics.coverage(items, 2) == 0
    assert metrics.novelty(items, popularity, 2) == 0
    assert metrics.average_popularity(items, popularity) == 0
    assert metrics.gini(items, 2) == 0
