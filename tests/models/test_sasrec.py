"""SASRec: what each position sees, and what it predicts."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tastespace.data.histories import Histories
from tastespace.models.parts import transformer
from tests.models.sequences import made


def after(model: object, items: list[int]) -> torch.Tensor:
    """(1 + T, D) vectors after START and after every item."""
    history = Histories.of([items])
    with torch.no_grad():
        return model._hidden_states(transformer.to_table(history, history.from_end))[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize("position", [1, 2, 3, 4])
def test_a_later_item_changes_nothing_before_it(position: int) -> None:
    model = made("sasrec")
    first = [0, 1, 2, 3, 4]
    other = [*first[:position], *(item + 3 for item in first[position:])]
    actual, changed = after(model, first), after(model, other)
    torch.testing.assert_close(actual[: position + 1], changed[: position + 1])
    assert not torch.allclose(actual[position + 1], changed[position + 1])


@given(lists=st.lists(st.lists(st.integers(0, 7), min_size=2, max_size=6, unique=True), min_size=1, max_size=4))
def test_every_position_predicts_the_next_item(lists: list[list[int]]) -> None:
    model = made("sasrec", predict="next")
    batch = model.shifted(np.zeros(len(lists), np.int64), Histories.of(lists), np.random.default_rng(0))
    width = 1 + batch.table.items.shape[1]
    for index, item in zip(batch.positions.tolist(), batch.answers.items.tolist(), strict=True):
        row, column = divmod(index, width)
        position = lists[row].index(item)
        if position == 0:
            assert column == 0  # START
        else:
            assert batch.table.items[row, column - 1] == lists[row][position - 1]
            assert batch.table.valid[row, column - 1]
    assert len(batch.positions) == sum(map(len, lists))


@given(
    lists=st.lists(st.lists(st.integers(0, 7), min_size=2, max_size=6, unique=True), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
def test_without_order_a_position_predicts_all_remaining_items(lists: list[list[int]], seed: int) -> None:
    model = made("sasrec", predict="anywhere")
    batch = model.shifted(np.zeros(len(lists), np.int64), Histories.of(lists), np.random.default_rng(seed))
    answers, width = batch.answers, 1 + batch.table.items.shape[1]
    rows = batch.positions // width
    assert set(rows.tolist()) == set(range(len(lists)))
    for query, row in enumerate(rows.tolist()):
        given_items = answers.given_items[answers.given_rows == query].tolist()
        remaining = answers.items[answers.rows == query].tolist()
        assert sorted(given_items + remaining) == sorted(lists[row])
        position = int(batch.positions[query]) % width
        read = batch.table.items[row, :position][batch.table.valid[row, :position]].tolist()
        assert read == given_items if position else given_items == []
