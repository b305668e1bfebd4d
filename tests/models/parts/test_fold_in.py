"""A folded-in history comes close to a trained user with the same positives."""

from dataclasses import replace

import numpy as np
import pytest

from tastespace.data.histories import Histories
from tastespace.data.queries import Queries
from tastespace.models.parts.fold_in import FoldIn, fit_fold_in


def test_a_query_is_the_weighted_mean_scaled_block_by_block_with_a_bias_coordinate() -> None:
    vectors = np.array([[1, 0, 0], [0, 3, 4], [9, 9, 9]], dtype=np.float32)
    fold = FoldIn(vectors, [(1, 2.0), (2, 10.0)], np.array([1.0], dtype=np.float32))
    vectors_of_queries = fold(Queries.of_histories(Histories.of([[0, 1, 2], []], [[1, 1, -1], []])))
    np.testing.assert_allclose(vectors_of_queries, [[2, 6, 8, 1], [0, 0, 0, 1]], rtol=1e-6)


def test_without_blocks_the_mean_stays_as_it_is() -> None:
    fold = FoldIn(np.array([[2.0], [4.0]], dtype=np.float32))
    np.testing.assert_allclose(fold(Queries.of_histories(Histories.of([[0, 1, 1]]))), [[10 / 3]], rtol=1e-6)


def test_users_who_are_a_linear_map_of_their_items_are_found_exactly() -> None:
    rng = np.random.default_rng(0)
    items, W = rng.normal(size=(30, 4)).astype(np.float32), rng.normal(size=(4, 4))
    history = Histories.of([rng.choice(30, 6, replace=False).tolist() for _ in range(400)])
    means = FoldIn(items)(Queries.of_histories(history))
    fold = FoldIn(fit_fold_in(items, (means @ W).astype(np.float32), history))
    np.testing.assert_allclose(fold(Queries.of_histories(history)), means @ W, atol=0.06 * np.abs(means @ W).max())


def test_without_users_the_fit_returns_the_items() -> None:
    items = np.ones((3, 2), dtype=np.float32)
    assert np.array_equal(fit_fold_in(items, np.zeros((1, 2), np.float32), Histories.of([[]])), items)


@pytest.mark.parametrize("history", [[], [7], [3, 1, 4, 1, 5]])
@pytest.mark.parametrize("step", [True, False])
def test_contributions_add_up_to_the_score(history: list[int], step: bool) -> None:
    rng = np.random.default_rng(0)
    items, ones = rng.normal(size=(9, 5)).astype(np.float32), np.ones(1, np.float32)
    vectors = rng.normal(size=(9, 4)).astype(np.float32)
    fold = FoldIn.with_likelihood_step(vectors, [(1, 0.7), (3, 1.1)], ones, items)
    fold = fold if step else replace(fold, likelihood_step=None)
    weights = [1.0, -1.0, 2.0, 0.0, 0.5][: len(history)]
    queries = Queries.of_histories(Histories.of([history], [weights]))
    contributions = fold.contributions(queries, items[2])
    assert contributions.total == pytest.approx(float(fold(queries)[0] @ items[2]), abs=1e-5)
    assert not contributions.history[np.array(weights) <= 0].any()
