from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastespace.data.interactions import Interactions
from tastespace.errors import DataError
from tests.build import log, logs, numbered, pairs


@given(logs())
def test_histories_are_a_stable_sort_by_user_then_time(rows: Interactions) -> None:
    times = rows.time if rows.time is not None else np.zeros(len(rows))
    expected = [
        [item for _, _, item in sorted((times[n], n, rows.item[n]) for n in range(len(rows)) if rows.user[n] == user)]
        for user in range(rows.n_users)
    ]
    histories = rows.histories()
    assert [histories.take(np.array([u])).items.tolist() for u in range(rows.n_users)] == expected


def test_equal_times_keep_file_order() -> None:
    assert log([(0, 3, 1, 5), (0, 1, 1, 5), (0, 2, 1, 4)]).histories().items.tolist() == [2, 3, 1]


def test_without_times_file_order_is_the_order() -> None:
    assert log([(1, 0), (0, 3), (1, 2), (0, 1)]).histories().items.tolist() == [3, 1, 0, 2]


@given(logs())
def test_liked_neutral_and_disliked_partition_the_rows(rows: Interactions) -> None:
    neutral = rows.take(rows.weight == 0)
    together = pairs(rows.positives()) + pairs(neutral) + pairs(rows.dislikes())
    assert sorted(together) == sorted(pairs(rows))
    assert len(rows.seen()) == len(rows)


@given(logs(), st.data())
def test_take_gives_the_rows_in_the_order_asked(rows: Interactions, data: st.DataObject) -> None:
    wanted = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=10))
    taken = rows.take(np.array(wanted, dtype=np.int64))
    assert pairs(taken) == [pairs(rows)[n] for n in wanted]
    assert taken.weight.tolist() == [rows.weight[n] for n in wanted]


@given(logs())
def test_the_matrix_holds_every_weight(rows: Interactions) -> None:
    expected = np.zeros((rows.n_users, rows.n_items))
    for (user, item), weight in zip(pairs(rows), rows.weight, strict=True):
        expected[user, item] += weight
    np.testing.assert_array_equal(rows.matrix().toarray(), expected)


@pytest.mark.parametrize("rows", [[], [(0, 0)], [(0, 0), (0, 1)]])
def test_logs_of_no_one_and_two_rows(rows: list[tuple[int, int]]) -> None:
    made = log(rows, n_users=2, n_items=2)
    assert len(made) == len(rows)
    assert made.histories().lengths.tolist() == [len(rows), 0]
    assert made.weight.tolist() == [1.0] * len(rows)
    assert np.isnan(made.value).all()


@given(logs(), st.data())
def test_a_changed_cell_changes_the_fingerprint(rows: Interactions, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(rows) - 1))
    weight = rows.weight.copy()
    weight[row] += 1
    assert rows.weighted(weight).fingerprint() != rows.fingerprint()
    assert rows.take(np.arange(len(rows))).fingerprint() == rows.fingerprint()


def test_other_ids_change_the_fingerprint() -> None:
    rows = log([(0, 0), (0, 1)])
    assert replace(rows, users=numbered(2, "user")).fingerprint() != rows.fingerprint()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"item": np.zeros(3, np.int32)}, "the columns of a log must be lists of one length"),
        ({"weight": np.ones((2, 1), np.float32)}, "the columns of a log must be lists of one length"),
        ({"user": np.array([0, 1], np.int32)}, "a user index is outside its vocabulary of 1"),
        ({"item": np.array([0, -1], np.int32)}, "a item index is outside its vocabulary of 2"),
        ({"weight": np.array([1, np.nan], np.float32)}, "row 2 has a weight that is not finite"),
        ({"time": np.array([0, -1.0])}, "row 2 has the time -1.0; seconds since 1970 are expected"),
        ({"time": np.array([np.inf, 1.0])}, "row 1 has the time inf; seconds since 1970 are expected"),
    ],
)
def test_a_log_cannot_be_built_wrong(change: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(log([(0, 0), (0, 1)]), **change)


def test_a_log_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        log([(0, 0)]).weight[0] = 2
