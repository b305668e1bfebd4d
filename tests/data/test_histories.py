import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastespace.data.histories import Histories
from tastespace.errors import DataError

_lists = st.lists(st.lists(st.integers(0, 9), max_size=5), max_size=6)


def _as_lists(histories: Histories) -> list[list[int]]:
    return [part.tolist() for part in np.split(histories.items, histories.offsets[1:-1])] if len(histories) else []


@given(_lists)
def test_lists_survive(lists: list[list[int]]) -> None:
    histories = Histories.of(lists)
    assert len(histories) == len(lists)
    assert _as_lists(histories) == lists
    assert histories.lengths.tolist() == [len(one) for one in lists]
    assert histories.rows.tolist() == [row for row, one in enumerate(lists) for _ in one]


@given(_lists, st.data())
def test_take_gives_the_lists_at_the_indices(lists: list[list[int]], data: st.DataObject) -> None:
    wanted = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=8)) if lists else []
    taken = Histories.of(lists).take(np.array(wanted, dtype=np.int64))
    assert _as_lists(taken) == [lists[index] for index in wanted]


@given(_lists, st.data())
def test_keep_drops_items_and_no_list(lists: list[list[int]], data: st.DataObject) -> None:
    total = sum(map(len, lists))
    mask = data.draw(st.lists(st.booleans(), min_size=total, max_size=total))
    kept = Histories.of(lists).keep(np.array(mask, dtype=bool))
    flags = iter(mask)
    assert _as_lists(kept) == [[item for item in one if next(flags)] for one in lists]


@given(_lists)
def test_the_matrix_counts_every_item(lists: list[list[int]]) -> None:
    expected = np.zeros((len(lists), 10))
    for row, one in enumerate(lists):
        for item in one:
            expected[row, item] += 1
    np.testing.assert_array_equal(Histories.of(lists).matrix(10).toarray(), expected)


def test_positives_keep_liked_items_with_their_weights() -> None:
    liked = Histories.of([[1, 2], [3]], [[2.0, 0.0], [-1.0]]).positives()
    assert _as_lists(liked) == [[1], []]
    assert liked.weights.tolist() == [2.0]


@pytest.mark.parametrize(
    ("items", "offsets", "weights", "message"),
    [
        ([], [], [], "history offsets must start at 0"),
        ([1], [0], [1], "history offsets must start at 0 and end at the number of items"),
        ([1], [1, 1], [1], "history offsets must start at 0"),
        ([1, 2], [0, 2, 1, 2], [1, 1], "history offsets must not fall"),
        ([1, 2], [0, 2], [1], "every item needs one weight"),
    ],
)
def test_histories_cannot_be_built_wrong(items: list, offsets: list, weights: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Histories(np.array(items, np.int32), np.array(offsets, np.int64), np.array(weights, np.float32))
