"""Small logs built by hand or drawn by hypothesis, for any test."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from tastespace.data.dataset import Dataset
from tastespace.data.interactions import Interactions
from tastespace.data.vocabulary import Vocabulary


def examples(most: int) -> int:
    """Number of hypothesis examples for a test that needs at most `most`; fewer under the `fast` profile."""
    return min(most, settings().max_examples)


def numbered(n: int, noun: str) -> Vocabulary:
    """The ids 0 .. n - 1."""
    return Vocabulary(np.arange(n, dtype=np.int64), noun)


def log(rows: Sequence[Sequence[float]], *, n_users: int | None = None, n_items: int | None = None) -> Interactions:
    """From rows of (user, item), (user, item, weight) or (user, item, weight, time), as indices."""
    columns = list(zip(*rows, strict=True)) if rows else [(), ()]
    user, item = (np.array(column, dtype=np.int64) for column in columns[:2])
    return Interactions.of(
        user,
        item,
        numbered(int(user.max(initial=-1)) + 1 if n_users is None else n_users, "user"),
        numbered(int(item.max(initial=-1)) + 1 if n_items is None else n_items, "item"),
        weight=np.array(columns[2], dtype=np.float64) if len(columns) > 2 else None,
        time=np.array(columns[3], dtype=np.float64) if len(columns) > 3 else None,
    )


def dataset(rows: Sequence[Sequence[float]], **sizes: Any) -> Dataset:
    """The rows of `log` as a dataset named "tiny"."""
    return Dataset("tiny", log(rows, **sizes))


def pairs(rows: Interactions) -> list[tuple[int, int]]:
    """(user, item) of every row, in order."""
    return list(zip(rows.user.tolist(), rows.item.tolist(), strict=True))


@st.composite
def logs(draw: st.DrawFn, *, max_users: int = 5, max_items: int = 8, max_rows: int = 60) -> Interactions:
    """Small logs of distinct pairs with weights -1, 0 or 1, half of them with (often equal) times."""
    n_users, n_items = draw(st.integers(1, max_users)), draw(st.integers(1, max_items))
    cells = st.integers(0, n_users * n_items - 1)
    drawn = draw(st.lists(cells, min_size=1, max_size=max_rows, unique=True))
    weights = draw(st.lists(st.sampled_from([-1, 0, 1, 1, 1]), min_size=len(drawn), max_size=len(drawn)))
    rows: list[tuple[float, ...]] = [(c // n_items, c % n_items, w) for c, w in zip(drawn, weights, strict=True)]
    if draw(st.booleans()):
        times = draw(st.lists(st.integers(0, 4), min_size=len(drawn), max_size=len(drawn)))
        rows = [(*row, time) for row, time in zip(rows, times, strict=True)]
    return log(rows, n_users=n_users, n_items=n_items)
