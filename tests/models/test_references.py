"""The references against slow, obvious versions of their formulas."""

import numpy as np
import pytest
import torch

import tastespace as ts
from tastespace import models
from tastespace.data.dataset import Dataset
from tastespace.data.interactions import Interactions
from tastespace.data.split import whole
from tastespace.data.synthetic import power_law
from tastespace.data.vocabulary import Vocabulary
from tastespace.errors import DataError, OptionError, TrainingError
from tastespace.models.spectral import leading_item_vectors, normalise_degrees


def small(seed: int = 0, n_users: int = 12, n_items: int = 9) -> Dataset:
    rng = np.random.default_rng(seed)
    user, item = np.nonzero(rng.random((n_users, n_items)) < 0.4)
    users, items = (Vocabulary(np.arange(n), noun) for n, noun in ((n_users, "user"), (n_items, "item")))
    time = np.arange(len(user)) * 86_400.0
    return Dataset("small", Interactions.of(user, item, users, items, time=time))


def matrix(data: Dataset) -> np.ndarray:
    return data.interactions.matrix().toarray().astype(np.float64)


def scores(name: str, data: Dataset, **settings: object) -> np.ndarray:
    fit = ts.train(name, whole(data), **settings)
    with torch.inference_mode():
        return fit.model.score(fit.queries(np.arange(data.interactions.n_users))).numpy()


def test_ease_is_its_closed_form() -> None:
    data = small()
    X = matrix(data)
    P = np.linalg.inv(X.T @ X + 5.0 * np.eye(X.shape[1]))
    B = np.eye(len(P)) - P / np.diag(P)[None, :]
    active = X.any(axis=1)  # who likes nothing gets what is popular
    np.testing.assert_allclose(scores("ease", data, l2=5.0)[active], (X @ B)[active], atol=1e-5)


@pytest.mark.parametrize("name", ["ease", "item_knn", "spectral", "ials"])
def test_a_known_user_without_likes_gets_what_is_popular(name: str) -> None:
    data = small(n_users=13)
    log = data.interactions
    found = scores(name, Dataset("less", log.take(log.user != 4)))[4]
    likes = np.bincount(log.item[log.user != 4], minlength=9)
    assert likes[np.argsort(-found, kind="stable")].tolist() == sorted(likes.tolist(), reverse=True)


def test_item_knn_is_shrunk_cosine() -> None:
    data = small()
    X = matrix(data)
    norms = np.sqrt((X**2).sum(axis=0))
    similar = X.T @ X / (norms[:, None] * norms[None, :] + 3.0)
    np.fill_diagonal(similar, 0)
    active = X.any(axis=1)  # who likes nothing gets what is popular
    np.testing.assert_allclose(scores("item_knn", data, shrink=3.0)[active], (X @ similar)[active], atol=1e-5)


def test_item_knn_keeps_the_nearest() -> None:
    fit = ts.train("item_knn", whole(small()), neighbours=2)
    assert (np.diff(fit.model.weights().indptr) == 2).all()


@pytest.mark.parametrize(("dim", "kept"), [(1, 1), (3, 3), (64, 4)])
@pytest.mark.parametrize("smoothing", [0.0, 2.5])
def test_spectral_projects_on_leading_singular_vectors_up_to_a_quarter_of_them(
    dim: int, kept: int, smoothing: float
) -> None:
    data = small(n_users=20, n_items=17)
    X = matrix(data)
    of_users, of_items = (np.maximum(X.sum(axis=axis), 1) + smoothing for axis in (1, 0))
    right = np.linalg.svd(X / np.sqrt(of_users[:, None] * of_items[None, :]))[2][:kept].T  # (N, d)
    found = scores("spectral", data, dim=dim, degree_exponent=0.5, smoothing=smoothing)
    expected = (X / X.sum(axis=1, keepdims=True).clip(1) / np.sqrt(of_items)) @ right @ right.T * np.sqrt(of_items)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("passes", "off"), [(0, 1e-5), (6, 0.02)])
def test_leading_vectors_of_a_large_log_span_what_an_exact_decomposition_spans(passes: int, off: float) -> None:
    liked = power_law(700, 600, 12_000, n_tastes=8, exponent=0.3).interactions.matrix()
    found = leading_item_vectors(liked, 8, 1.0, passes)
    exact = np.linalg.svd(normalise_degrees(liked, 1.0).toarray())[2][:8].T
    np.testing.assert_allclose(np.linalg.svd(found.T @ exact)[1], 1, atol=off)
    np.testing.assert_allclose(found.T @ found, np.eye(8), atol=1e-4)


def test_ease_that_cannot_be_inverted_says_so() -> None:
    with pytest.raises(TrainingError, match="ease cannot invert its matrix with l2=1e-300; raise it"):
        ts.train("ease", whole(small(n_users=3)), l2=1e-300)


def test_popularity_counts_likes() -> None:
    data = small()
    assert np.array_equal(scores("popularity", data)[3], matrix(data).sum(axis=0))


def test_recent_popularity_counts_the_last_days_only() -> None:
    data = small()
    log = data.interactions
    recent = np.bincount(log.item[-3:], minlength=log.n_items)
    assert np.array_equal(scores("popularity", data, days=3.0)[0], recent)


def test_recent_popularity_needs_times() -> None:
    log = small().interactions
    timeless = Interactions.of(log.user, log.item, log.users, log.items)
    with pytest.raises(DataError, match="needs a log with times"):
        ts.train("popularity", whole(Dataset("timeless", timeless)), days=3.0)


def test_recent_popularity_counts_recent_likes_then_all() -> None:
    data = small()
    log = data.interactions
    recent, ever = (np.bincount(items, minlength=log.n_items) for items in (log.item[-3:], log.item))
    found = scores("recent_popularity", data, days=3.0)[5]
    assert np.array_equal(np.floor(found), recent)
    assert np.array_equal(np.argsort(-found, kind="stable"), np.lexsort((np.arange(len(ever)), -ever, -recent)))


def test_a_window_of_the_whole_log_is_popularity() -> None:
    data = small()
    assert np.array_equal(np.floor(scores("recent_popularity", data, days=1e6)), scores("popularity", data))


def test_recent_popularity_of_a_log_without_times_is_refused() -> None:
    log = small().interactions
    timeless = Interactions.of(log.user, log.item, log.users, log.items)
    with pytest.raises(DataError, match="needs a log with times"):
        ts.train("recent_popularity", whole(Dataset("timeless", timeless)))


def test_a_misspelt_model_is_told_the_nearest() -> None:
    with pytest.raises(OptionError, match=r"no model 'easy'; did you mean 'ease'"):
        models.get("easy")


def test_every_model_file_holds_its_model() -> None:
    for name in models.names():
        assert models.get(name).__module__ == f"tastespace.models.{name}"
