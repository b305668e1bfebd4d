"""Filters: which items are allowed, and the note on why a list is short."""

import numpy as np

from tastespace.serving.filters import Filter

NONE = np.zeros(0, dtype=np.int64)


def test_without_limits_everything_is_allowed() -> None:
    item_filter = Filter(3, exclude=NONE, seen=NONE)
    assert item_filter.allowed is None
    assert item_filter.remaining.tolist() == [True, True, True]
    assert item_filter.notes(3, 3) == ()


def test_allowed_items_match_every_limit() -> None:
    matching, fresh = np.array([True, True, True, False]), np.array([True, True, False, True])
    item_filter = Filter(4, exclude=np.array([0]), seen=NONE, allow=np.array([3, 1, 0]), matching=matching, fresh=fresh)
    assert item_filter.allowed is not None
    assert item_filter.allowed.tolist() == [True, True, False, False]
    assert item_filter.remaining.tolist() == [False, True, False, False]
    narrowed = item_filter.restricted_to(np.array([True, False, True, True]))
    assert not narrowed.remaining.any()
    assert item_filter.restricted_to(None) is item_filter


def test_hidden_and_disallowed_items_score_minus_infinity_in_a_copy() -> None:
    scores = np.array([1, 2, 3, 4], dtype=np.float32)
    item_filter = Filter(4, exclude=np.array([1]), seen=np.array([2]), allow=np.array([0, 1, 2]))
    assert item_filter.masked(scores).tolist() == [1, -np.inf, -np.inf, -np.inf]
    assert scores.tolist() == [1, 2, 3, 4]


def test_the_note_counts_what_each_filter_removes() -> None:
    item_filter = Filter(
        5, exclude=np.array([0]), seen=np.array([1]), matching=np.array([True, True, True, False, False])
    )
    assert item_filter.notes(1, 2) == (
        "only 1 item left: 3 of 5 items fit the condition, 1 of these excluded, 1 of these already seen",
    )
    assert Filter(2, exclude=NONE, seen=np.array([0, 1])).notes(0, 1) == ("no items left: 2 already seen",)
