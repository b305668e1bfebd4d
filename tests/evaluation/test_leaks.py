from collections.abc import Sequence
from dataclasses import replace

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


def _at_time(train: Rows, test: Rows) -> Split:
    """A split that promises that every test row is newer than all others, whether it is or not."""
    made = _ready(train, test)
    return Split("at-time", made.dataset, made.train, None, made.test, "seen")


def test_at_time_any_newer_training_row_is_a_leak() -> None:
    made = _at_time([(0, 0, 1, 1), (1, 1, 1, 9)], [(0, 1, 1, 8), (1, 0, 1, 10), (0, 1, 1, 9)])
    assert _found(made) == {("leak", "future rows"): 1, ("note", "time ties"): 1}
    assert [finding.message for finding in find_leaks(made)] == [
        "1 test rows that are older than a training row",
        "1 test rows as old as the last training row",
    ]


def test_at_time_never_tests_what_came_before_and_tells_whom_it_leaves_out() -> None:
    rows = [(n % 3, n % 7, 1, n // 3) for n in range(60)] + [(3, 0, 1, 30), (0, 1, 1, 31)]
    findings = find_leaks(split(dataset(rows), "at-time"))
    assert {finding.name for finding in findings} == {"repeated pairs", "cold users"}
    assert "1 test rows whose user has no training row; they are left out" in [finding.message for finding in findings]


def test_new_users_are_not_cold_and_new_items_are() -> None:
    rows = [(user, item) for user in range(20) for item in range(20)]
    assert _found(split(dataset(rows), "new-users")) == {}
    assert _found(split(dataset(rows), "new-items")) == {("note", "cold items"): 40}


def test_a_pair_both_given_and_tested_is_a_leak_and_an_item_given_alone_is_cold() -> None:
    users = split(dataset([(user, item) for user in range(20) for item in range(10)]), "new-users")
    assert users.given is not None
    made = replace(users, train=users.train.take(users.train.item > 0), test=users.given.take(users.given.item == 0))
    new = len(made.test)
    assert new > 0
    assert _found(made) == {("leak", "repeated pairs"): new, ("note", "cold items"): new}
    assert find_leaks(made)[0].message == f"{new} test rows whose user has the item in train or among the rows given"
