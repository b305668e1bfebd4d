from collections.abc import Sequence

import pytest

from tastespace.data.split import Split, ready_split, split
from tastespace.evaluation.leaks import find_leaks
from tests.build import dataset, log

Rows = Sequence[Sequence[float]]


def _found(made: Split) -> dict[tuple[str, str], int]:
    return {(finding.kind, finding.name): finding.rows for finding in find_leaks(made)}


def _ready(train: Rows, test: Rows) -> Split:
    return ready_split("by hand", log(train, n_users=3, n_items=4), log(test, n_users=3, n_items=4))


def _last_out(train: Rows, test: Rows) -> Split:
    """A split that promises that test rows come last, whether they do or not."""
    made = _ready(train, test)
    return Split("leave-last-out", made.dataset, made.train, None, made.test, "positives")


def test_a_clean_split_has_no_finding() -> None:
    assert find_leaks(_ready([(0, 0), (1, 1)], [(0, 1), (1, 0)])) == []
    assert find_leaks(_last_out([(0, 0, 1, 1), (1, 1, 1, 5)], [(0, 1, 1, 2), (1, 0, 1, 6)])) == []


def test_test_rows_whose_pair_is_known_are_a_leak() -> None:
    made = _ready([(0, 0), (0, 1), (1, 0)], [(0, 1), (0, 0), (1, 1)])
    assert _found(made) == {("leak", "repeated pairs"): 2}
    assert [finding.message for finding in find_leaks(made)] == ["2 test rows whose user has the item in train"]


def test_validation_rows_count_as_known() -> None:
    rows = [(0, 0), (0, 1), (0, 1), (1, 1), (1, 0), (1, 0)]
    assert _found(split(dataset(rows), "leave-last-out")) == {("leak", "repeated pairs"): 2}


def test_items_and_users_without_a_training_row_are_notes() -> None:
    assert _found(_ready([(0, 0), (1, 1)], [(0, 2), (1, 3), (1, 0)])) == {("note", "cold items"): 2}
    assert _found(_ready([(0, 0), (1, 1)], [(2, 0), (1, 0)])) == {("note", "cold users"): 1}


def test_test_rows_before_a_training_row_of_their_user_are_a_leak() -> None:
    train, test = [(0, 0, 1, 9), (1, 1, 1, 1)], [(0, 1, 1, 8), (1, 0, 1, 2)]
    assert _found(_last_out(train, test)) == {("leak", "future rows"): 1}


def test_test_rows_as_old_as_the_last_training_row_are_a_note() -> None:
    train, test = [(0, 0, 1, 9), (1, 1, 1, 1)], [(0, 1, 1, 9), (1, 0, 1, 2)]
    assert _found(_last_out(train, test)) == {("note", "time ties"): 1}


def test_another_users_later_row_is_no_leak() -> None:
    train, test = [(0, 0, 1, 1), (1, 1, 1, 9)], [(0, 1, 1, 2)]
    assert _found(_last_out(train, test)) == {}


def test_protocols_that_promise_no_order_are_not_blamed_for_it() -> None:
    assert _found(_ready([(0, 0, 1, 9), (1, 1, 1, 9)], [(0, 1, 1, 1)])) == {}


@pytest.mark.parametrize("timed", [True, False])
def test_leave_last_out_never_tests_what_came_before(timed: bool) -> None:
    rows = [(user, item, 1, *([(7 * item + user) % 5] if timed else [])) for user in range(6) for item in range(4)]
    assert ("leak", "future rows") not in _found(split(dataset(rows), "leave-last-out"))
