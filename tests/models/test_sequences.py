"""Laws of every model that reads a history in order."""

import numpy as np
import pytest
import torch

from tastespace.data.split import split
from tastespace.data.synthetic import checkerboard
from tastespace.training.fit import train
from tests.build import log
from tests.models.sequences import LOSSES, TINY, made, one_epoch, trained, vectors

NAMES = ["bert4rec", "sasrec"]
each_model = pytest.mark.parametrize("name", NAMES)
each_ask = pytest.mark.parametrize("ask", ["next", "anywhere"])


@each_model
@each_ask
def test_items_older_than_the_length_change_nothing(name: str, ask: str) -> None:
    model = made(name, max_length=3, predict=ask)
    found = vectors(model, [[1, 2, 3], [6, 1, 2, 3], [7, 0, 4, 1, 2, 3]])
    torch.testing.assert_close(found[1:], found[:1].expand(2, -1))


@each_model
@each_ask
def test_a_history_alone_and_in_a_wider_batch_has_one_vector(name: str, ask: str) -> None:
    model = made(name, predict=ask)
    together = vectors(model, [[1, 2], [], [3, 4, 5, 6, 7], [0]])
    alone = torch.cat([vectors(model, [one]) for one in ([1, 2], [], [3, 4, 5, 6, 7], [0])])
    torch.testing.assert_close(together, alone)
    assert torch.isfinite(together).all()


@each_model
def test_the_order_of_a_history_counts(name: str) -> None:
    found = vectors(made(name), [[1, 2, 3], [3, 2, 1]])
    assert not torch.allclose(found[0], found[1])


@each_model
def test_a_low_rating_is_read_as_one(name: str) -> None:
    found = vectors(made(name), [[1, 2, 3]] * 2, [[1, 1, 1], [1, -1, 1]])
    assert not torch.allclose(found[0], found[1])


@each_model
def test_an_attitude_that_training_never_showed_is_not_read(name: str) -> None:
    model = made(name, log([(0, 0), (0, 1), (1, 2), (1, 0)], n_items=8))
    found = vectors(model, [[1, 2], [1, 5, 2]], [[1, 1], [1, -1, 1]])
    torch.testing.assert_close(found[0], found[1])


@each_model
@each_ask
@pytest.mark.parametrize("loss", LOSSES)
def test_only_likes_are_answers(name: str, ask: str, loss: str) -> None:
    model = made(name, predict=ask, loss=loss)
    liked = {(0, 0), (0, 1), (1, 1), (1, 4), (1, 2)}
    for batch in one_epoch(model, TINY):
        asked = batch.answers
        pairs = set(zip(asked.users[asked.rows].tolist(), asked.items.tolist(), strict=True))
        assert pairs <= liked
        met = set(zip(asked.users[asked.unliked_rows].tolist(), asked.unliked_items.tolist(), strict=True))
        assert met <= {(0, 2), (0, 3)}


@each_model
@each_ask
def test_what_a_question_tells_is_not_its_answer(name: str, ask: str) -> None:
    rows = split(checkerboard(), "article").train
    told = 0
    for batch in one_epoch(made(name, rows, predict=ask), rows):
        asked = batch.answers
        known = set(zip(asked.given_rows.tolist(), asked.given_items.tolist(), strict=True))
        assert not known & set(zip(asked.rows.tolist(), asked.items.tolist(), strict=True))
        told += len(known)
    assert told > 0


@each_model
@each_ask
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_falls(name: str, ask: str, loss: str) -> None:
    rows = split(checkerboard(n_users=12, n_items=16), "article").train
    losses = trained(made(name, rows, predict=ask, loss=loss, negatives=20, shared_negatives=40), rows)  # of 16 items
    assert np.isfinite(losses).all()
    assert np.mean(losses[-3:]) < 0.95 * np.mean(losses[:3])


@each_model
@each_ask
def test_users_of_one_item_leave_nothing_to_train_on(name: str, ask: str) -> None:
    rows = log([(0, 0), (1, 1), (2, 0)], n_items=3)
    model = made(name, rows, predict=ask)
    assert one_epoch(model, rows) == []
    assert torch.isfinite(vectors(model, [[0], []])).all()


@each_model
@each_ask
@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_without_a_like_is_no_reason_to_fail(name: str, ask: str, loss: str) -> None:
    rows = log([(0, 0, 1), (0, 1, 1), (1, 0, -1), (1, 2, 0), (1, 1, -1)])
    assert np.isfinite(trained(made(name, rows, predict=ask, loss=loss), rows, epochs=2)).all()


@each_model
def test_items_are_scored_by_the_vectors_that_are_read_and_their_biases(name: str) -> None:
    model = made(name, loss="bpr")
    with torch.no_grad():
        assert torch.equal(model.encode_items(), torch.cat([model.tokens.item, model.tokens.bias[:, None]], dim=1))
        before = vectors(model, [[1, 2]])
        model.tokens.item[2, ::2] += 1.0
    assert not torch.allclose(vectors(model, [[1, 2]]), before)


@each_model
@each_ask
def test_a_trained_model_keeps_what_the_split_asks(name: str, ask: str) -> None:
    on = split(checkerboard(n_users=24, n_items=16), "article" if ask == "anywhere" else "leave-last-out")
    assert train(name, on, dim=8, epochs=1).model.config.predict == ask
