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
each_target = pytest.mark.parametrize("predict", ["next", "anywhere"])


@each_model
@each_target
def test_items_beyond_the_maximum_length_are_ignored(name: str, predict: str) -> None:
    model = made(name, max_length=3, predict=predict)
    actual = vectors(model, [[1, 2, 3], [6, 1, 2, 3], [7, 0, 4, 1, 2, 3]])
    torch.testing.assert_close(actual[1:], actual[:1].expand(2, -1))


@each_model
@each_target
def test_a_history_alone_and_in_a_wider_batch_has_one_vector(name: str, predict: str) -> None:
    model = made(name, predict=predict)
    together = vectors(model, [[1, 2], [], [3, 4, 5, 6, 7], [0]])
    alone = torch.cat([vectors(model, [items]) for items in ([1, 2], [], [3, 4, 5, 6, 7], [0])])
    torch.testing.assert_close(together, alone)
    assert torch.isfinite(together).all()


@each_model
def test_the_order_of_a_history_counts(name: str) -> None:
    actual = vectors(made(name), [[1, 2, 3], [3, 2, 1]])
    assert not torch.allclose(actual[0], actual[1])


@each_model
def test_a_low_rating_is_read_as_one(name: str) -> None:
    actual = vectors(made(name), [[1, 2, 3]] * 2, [[1, 1, 1], [1, -1, 1]])
    assert not torch.allclose(actual[0], actual[1])


@each_model
def test_feedback_unseen_in_training_is_not_read(name: str) -> None:
    model = made(name, log([(0, 0), (0, 1), (1, 2), (1, 0)], n_items=8))
    actual = vectors(model, [[1, 2], [1, 5, 2]], [[1, 1], [1, -1, 1]])
    torch.testing.assert_close(actual[0], actual[1])


@each_model
@each_target
@pytest.mark.parametrize("loss", LOSSES)
def test_only_positives_are_answers(name: str, predict: str, loss: str) -> None:
    model = made(name, predict=predict, loss=loss)
    liked = {(0, 0), (0, 1), (1, 1), (1, 4), (1, 2)}
    for batch in one_epoch(model, TINY):
        answers = batch.answers
        pairs = set(zip(answers.users[answers.rows].tolist(), answers.items.tolist(), strict=True))
        assert pairs <= liked
        unliked = set(zip(answers.users[answers.unliked_rows].tolist(), answers.unliked_items.tolist(), strict=True))
        assert unliked <= {(0, 2), (0, 3)}


@each_model
@each_target
def test_given_items_are_not_answers(name: str, predict: str) -> None:
    rows = split(checkerboard(), "article").train
    n_given = 0
    for batch in one_epoch(made(name, rows, predict=predict), rows):
        answers = batch.answers
        given = set(zip(answers.given_rows.tolist(), answers.given_items.tolist(), strict=True))
        assert not given & set(zip(answers.rows.tolist(), answers.items.tolist(), strict=True))
        n_given += len(given)
    assert n_given > 0


@each_model
@each_target
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_falls(name: str, predict: str, loss: str) -> None:
    rows = split(checkerboard(n_users=12, n_items=16), "article").train
    model = made(name, rows, blocks=1, predict=predict, loss=loss, negatives=20, shared_negatives=40)  # of 16 items
    losses = trained(model, rows, epochs=9)
    assert np.isfinite(losses).all()
    assert np.mean(losses[-3:]) < 0.95 * np.mean(losses[:3])


@each_model
@each_target
def test_users_of_one_item_leave_nothing_to_train_on(name: str, predict: str) -> None:
    rows = log([(0, 0), (1, 1), (2, 0)], n_items=3)
    model = made(name, rows, predict=predict)
    assert one_epoch(model, rows) == []
    assert torch.isfinite(vectors(model, [[0], []])).all()


@each_model
@each_target
@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_without_positives_does_not_fail(name: str, predict: str, loss: str) -> None:
    rows = log([(0, 0, 1), (0, 1, 1), (1, 0, -1), (1, 2, 0), (1, 1, -1)])
    assert np.isfinite(trained(made(name, rows, predict=predict, loss=loss), rows, epochs=2)).all()


@each_model
def test_items_are_scored_by_the_input_vectors_and_biases(name: str) -> None:
    model = made(name, loss="bpr")
    with torch.no_grad():
        assert torch.equal(model.encode_items(), torch.cat([model.tokens.item, model.tokens.bias[:, None]], dim=1))
        before = vectors(model, [[1, 2]])
        model.tokens.item[2, ::2] += 1.0
    assert not torch.allclose(vectors(model, [[1, 2]]), before)


@each_model
@each_target
def test_a_trained_model_predicts_as_the_split_tests(name: str, predict: str) -> None:
    on = split(checkerboard(n_users=24, n_items=16), "article" if predict == "anywhere" else "leave-last-out")
    assert train(name, on, dim=8, epochs=1).model.config.predict == predict
