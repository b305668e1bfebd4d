"""Lists as tables, and the laws of what reads them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tastespace.data.histories import Histories
from tastespace.data.queries import Queries
from tastespace.data.split import Split, split, whole
from tastespace.data.synthetic import ring_walk
from tastespace.errors import OptionError
from tastespace.models.parts import transformer
from tastespace.models.parts.transformer import Block, Sequence, Tokens
from tests.build import dataset, log

ragged = st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=1, max_size=5).map(Histories.of)


def lists_of(history: Histories) -> list[list[int]]:
    return [part.tolist() for part in np.split(history.items, history.offsets[1:-1])]


@given(history=ragged)
def test_positions_count_from_the_end(history: Histories) -> None:
    expected = [position for items in lists_of(history) for position in reversed(range(len(items)))]
    assert history.from_end.tolist() == expected


@given(history=ragged, length=st.integers(1, 7), skip=st.integers(0, 3))
def test_crop_keeps_the_newest(history: Histories, length: int, skip: int) -> None:
    actual = transformer.crop(history, length, np.full(len(history), skip))
    assert lists_of(actual) == [items[: max(0, len(items) - skip)][-length:] for items in lists_of(history)]


@given(history=ragged, length=st.integers(1, 7), seed=st.integers(0, 9))
def test_crop_anywhere_is_a_run_as_long_as_may_be(history: Histories, length: int, seed: int) -> None:
    actual = lists_of(transformer.crop_anywhere(history, length, np.random.default_rng(seed)))
    for whole_list, part in zip(lists_of(history), actual, strict=True):
        assert len(part) == min(length, len(whole_list))
        assert any(whole_list[i : i + len(part)] == part for i in range(len(whole_list) - len(part) + 1))


@given(history=ragged, seed=st.integers(0, 9))
def test_shuffled_lists_hold_what_they_held(history: Histories, seed: int) -> None:
    actual = transformer.shuffled(history, np.random.default_rng(seed))
    assert [sorted(items) for items in lists_of(actual)] == [sorted(items) for items in lists_of(history)]


@given(history=ragged)
def test_before_and_from_each_item_make_up_its_list(history: Histories) -> None:
    before, after = lists_of(transformer.prefixes(history)), lists_of(transformer.suffixes(history))
    expected = [(items[:i], items[i:]) for items in lists_of(history) for i in range(len(items))]
    if expected:
        assert list(zip(before, after, strict=True)) == expected


@given(history=ragged)
def test_a_table_holds_each_list_at_its_right_end(history: Histories) -> None:
    table = transformer.to_table(history, history.from_end)
    for row, items in enumerate(lists_of(history)):
        pad = table.items.shape[1] - len(items)
        assert table.valid[row].tolist() == [False] * pad + [True] * len(items)
        assert table.items[row, pad:].tolist() == items
        assert table.positions[row, pad:].tolist() == list(reversed(range(len(items))))


def test_feedback_is_the_sign_of_the_weight() -> None:
    history = Histories.of([[3, 1, 2]], [[-0.5, 0, 2]])
    assert transformer.to_table(history, history.from_end).feedback.tolist() == [[0, 1, 2]]


@given(lengths=st.lists(st.integers(2, 30), max_size=40), size=st.integers(1, 200))
def test_every_list_is_in_one_step_of_an_epoch(lengths: list[int], size: int) -> None:
    steps = list(transformer.batches_by_length(np.array(lengths, np.int64), size, np.random.default_rng(0)))
    assert sorted(np.concatenate([[], *steps]).tolist()) == list(range(len(lengths)))


def test_steps_hold_lists_of_like_length() -> None:
    lengths = np.tile([2, 50], 100)
    steps = [
        set(lengths[step].tolist()) for step in transformer.batches_by_length(lengths, 100, np.random.default_rng(0))
    ]
    assert sum(len(lengths_of_step) > 1 for lengths_of_step in steps) <= 1  # where short ones end


def tokens(**settings: object) -> Tokens:
    torch.manual_seed(0)
    return Tokens(Sequence(dim=4, **{"recency": 1.0, **settings}), 10).eval()  # type: ignore[arg-type]


def test_nothing_of_pad_is_attended_to_or_added() -> None:
    model, history = tokens(), Histories.of([[1], [1, 2, 3]])
    table = transformer.to_table(history, history.from_end)
    _, real = model(table)
    assert real[0, 0, 0].tolist() == [True, False, False, True]
    alone = transformer.to_table(Histories.of([[1]]), np.zeros(1, np.int64))
    means = model.history_means(table, table.positions[:, None])
    torch.testing.assert_close(means[:1], model.history_means(alone, alone.positions[:, None]))


@pytest.mark.parametrize("recency", [1.0, 0.5])
def test_an_item_weighs_less_the_further_away_it_is(recency: float) -> None:
    model = tokens(recency=recency).eval()
    history = Histories.of([[1, 2, 3]])
    table = transformer.to_table(history, history.from_end + 700)  # only differences count
    weights = torch.tensor([recency**2, recency, 1.0])
    vectors = model.history_item[transformer._LIKED * len(model.item) + torch.tensor([1, 2, 3])]
    found = model.history_means(table, table.positions[:, None])[0, 0]
    torch.testing.assert_close(found, (weights[:, None] * vectors).sum(dim=0) / weights.sum())
    nothing = torch.zeros(1, 1, 3, dtype=torch.bool)
    assert model.history_means(table, table.positions[:, None], nothing).count_nonzero() == 0


def test_a_block_does_not_see_what_is_not_allowed() -> None:
    torch.manual_seed(0)
    block = Block(Sequence(dim=4)).eval()
    queries, keys = torch.randn(1, 1, 4), torch.randn(1, 3, 4)
    other = keys.clone()
    other[0, 1] = 7.0
    allowed = torch.tensor([True, False, True])[None, None, None]
    torch.testing.assert_close(block(queries, keys, allowed), block(queries, other, allowed))
    assert not torch.allclose(block(queries, keys, ~allowed), block(queries, other, ~allowed))


def test_feedback_unseen_in_training_is_not_read() -> None:
    model, rows = tokens(), log([(0, 0, 1), (0, 1, 1), (1, 1, -1)], n_items=10)
    model.prepare(rows, torch.zeros(10), torch.ones(10))
    history = Histories.of([[1, 2, 3]], [[1, 0, -1]])
    assert lists_of(model.with_known_feedback(history)) == [[1, 3]]


def test_a_batch_keeps_its_order() -> None:
    model, history = tokens(), Histories.of([[1, 2, 3], [], [4], [5, 6]])
    queries = Queries(np.array([0, -1, -1, -1]), history)
    actual = model.query_vectors(queries, lambda part: torch.from_numpy(part.lengths).float()[:, None].expand(-1, 4))
    torch.testing.assert_close(actual[:, 0] > 0, torch.tensor([True, False, True, True]))
    assert actual.shape == (4, 5)
    assert actual[:, -1].tolist() == [1.0, 2.0, 2.0, 1.5]  # 1, and the popularity weight for new users


def test_long_batches_are_encoded_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformer, "_TOKENS_PER_QUERY_BATCH", 4)
    sizes: list[int] = []

    def encode(part: Histories) -> torch.Tensor:
        sizes.append(len(part))
        return torch.ones(len(part), 4) * torch.from_numpy(part.items[part.offsets[:-1]])[:, None]

    actual = tokens(loss="bpr").query_vectors(Queries.of_histories(Histories.of([[i, i] for i in range(10)])), encode)
    assert actual[:, 0].tolist() == list(range(10))
    assert len(sizes) > 1


def test_heads_that_cannot_share_the_width_are_refused() -> None:
    with pytest.raises(OptionError, match="dim=6 cannot be shared by heads=4; choose a multiple of it"):
        Sequence(dim=6, heads=4)


@pytest.mark.parametrize(("protocol", "predict"), [("leave-last-out", "next"), ("article", "anywhere")])
def test_targets_are_those_of_the_validation_rows(protocol: str, predict: str) -> None:
    assert Sequence().resolve(split(ring_walk(), protocol)).predict == predict
    assert Sequence(predict="next").resolve(split(ring_walk(), protocol)).predict == "next"


def test_without_test_rows_the_next_item_is_predicted() -> None:
    on: Split = whole(dataset([(0, 0), (0, 1), (1, 0), (1, 1)]))
    assert on.validates_on_newest()
    assert Sequence().resolve(on).predict == "next"
