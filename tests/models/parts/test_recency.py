"""Newer rows of a history weigh more."""

import numpy as np
import pytest
import torch

import tastespace as ts
from tastespace import models
from tastespace.data.histories import Histories
from tastespace.data.queries import Queries
from tastespace.data.split import split, whole
from tastespace.data.synthetic import planted_taste
from tastespace.models.base import Shapes
from tastespace.models.parts.recency import RECENCIES, recency_factors, weighted_by_recency

WITH_RECENCY = [name for name in models.names() if "recency" in models.get(name).ranges(Shapes(100, 100))]


def test_each_row_weighs_a_share_of_the_next_newer_one() -> None:
    history = Histories.of([[1, 2, 3], [], [4]], [[1.0, -1.0, 1.0], [], [2.0]])
    factors = recency_factors(history, 0.5)
    np.testing.assert_allclose(factors, [3 / 7, 6 / 7, 12 / 7, 1], rtol=1e-6)  # means of 1
    weighted = weighted_by_recency(history, 0.5)
    np.testing.assert_allclose(weighted.weights, history.weights * factors)
    assert weighted.items is history.items
    assert weighted_by_recency(history, 1.0) is history


def test_no_positive_of_a_long_history_vanishes() -> None:
    history = Histories.of([list(range(5000))])
    weighted = weighted_by_recency(history, min(RECENCIES))
    assert (weighted.weights > 0).all()
    assert np.isfinite(weighted.weights).all()
    assert (np.diff(weighted.weights) >= 0).all()


def test_the_values_tried_ascend_to_equal_weights() -> None:
    assert list(RECENCIES) == sorted(RECENCIES)
    assert RECENCIES[-1] == 1


@pytest.mark.parametrize("name", WITH_RECENCY)
def test_the_newest_row_counts_most_in_scores_and_reasons(name: str) -> None:
    data = planted_taste(80, 60, 12, n_tastes=6)
    settings = {"epochs": 3, "refit": False, "dim": 16} if models.get(name).learns_by_gradient() else {}
    model = ts.train(name, whole(data), baselines=False, search=False, recency=0.3, **settings).model.eval()
    lists = Histories.of([[1, 2, 3, 4, 5], [5, 4, 3, 2, 1], [5]])
    queries = Queries.of_histories(lists)
    with torch.no_grad():
        scores = model.score(queries)
    forward, backward, newest = (row - row.mean() for row in scores)

    def alike(one: torch.Tensor, other: torch.Tensor) -> float:
        return float(torch.cosine_similarity(one, other, dim=0))

    assert alike(forward, newest) > alike(backward, newest)
    for place, item in ((0, 30), (1, 30)):
        terms = model.contributions(queries.take(np.array([place])), item)
        if terms is not None:
            assert terms.total == pytest.approx(float(scores[place, item]), abs=1e-3)


@pytest.mark.parametrize("name", ["item_knn", "mf"])
def test_it_is_chosen_where_order_tells_what_comes_next_and_only_there(name: str) -> None:
    settings = {"epochs": 1} if name == "mf" else {}
    for order, in_order in ((0.9, True), (0.0, False)):
        data = planted_taste(400, 100, 12, n_tastes=8, tastes_per_user=3, order=order)
        model = ts.train(name, split(data, "leave-last-out"), baselines=False, **settings).model
        assert (model.config.recency < 1) == in_order
