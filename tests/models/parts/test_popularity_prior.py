"""Popularity counts for new users with few positives, and not for known users."""

import numpy as np
import pytest
import torch

import tastespace as ts
from tastespace import models
from tastespace.data.dataset import Dataset
from tastespace.data.histories import Histories
from tastespace.data.queries import Queries
from tastespace.data.split import whole
from tastespace.models.parts.popularity_prior import (
    add_popularity,
    n_distinct_positives,
    popularity_scores,
    popularity_weight,
)
from tests.build import dataset
from tests.models.small import scores, small

PERSONAL = sorted(set(models.names()) - {"popularity", "recent_popularity"})


def queries_of(*lists: list[int], user: int = -1) -> Queries:
    return Queries(np.full(len(lists), user), Histories.of(list(lists)))


def test_popularity_weighs_as_much_as_one_positive_and_little_after_many() -> None:
    assert popularity_weight(queries_of([], [3], [3, 4], list(range(10)))).tolist() == pytest.approx([1, 1, 0.5, 0.1])


def test_dislikes_are_not_counted() -> None:
    history = Histories.of([[1, 2, 3]], [[1, 0, -1]])
    assert popularity_weight(Queries.of_histories(history)).tolist() == [1.0]


def test_a_repeated_item_counts_once() -> None:
    assert popularity_weight(queries_of([5, 5, 5], [5, 6, 5, 6])).tolist() == [1.0, 0.5]
    assert n_distinct_positives(Histories.of([[5, 5], [], [1, 0]], [[1, -1], [], [1, 2]])).tolist() == [1, 0, 2]


def test_known_users_get_popularity_only_without_positives() -> None:
    assert popularity_weight(queries_of([], [3], user=0)).tolist() == [1.0, 0.0]
    scores = np.ones((2, 3), np.float32)
    assert add_popularity(scores, queries_of([0], [1], user=0), np.arange(3, dtype=np.float32)) is scores


def test_popularity_has_the_spread_of_the_scores_of_one_positive() -> None:
    likes = np.array([5, 1, 0, 10])
    popular = popularity_scores(likes, lambda queries: np.tile(np.float32([2, 0, 2, 0]), (len(queries), 1)))
    assert popular.mean() == pytest.approx(0, abs=1e-6)
    assert popular.std() == pytest.approx(1)
    assert np.argsort(popular).tolist() == np.argsort(likes).tolist()


@pytest.mark.parametrize("likes", [np.zeros(3, int), np.full(3, 4), np.zeros(0, int)])
def test_equal_counts_give_no_popularity_scores(likes: np.ndarray) -> None:
    assert not popularity_scores(likes, lambda queries: np.ones((len(queries), len(likes)), np.float32)).any()


@pytest.mark.parametrize("name", PERSONAL)
def test_a_new_user_with_one_positive_gets_more_popular_items(name: str) -> None:
    rng = np.random.default_rng(0)
    share = 0.7 ** np.arange(12)
    rows = [(u, i) for u in range(60) for i in rng.choice(12, 4, replace=False, p=share / share.sum()).tolist()]
    data = dataset(rows, n_users=60, n_items=12)
    likes = np.bincount([item for _, item in rows], minlength=12)
    gradient = {"epochs": 2, "seed": 0} if models.get(name).learns_by_gradient() else {}
    model = ts.train(name, whole(data), **gradient).model
    if name == "two_tower":  # so that the user's own vector says nothing
        torch.nn.init.zeros_(model.user)
    with torch.no_grad():
        new_user, known = (model.score(queries_of([2], user=user)).numpy()[0] for user in (-1, 0))
    more = new_user - known
    assert more @ (likes - likes.mean()) > 0
    assert np.corrcoef(more, likes)[0, 1] > 0.8


@pytest.mark.parametrize("name", ["ease", "item_knn", "spectral", "ials"])
def test_a_known_user_without_positives_gets_popular_items(name: str) -> None:
    data = small(n_users=13)
    log = data.interactions
    by_item = scores(name, Dataset("less", log.take(log.user != 4)))[4]
    likes = np.bincount(log.item[log.user != 4], minlength=9)
    assert likes[np.argsort(-by_item, kind="stable")].tolist() == sorted(likes.tolist(), reverse=True)
