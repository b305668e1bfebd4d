"""The transformers over histories: what they may see, and that nothing else counts."""

import numpy as np
import pytest
import torch

import tastespace as ts
from tastespace import models
from tastespace.data.histories import Histories
from tastespace.data.queries import Queries
from tastespace.data.split import whole
from tastespace.data.synthetic import ring_walk
from tastespace.errors import OptionError
from tastespace.models import layers
from tastespace.models.base import Model, Shapes
from tastespace.models.bert4rec import BERT4Rec, BERT4RecConfig
from tastespace.models.sasrec import SASRec, SASRecConfig
from tests.build import dataset

BOTH = ["bert4rec", "sasrec"]
LOSSES = ["softmax", "sampled-softmax", "bpr", "bce", "gbce"]


def made(name: str, n_users: int = 6, n_items: int = 12, **settings: object) -> Model:
    torch.manual_seed(0)
    cls = models.get(name)
    model = cls(cls.Config(dim=8, **settings), Shapes(n_users, n_items))
    rows = [(u, i, -1 if i == 5 else i != 7) for u in range(n_users) for i in range(n_items)]
    model.prepare(dataset(rows).interactions)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.eval()


def vectors(model: Model, *lists: list[int], weights: list[list[float]] | None = None) -> torch.Tensor:
    with torch.no_grad():
        return model.query_space(Queries.of_histories(Histories.of(lists, weights)))  # type: ignore[return-value]


