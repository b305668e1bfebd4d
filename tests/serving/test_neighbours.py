"""Similarities: cosine times the evidence for the neighbour, for every model."""

from pathlib import Path

import numpy as np
import pytest

import tastespace as ts
from tastespace.data.dataset import Dataset
from tastespace.data.split import whole
from tastespace.data.synthetic import planted_taste
from tastespace.serving.neighbours import HALF_EVIDENCE, unit_rows, weigh_by_evidence
from tests.build import log


def test_lengths_are_shares_of_the_likes() -> None:
    unit = unit_rows(np.array([[3.0, 4.0], [0.0, 0.0], [2.0, 0.0], [0.0, -9.0]], dtype=np.float32))
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0, 0], [1, 0], [0, -1]], rtol=1e-6)
    weighted = weigh_by_evidence(unit, np.array([1.0, 5.0, 0.0, 3.0]))
    assert HALF_EVIDENCE == 1.0
    np.testing.assert_allclose(weighted, [[0.3, 0.4], [0, 0], [0, 0], [0, -0.75]], rtol=1e-6)
    assert weigh_by_evidence(unit[:0], np.zeros(0)).shape == (0, 2)


@pytest.fixture(scope="module")
def uneven() -> Dataset:
    """Two tastes of 20 items; the first items of each are liked by most of their 30 users, the last by one or two."""
    rng = np.random.default_rng(0)
    share = np.maximum(1 - np.arange(20) / 18, 0.03)
    rows = [
        (user, item)
        for user in range(60)
        for item in range(40)
        if item % 2 == user % 2 and rng.random() < share[item // 2]
    ]
    return Dataset("uneven", log(rows, n_users=60, n_items=40))


@pytest.mark.parametrize("name", ["mf", "spectral", "item_knn", "ease", "ncf"])
def test_a_similarity_is_the_cosine_times_the_evidence(uneven: Dataset, tmp_path: Path, name: str) -> None:
    settings = {"mf": {"dim": 8, "epochs": 5}, "ncf": {"epochs": 2}, "spectral": {"dim": 8}}.get(name, {})
    answers = ts.Recommender.build(ts.train(name, whole(uneven), baselines=False, **settings), tmp_path / "b")
    likes = np.bincount(uneven.interactions.item, minlength=40)
    liked, unit = np.flatnonzero(likes), answers.unit_item_vectors()
    assert unit is not None
    assert (likes[liked] == 1).any()
    expected = (unit @ unit.T) * likes / (likes + 1)
    for item in liked[:6].tolist():
        others = liked[liked != item]
        near = answers.similar_items(item, k=len(others))
        assert set(near.items) == set(others.tolist())
        np.testing.assert_allclose(near.scores, expected[item][list(near.items)], atol=1e-5)
        assert list(near.scores) == sorted(near.scores, reverse=True)


def test_users_are_compared_by_the_cosine_alone(uneven: Dataset, tmp_path: Path) -> None:
    answers = ts.Recommender.build(ts.train("spectral", whole(uneven), dim=8, baselines=False), tmp_path / "b")
    unit = unit_rows(
        answers.user_vectors[:, : answers.user_vectors.shape[1] - answers.bundle.manifest["bias_coordinates"]]
    )
    near = answers.similar_users(3, k=8)
    np.testing.assert_allclose(near.scores, unit[list(near.items)] @ unit[3], atol=1e-5)


def test_what_one_user_likes_is_hardly_ever_near_what_most_like(tmp_path: Path) -> None:
    data = planted_taste(1500, 1200, 8, skew=1.0)
    answers = ts.Recommender.build(ts.train("spectral", whole(data), baselines=False), tmp_path / "b")
    likes, unit = answers.loaded.likes, answers.unit_item_vectors()
    assert unit is not None
    popular = np.argsort(-likes)[:20]
    cosine = np.where(likes > 0, unit[popular] @ unit.T, -1.0)
    by_cosine = np.argsort(-cosine, axis=1)[:, 1:11]
    near = [list(answers.similar_items(item, k=10).items) for item in popular.tolist()]
    assert (likes[by_cosine] == 1).mean() > 0.05
    assert (likes[near] == 1).mean() < 0.01


def test_items_known_by_attributes_alone_have_the_evidence_of_those_they_resemble(described: ts.Recommender) -> None:
    extended = described.with_items({1000: {"colour": "white"}, 1001: {"colour": "black"}})
    likes = extended.loaded.likes
    assert likes[-2:].tolist() == [0, 0]
    lengths = np.linalg.norm(extended.loaded.item_neighbour_index.vectors, axis=1)
    assert 0.5 < lengths[-1] < 1
    assert lengths[-1] == pytest.approx(extended.loaded.popularity[-1] / (extended.loaded.popularity[-1] + 1), abs=1e-5)
    assert sum(item % 2 == 1 for item in extended.similar_items(1001, k=6).items) >= 5
