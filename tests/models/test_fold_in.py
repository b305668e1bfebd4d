"""Fold-in: a bare history lands where a trained user with the same likes stands."""

import numpy as np
import torch

import tastespace as ts
from tastespace.data.dataset import Dataset
from tastespace.data.histories import Histories
from tastespace.data.queries import Queries
from tastespace.data.split import whole
from tastespace.models.fold_in import FoldIn, fit_fold_in


def test_a_query_is_the_weighted_mean_scaled_part_by_part_with_a_tail() -> None:
    vectors = np.array([[1, 0, 0], [0, 3, 4], [9, 9, 9]], dtype=np.float32)
    fold = FoldIn(vectors, [(1, 2.0), (2, 10.0)], np.array([1.0], dtype=np.float32))
    found = fold(Histories.of([[0, 1, 2], []], [[1, 1, -1], []]))
    np.testing.assert_allclose(found, [[2, 6, 8, 1], [0, 0, 0, 1]], rtol=1e-6)


def test_without_parts_the_mean_stays_as_it_is() -> None:
    fold = FoldIn(np.array([[2.0], [4.0]], dtype=np.float32), (), np.zeros(0, dtype=np.float32))
    np.testing.assert_allclose(fold(Histories.of([[0, 1, 1]])), [[10 / 3]], rtol=1e-6)


def test_users_who_are_a_linear_map_of_their_items_are_found_exactly() -> None:
    rng = np.random.default_rng(0)
    items, W = rng.normal(size=(30, 4)).astype(np.float32), rng.normal(size=(4, 4))
    history = Histories.of([rng.choice(30, 6, replace=False).tolist() for _ in range(400)])
    means = FoldIn(items, (), np.zeros(0, np.float32))(history)
    fold = FoldIn(fit_fold_in(items, (means @ W).astype(np.float32), history), (), np.zeros(0, np.float32))
    np.testing.assert_allclose(fold(history), means @ W, atol=0.06 * np.abs(means @ W).max())


def test_nobody_to_learn_from_leaves_the_items() -> None:
    items = np.ones((3, 2), dtype=np.float32)
    assert np.array_equal(fit_fold_in(items, np.zeros((1, 2), np.float32), Histories.of([[]])), items)


def test_a_user_with_newer_events_is_folded_in(board: Dataset) -> None:
    fit = ts.train("mf", whole(board), dim=8, epochs=5)
    queries = fit.queries(np.array([4, 4]))
    extended = Histories.of([queries.history.items[: queries.history.offsets[1]].tolist()] * 2)
    longer = Histories.of([extended.items[: extended.offsets[1]].tolist(), [*extended.items[: extended.offsets[1]], 1]])
    asked = Queries(np.array([4, 4]), longer)
    assert fit.model.has_row(asked).tolist() == [True, False]
    with torch.no_grad():
        rows = fit.model.encode_queries(asked)
        folded = fit.model.encode_queries(Queries.of_histories(longer))
    assert not torch.allclose(rows[0], folded[0])
    torch.testing.assert_close(rows[1], folded[1])
