"""BERT4Rec: which items are masked, and what is predicted for each mask."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tastespace.data.histories import Histories
from tastespace.models.bert4rec import MaskedBatch
from tastespace.models.parts.transformer import to_table
from tests.models.sequences import TINY, made

each_target = pytest.mark.parametrize("predict", ["next", "anywhere"])


def masked(lists: list[list[int]], seed: int = 0, **settings: object) -> MaskedBatch:
    users = np.zeros(len(lists), np.int64)
    return made("bert4rec", **settings).masked(users, Histories.of(lists), np.random.default_rng(seed))


def visible(batch: MaskedBatch, row: int) -> list[int]:
    return batch.visible.items[row, batch.visible.valid[row]].tolist()


@each_target
@given(
    lists=st.lists(st.lists(st.integers(0, 7), min_size=2, max_size=6, unique=True), min_size=1, max_size=4),
    seed=st.integers(0, 99),
    share=st.sampled_from([0.01, 0.5, 0.99]),
)
def test_every_list_has_a_mask_and_a_visible_item(
    predict: str, lists: list[list[int]], seed: int, share: float
) -> None:
    batch = masked(lists, seed, predict=predict, mask_prob=share, last_item_mask_prob=0.3)
    answers = batch.answers
    list_of_query = batch.queries // batch.positions.shape[1]  # (A,)
    for row, items in enumerate(lists):
        hidden = answers.items[list_of_query[answers.rows] == row].tolist()
        assert hidden
        assert visible(batch, row)
        assert sorted(hidden + visible(batch, row)) == sorted(items)


@each_target
def test_a_mask_does_not_see_its_item(predict: str) -> None:
    model = made("bert4rec", predict=predict)
    first = model.masked(np.zeros(1, np.int64), Histories.of([[0, 1, 2, 3]]), np.random.default_rng(5))
    hidden = first.answers.items.tolist()
    other = [[i + 4 if i in hidden else i for i in range(4)]]
    second = model.masked(np.zeros(1, np.int64), Histories.of(other), np.random.default_rng(5))
    assert second.answers.items.tolist() != hidden
    with torch.no_grad():
        answers = [model._predict(batch.visible, batch.positions) for batch in (first, second)]
    assert torch.equal(answers[0], answers[1])


def test_the_last_item_alone_is_masked_at_probability_one() -> None:
    batch = masked([[1, 2, 3], [4, 5]], predict="next", last_item_mask_prob=1.0)
    assert [visible(batch, row) for row in (0, 1)] == [[1, 2], [4]]
    assert batch.answers.items.tolist() == [3, 5]
    assert batch.positions.flatten()[batch.queries].tolist() == [0, 0]


@given(seed=st.integers(0, 99))
def test_a_mask_is_predicted_at_its_position_from_the_end(seed: int) -> None:
    items = [3, 1, 4, 0, 5, 2]
    batch = masked([items], seed, predict="next")
    positions = batch.positions.flatten()[batch.queries]
    assert [items[len(items) - 1 - position] for position in positions] == batch.answers.items.tolist()
    shown = batch.visible.positions[batch.visible.valid]
    assert [items[len(items) - 1 - position] for position in shown] == visible(batch, 0)


def test_gaps_of_a_list_do_not_see_one_another() -> None:
    model = made("bert4rec", predict="next")
    batch = model.masked(np.zeros(1, np.int64), Histories.of([[0, 1, 2, 3, 4, 5]]), np.random.default_rng(1))
    assert batch.positions.shape[1] > 1
    with torch.no_grad():
        together = model._predict(batch.visible, batch.positions)
        alone = model._predict(batch.visible, batch.positions[:, :1])
    torch.testing.assert_close(together[:, :1], alone)


def test_a_position_changes_the_query_only_for_the_next_item() -> None:
    positions = torch.tensor([[0, 5]])
    for predict, equal in (("next", False), ("anywhere", True)):
        model = made("bert4rec", predict=predict)
        batch = model.masked(np.zeros(1, np.int64), Histories.of([[0, 1, 2]]), np.random.default_rng(0))
        with torch.no_grad():
            actual = model._predict(batch.visible, positions)[0]
        assert torch.allclose(actual[0], actual[1]) == equal


def test_lists_longer_than_the_length_are_cut_before_they_are_masked() -> None:
    batch = masked([[0, 1, 2, 3, 4, 5, 6, 7]], predict="anywhere", max_length=3)
    assert len(visible(batch, 0)) + len(batch.answers.items) == 4


def test_each_epoch_hides_something_else() -> None:
    model, rng = made("bert4rec", predict="anywhere"), np.random.default_rng(0)
    epochs = [sorted(b.answers.items.tolist() for b in model.batches(TINY, rng, 100)) for _ in range(5)]
    assert any(epoch != epochs[0] for epoch in epochs)


def test_the_mean_beside_the_blocks_is_of_older_items_alone() -> None:
    model = made("bert4rec", predict="next", transformer_weight=1e-9).eval()

    def predicted(older: int, newer: int) -> torch.Tensor:
        table = to_table(Histories.of([[older, newer]]), np.array([2, 0]))
        return model._predict(table, torch.tensor([[1]]))

    torch.testing.assert_close(predicted(1, 3), predicted(1, 4), rtol=0, atol=1e-6)
    assert not torch.allclose(predicted(1, 3), predicted(5, 3), rtol=0, atol=1e-3)
