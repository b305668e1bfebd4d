"""Matrix factorisation: every loss learns, biases fold into coordinates, low ratings are used as said."""

from typing import Any

import numpy as np
import pytest
import torch

import tastespace as ts
from tastespace.data.dataset import Dataset
from tastespace.data.histories import Histories
from tastespace.data.interactions import Interactions
from tastespace.data.queries import Queries
from tastespace.data.split import Split, split, whole
from tastespace.evaluation import Evaluator
from tastespace.models.base import Shapes
from tastespace.models.mf import MF, MFConfig


def own_colour(on: Split, **settings: Any) -> float:
    """The share of the items recommended that are of their user's colour."""
    small = {"dim": 8, "learning_rate": 0.05, "epochs": 15, "batch_size": 200, "refit": False, "search": False}
    fit = ts.train("mf", on, baselines=False, **small, **settings)
    actual = Evaluator(on, 5).rank(fit.model.scorer())
    return float(((actual.items % 2) == (actual.users % 2)[:, None]).mean())


@pytest.mark.parametrize("loss", ["softmax", "sampled-softmax", "bpr", "bce"])
def test_every_loss_solves_the_checkerboard(board: Dataset, loss: str) -> None:
    on = split(board, "article")
    assert own_colour(on, loss=loss) > 0.95


@pytest.mark.parametrize("sampling", ["uniform", "popularity", "in-batch", "mixed"])
@pytest.mark.parametrize("loss", ["sampled-softmax", "bpr", "bce"])
def test_every_way_of_sampling_solves_the_checkerboard(board: Dataset, loss: str, sampling: str) -> None:
    on = split(board, "article")
    assert own_colour(on, loss=loss, sampling=sampling) > 0.95


@pytest.mark.parametrize("loss", ["sampled-softmax", "bpr", "bce"])
def test_a_catalogue_smaller_than_the_negatives_trains(board: Dataset, loss: str) -> None:
    fit = ts.train(
        "mf", whole(board), loss=loss, negatives=80, shared_negatives=200, epochs=2, allow_false_negatives=True
    )
    assert np.isfinite(fit.history[-1].loss)


def test_bce_scores_are_log_odds_with_both_biases(board: Dataset) -> None:
    fit = ts.train("mf", split(board, "article"), loss="bce", dim=8, epochs=3, batch_size=200)
    model = fit.model
    assert isinstance(model, MF)
    assert model.sigmoid
    assert model.n_bias == 2
    with torch.inference_mode():
        expected = model.user[3] @ model.item[5] + model.user_bias[3] + model.item_bias[5]
        actual = model.score(fit.queries(np.array([3])))[0, 5]
    assert float(actual) == pytest.approx(float(expected), rel=1e-5)


def _rated(weights: dict[tuple[int, int], float], board: Dataset) -> Dataset:
    log = board.interactions
    pairs = np.array(list(weights))
    extra = Interactions.of(
        np.concatenate([log.user, pairs[:, 0]]),
        np.concatenate([log.item, pairs[:, 1]]),
        log.users,
        log.items,
        weight=np.concatenate([log.weight, list(weights.values())]),
    )
    return Dataset("board with dislikes", extra)


def test_a_disliked_item_falls_in_its_user_s_ranking(board: Dataset) -> None:
    log = board.interactions
    seen = {(int(u), int(i)) for u, i in zip(log.user, log.item, strict=True)}
    disliked = {(user, next(i for i in range(user % 2, 60, 2) if (user, i) not in seen)): -1.0 for user in range(80)}
    positions = {}
    for push in (0.0, 20.0):
        on = whole(_rated(disliked, board))
        fit = ts.train(
            "mf",
            on,
            baselines=False,
            dim=16,
            epochs=30,
            refit=False,
            low_rated="ranked",
            hard_negative_weight=push,
            interaction_weight=0.0,
        )
        with torch.inference_mode():
            scores = fit.model.score(fit.queries(np.arange(80)))
        positions[push] = np.mean([float((scores[u] > scores[u, i]).sum()) for u, i in disliked])
    assert positions[20.0] > positions[0.0] + 5


def test_without_low_ratings_their_options_change_nothing(board: Dataset) -> None:
    on = split(board, "article")
    plain = ts.train(
        "mf", on, epochs=3, hard_negative_weight=0.0, interaction_weight=0.0, neutral_weight=0.0
    ).model.state_dict()
    usual = ts.train("mf", on, epochs=3).model.state_dict()
    assert all(torch.equal(plain[key], usual[key]) for key in plain)


def test_a_user_without_positives_gets_the_item_biases(board: Dataset) -> None:
    log = board.interactions
    on = whole(Dataset("board", log.take(log.user != 4)))
    fit = ts.train("mf", on, epochs=3)
    with torch.inference_mode():
        scores = fit.model.score(Queries(np.array([4]), Histories.of([[]])))
    torch.testing.assert_close(scores[0], 2 * fit.model.item_bias)  # as of a new user without a history


def test_a_batch_holds_every_like_once(board: Dataset) -> None:
    rows = board.interactions
    model = MF(MFConfig(), Shapes(rows.n_users, rows.n_items))
    model.prepare(rows)
    for size in (1, 100, 10_000):
        pairs = [
            (int(batch.users[row]), int(item))
            for batch in model.batches(rows, np.random.default_rng(0), size)
            for row, item in zip(batch.rows, batch.items, strict=True)
        ]
        assert sorted(pairs) == sorted(zip(rows.user.tolist(), rows.item.tolist(), strict=True))


def test_longer_vectors_are_ranked_and_folded_in_without_a_step(board: Dataset) -> None:
    on = whole(board)
    fit = ts.train("mf", on, dim=8, epochs=1, temperature=0.5, degree_exponent=0.5)
    model = fit.model
    assert isinstance(model, MF)
    ranked = model.encode_items()[:, :-1].detach()
    torch.testing.assert_close(ranked, model.config.scaled(model.item).detach() * model.item_length[:, None])
    assert float(model.item_length.std()) > 0
    assert model.fold_in().likelihood_step is None
    assert ts.train("mf", on, dim=8, epochs=1, degree_exponent=0.0).model.fold_in().likelihood_step is not None
