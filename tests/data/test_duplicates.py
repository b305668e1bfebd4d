from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastespace.data.duplicates import resolve_duplicates
from tastespace.data.interactions import Interactions
from tastespace.data.vocabulary import Vocabulary
from tastespace.errors import DataError, OptionError
from tests.build import log, pairs

ROWS = [(0, 0, 0, 20), (0, 1, 1, 5), (0, 0, 1, 10), (0, 0, -1, 20)]
_cells = st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(-1, 1), st.integers(0, 3))


@pytest.mark.parametrize(
    ("policy", "kept"), [("keep", [0, 1, 2, 3]), ("first", [1, 2]), ("last", [1, 3]), ("max", [1, 2])]
)
def test_each_policy_by_hand(policy: Any, kept: list[int]) -> None:
    settled = resolve_duplicates(log(ROWS), policy, "log.csv")
    assert [(*pair, w) for pair, w in zip(pairs(settled), settled.weight, strict=True)] == [ROWS[n][:3] for n in kept]


def _slow(rows: list[tuple[int, ...]], policy: str) -> list[int]:
    kept = []
    for pair in {row[:2] for row in rows}:
        places = [n for n, row in enumerate(rows) if row[:2] == pair]
        if policy == "first":
            kept.append(min(places, key=lambda n: (rows[n][3], n)))
        elif policy == "last":
            kept.append(max(places, key=lambda n: (rows[n][3], n)))
        else:
            kept.append(max(places, key=lambda n: (rows[n][2], -n)))
    return sorted(kept)


@given(st.lists(_cells, min_size=1, max_size=20), st.sampled_from(["first", "last", "max"]))
def test_one_row_a_pair_stays_as_the_slow_version_has_it(rows: list[tuple[int, ...]], policy: Any) -> None:
    settled = resolve_duplicates(log(rows), policy, "log")
    got = zip(settled.user, settled.item, settled.weight, settled.time, strict=True)  # type: ignore[arg-type]
    assert list(got) == [rows[n] for n in _slow(rows, policy)]


def test_without_times_last_goes_by_file_order() -> None:
    settled = resolve_duplicates(log([(0, 0, 1), (0, 1, 1), (0, 0, -1)]), "last", "log")
    assert settled.weight.tolist() == [1, -1]


def test_of_equal_weights_max_keeps_the_greater_value() -> None:
    rows = log([(0, 0), (0, 0)])
    valued = Interactions.of(rows.user, rows.item, rows.users, rows.items, value=np.array([4.0, 5.0]))
    assert resolve_duplicates(valued, "max", "log").value.tolist() == [5.0]


@pytest.mark.parametrize("policy", ["error", "keep", "first", "last", "max"])
@pytest.mark.parametrize("rows", [[], [(0, 0)], [(0, 0), (0, 1)]])
def test_logs_without_repeats_are_left_alone(rows: list[tuple[int, int]], policy: Any) -> None:
    assert pairs(resolve_duplicates(log(rows), policy, "log")) == rows


@given(st.lists(_cells, min_size=1, max_size=12), st.sampled_from([3, 1000]))
def test_error_raises_exactly_where_a_pair_repeats(rows: list[tuple[int, ...]], n_items: int) -> None:
    made = log(rows, n_items=n_items)  # 3 items: dense, counted; 1,000: sparse, sorted
    repeats = len(rows) - len({row[:2] for row in rows})
    if not repeats:
        assert resolve_duplicates(made, "error", "log") is made
        return
    with pytest.raises(DataError, match=f"log repeats a .* pair in {repeats} rows"):
        resolve_duplicates(made, "error", "log")


def test_the_error_names_row_ids_and_the_choices() -> None:
    rows = Interactions.of(
        np.array([0, 1, 1]), np.array([0, 0, 0]), Vocabulary.of(["ann", "bob"], "user"), Vocabulary.of([7], "item")
    )
    with pytest.raises(DataError) as caught:
        resolve_duplicates(rows, "error", "log.csv")
    assert "first in row 3 (user 'bob', item 7); say what a repeat means with duplicates=..." in str(caught.value)
    assert "last, first or max keep one row a pair, keep keeps them all" in str(caught.value)


def test_an_unknown_policy_gets_the_nearest() -> None:
    with pytest.raises(OptionError, match="duplicates is 'frist'; did you mean 'first'"):
        resolve_duplicates(log([(0, 0)]), "frist", "log")  # type: ignore[arg-type]