@pytest.mark.parametrize("name", BOTH)
def test_a_list_is_read_alike_alone_and_beside_longer_ones(name: str) -> None:
    model = made(name)
    alone = vectors(model, [1, 2])
    torch.testing.assert_close(vectors(model, [1, 2], [3, 4, 6, 8, 9, 10])[:1], alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(vectors(model, [], [1, 2])[1:], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", BOTH)
def test_of_a_long_history_only_the_newest_items_count(name: str) -> None:
    model = made(name, length=3)
    torch.testing.assert_close(vectors(model, [9, 10, 11, 1, 2, 3]), vectors(model, [1, 2, 3]))
    assert not torch.allclose(vectors(model, [2, 3]), vectors(model, [1, 2, 3]))


@pytest.mark.parametrize("name", BOTH)
def test_order_counts(name: str) -> None:
    settings = {"ask": "next"} if name == "bert4rec" else {}
    model = made(name, **settings)
    assert not torch.allclose(vectors(model, [1, 2, 3]), vectors(model, [3, 2, 1]))


@pytest.mark.parametrize("name", BOTH)
def test_attitudes_count_where_training_had_them(name: str) -> None:
    model = made(name)
    liked = vectors(model, [1, 5])
    assert not torch.allclose(liked, vectors(model, [1, 5], weights=[[1, -1]]))
    assert not torch.allclose(liked, vectors(model, [1, 5], weights=[[1, 0]]))


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains(name: str, loss: str) -> None:
    fit = ts.train(name, whole(ring_walk()), dim=8, epochs=3, loss=loss, length=20)
    assert fit.history[-1].loss < fit.history[0].loss


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("loss", ["softmax", "sampled-softmax", "bce"])
def test_users_with_one_item_and_items_seen_once_train(name: str, loss: str) -> None:
    rows = [(0, 0), (1, 0), (1, 1), (2, 2), (3, 1), (3, 3), (3, 0)]
    fit = ts.train(name, whole(dataset(rows)), dim=4, epochs=2, loss=loss, candidates=1000, negatives=50)
    assert torch.isfinite(fit.model.score(fit.queries(np.arange(4)))).all()


@pytest.mark.parametrize("name", BOTH)
def test_nothing_left_to_train_on_is_no_error(name: str) -> None:
    """Users with one item alone have nothing to be asked about."""
    fit = ts.train(name, whole(dataset([(0, 0), (1, 1), (2, 2)])), dim=4, epochs=2)
    assert torch.isfinite(fit.model.score(fit.queries(np.arange(3)))).all()


@pytest.mark.parametrize("name", BOTH)
def test_heads_share_the_width(name: str) -> None:
    with pytest.raises(OptionError, match="dim=10 cannot be shared by heads=4"):
        models.get(name).Config(dim=10, heads=4)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_masked_is_not_visible(seed: int) -> None:
    model = made("bert4rec")
    assert isinstance(model, BERT4Rec)
    lists = Histories.of([[0, 1, 2, 3, 4], [5, 6], [1, 3, 9]])
    batch = model.masked(np.array([0, 1, 2]), lists, np.random.default_rng(seed))
    hidden = {(r, i) for r, i in zip(batch.answers.rows.tolist(), batch.answers.items.tolist(), strict=True) if r < 3}
    shown = {(row, int(item)) for row in range(3) for item in batch.visible.items[row][batch.visible.real[row]]}
    assert hidden.isdisjoint(shown)
    assert all(any(r == row for r, _ in hidden) and any(r == row for r, _ in shown) for row in range(3))


def test_a_gap_is_asked_for_at_its_place_from_the_end() -> None:
    model = made("bert4rec")
    assert isinstance(model, BERT4Rec)
    lists = Histories.of([[0, 1, 2, 3, 4]])
    batch = model.masked(np.array([0]), lists, np.random.default_rng(3))
    gaps = batch.answers.items[1:] if len(batch.answers.items) % 2 else batch.answers.items
    apart = batch.answers.items[batch.answers.rows > 0].tolist()
    places = batch.places[0, batch.asked[1:] % batch.places.shape[1]].tolist()
    assert [4 - item for item in apart] == places
    assert len(gaps)


def test_some_histories_mask_their_last_item_alone() -> None:
    model = BERT4Rec(BERT4RecConfig(dim=8, last_share=1.0), Shapes(3, 6))
    lists = Histories.of([[0, 1, 2, 3], [4, 5]])
    assert model._gaps(lists, np.random.default_rng(0)).tolist() == [False, False, False, True, False, True]


@pytest.mark.parametrize(("last", "share"), [(0.0, 1e-9), (0.0, 1 - 1e-9), (0.5, 0.5)])
def test_every_list_has_a_gap_and_something_to_see(last: float, share: float) -> None:
    model = BERT4Rec(BERT4RecConfig(dim=8, last_share=last, mask_share=share), Shapes(3, 6))
    lists = Histories.of([[0, 1], [2, 3, 4], [5, 0, 1, 2]])
    gaps = model._gaps(lists, np.random.default_rng(1))
    for start, end in zip(lists.offsets[:-1], lists.offsets[1:], strict=True):
        assert 0 < gaps[start:end].sum() < end - start


def test_disliked_items_are_never_answers() -> None:
    rows = [(u, i, -1 if i % 3 == 0 else 1) for u in range(4) for i in range(9)]
    for name in BOTH:
        torch.manual_seed(0)
        cls = models.get(name)
        model = cls(cls.Config(dim=8), Shapes(4, 9))
        data = dataset(rows).interactions
        model.prepare(data)
        for batch in model.batches(data, np.random.default_rng(0), 50):
            assert not (batch.answers.items % 3 == 0).any()


def test_no_place_of_sasrec_sees_a_later_one() -> None:
    model = made("sasrec")
    assert isinstance(model, SASRec)
    lists = [Histories.of([[1, 2, 3, 4]]), Histories.of([[1, 2, 9, 10]])]
    first, second = (model._after(layers.lay_out(one, layers.from_end(one))) for one in lists)
    torch.testing.assert_close(first[:, :3], second[:, :3])
    assert not torch.allclose(first[:, 3:], second[:, 3:])


def test_every_place_of_sasrec_asks_for_the_item_after_it() -> None:
    model = SASRec(SASRecConfig(dim=8), Shapes(2, 12))
    rows = dataset([(0, 3), (0, 7), (0, 1), (1, 2), (1, 4)], n_items=12).interactions
    model.prepare(rows)
    batch = model.shifted(np.array([0, 1]), rows.histories(), np.random.default_rng(0))
    assert batch.table.items.tolist() == [[3, 7], [0, 2]]
    assert batch.table.real.tolist() == [[True, True], [False, True]]
    assert batch.answers.items.tolist() == [3, 7, 1, 2, 4]
    assert batch.asked.tolist() == [0, 1, 2, 3, 5]


def test_validation_chooses_how_bert4rec_answers() -> None:
    """On a ring what comes next is one item, so the question with a place must win."""
    fit = ts.train("bert4rec", ts.split(ring_walk(), "leave-last-out"), dim=16)
    assert fit.model.ways[int(fit.model.get_buffer("way"))] == "next"


@pytest.mark.parametrize("ask", ["next", "anywhere"])
def test_bert4rec_can_be_told_how_to_answer(ask: str) -> None:
    fit = ts.train("bert4rec", whole(ring_walk()), dim=8, epochs=2, ask=ask)
    assert fit.model.ways == (ask,)
    assert ("anywhere" in fit.model.state_dict()) == (ask == "anywhere")


def test_a_history_is_cropped_anywhere_but_never_beyond_its_length() -> None:
    lists = Histories.of([[0, 1, 2, 3, 4], [5], []])
    seen = set()
    for seed in range(30):
        part = layers.crop_anywhere(lists, 2, np.random.default_rng(seed))
        assert part.lengths.tolist() == [2, 1, 0]
        seen.add(tuple(part.items[:2].tolist()))
    assert seen == {(0, 1), (1, 2), (2, 3), (3, 4)}
