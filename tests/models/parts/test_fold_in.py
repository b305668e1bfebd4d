"""Fold-in: a bare history lands where a trained user with the same likes stands."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import tastespace as ts
from tastespace.data.dataset import Dataset
from tastespace.data.histories import Histories
from tastespace.data.queries import Queries
from tastespace.data.split import whole
from tastespace.models.parts import likelihood_step
from tastespace.models.parts.fold_in import FoldIn, fit_fold_in


def test_a_query_is_the_weighted_mean_scaled_part_by_part_with_a_tail() -> None:
    vectors = np.array([[1, 0, 0], [0, 3, 4], [9, 9, 9]], dtype=np.float32)
    fold = FoldIn(vectors, [(1, 2.0), (2, 10.0)], np.array([1.0], dtype=np.float32))
    found = fold(Queries.of_histories(Histories.of([[0, 1, 2], []], [[1, 1, -1], []])))
    np.testing.assert_allclose(found, [[2, 6, 8, 1], [0, 0, 0, 1]], rtol=1e-6)


def test_without_parts_the_mean_stays_as_it_is() -> None:
    fold = FoldIn(np.array([[2.0], [4.0]], dtype=np.float32))
    np.testing.assert_allclose(fold(Queries.of_histories(Histories.of([[0, 1, 1]]))), [[10 / 3]], rtol=1e-6)


def test_users_who_are_a_linear_map_of_their_items_are_found_exactly() -> None:
    rng = np.random.default_rng(0)
    items, W = rng.normal(size=(30, 4)).astype(np.float32), rng.normal(size=(4, 4))
    history = Histories.of([rng.choice(30, 6, replace=False).tolist() for _ in range(400)])
    means = FoldIn(items)(Queries.of_histories(history))
    fold = FoldIn(fit_fold_in(items, (means @ W).astype(np.float32), history))
    np.testing.assert_allclose(fold(Queries.of_histories(history)), means @ W, atol=0.06 * np.abs(means @ W).max())


def test_nobody_to_learn_from_leaves_the_items() -> None:
    items = np.ones((3, 2), dtype=np.float32)
    assert np.array_equal(fit_fold_in(items, np.zeros((1, 2), np.float32), Histories.of([[]])), items)


def test_a_user_with_newer_events_is_folded_in(board: Dataset) -> None:
    fit = ts.train("mf", whole(board), dim=8, epochs=5)
    queries = fit.queries(np.array([4, 4]))
    extended = Histories.of([queries.history.items[: queries.history.offsets[1]].tolist()] * 2)
    longer = Histories.of([extended.items[: extended.offsets[1]].tolist(), [*extended.items[: extended.offsets[1]], 1]])
    asked = Queries(np.array([4, 4]), longer)
    assert fit.model.user_rows.answers(asked).tolist() == [True, False]
    with torch.no_grad():
        rows = fit.model.encode_queries(asked)
        folded = fit.model.encode_queries(Queries.of_histories(longer))
    assert not torch.allclose(rows[0], folded[0])
    torch.testing.assert_close(rows[1][:-1], folded[1][:-1])
    assert rows[1][-1] == 1 < folded[1][-1]  # of a stranger, popularity counts more


def test_a_step_makes_the_liked_items_likelier_and_keeps_lengths() -> None:
    rng = np.random.default_rng(0)
    items = rng.normal(size=(50, 5)).astype(np.float32)
    stepped = FoldIn.with_likelihood_step(items[:, :4], [(2, 1.5), (2, 0.8)], np.ones(1, np.float32), items)
    plain = replace(stepped, likelihood_step=None)
    asked = Queries.of_histories(Histories.of([rng.choice(50, 6, replace=False).tolist() for _ in range(40)]))
    found = stepped(asked)
    np.testing.assert_allclose(np.linalg.norm(found[:, :2], axis=1), 1.5, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found[:, 2:4], axis=1), 0.8, rtol=1e-5)
    before, after = (likelihood(vectors @ items.T, asked.history) for vectors in (plain(asked), found))
    assert after.mean() > before.mean()


def likelihood(scores: np.ndarray, history: Histories) -> np.ndarray:
    """(total,) of each item of the histories among all."""
    log = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return np.asarray(log[history.rows, history.items])


def test_among_very_many_items_a_sample_stands_for_those_that_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    items = rng.normal(size=(4000, 5)).astype(np.float32)
    items[:, 4] = np.linspace(3, -3, 4000)  # the bias
    asked = Queries.of_histories(Histories.of([rng.choice(4000, 30, replace=False).tolist() for _ in range(20)]))

    def ask() -> np.ndarray:
        return FoldIn.with_likelihood_step(items[:, :4], [(4, 1.0)], np.ones(1, np.float32), items)(asked)

    exact = ask()
    monkeypatch.setattr(likelihood_step, "_CANDIDATES", 1000)
    plain = FoldIn(items[:, :4], [(4, 1.0)], np.ones(1, np.float32))(asked)
    assert np.abs(ask() - exact).mean() < 0.25 * np.abs(plain - exact).mean()


def test_items_that_come_later_change_no_answer_about_those_before() -> None:
    rng = np.random.default_rng(0)
    items = rng.normal(size=(60, 5)).astype(np.float32)
    asked = Queries.of_histories(Histories.of([[3, 1, 4], [59]]))
    few, more = (
        FoldIn.with_likelihood_step(part[:, :4], [(4, 1.0)], np.ones(1, np.float32), part, 50)(asked)
        for part in (items, np.concatenate([items, items * 3]))
    )
    np.testing.assert_allclose(few, more)


@pytest.mark.parametrize("history", [[], [7], [3, 1, 4, 1, 5]])
@pytest.mark.parametrize("step", [True, False])
def test_parts_add_up_to_the_score(history: list[int], step: bool) -> None:
    rng = np.random.default_rng(0)
    items, ones = rng.normal(size=(9, 5)).astype(np.float32), np.ones(1, np.float32)
    vectors = rng.normal(size=(9, 4)).astype(np.float32)
    fold = FoldIn.with_likelihood_step(vectors, [(1, 0.7), (3, 1.1)], ones, items)
    fold = fold if step else replace(fold, likelihood_step=None)
    weights = [1.0, -1.0, 2.0, 0.0, 0.5][: len(history)]
    asked = Queries.of_histories(Histories.of([history], [weights]))
    parts = fold.contributions(asked, items[2])
    assert parts.total == pytest.approx(float(fold(asked)[0] @ items[2]), abs=1e-5)
    assert not parts.history[np.array(weights) <= 0].any()
