"""ItemKNN against dense similarities."""

import numpy as np
import pytest
from numpy.typing import NDArray

import tastespace as ts
from tastespace.data.dataset import Dataset
from tastespace.data.split import whole
from tastespace.data.synthetic import planted_taste
from tastespace.models import item_knn
from tests.models.small import matrix, scores, small


def assert_scores_are_sums_of(similar: NDArray[np.float64], data: Dataset, **settings: object) -> None:
    """Compare with summed similarities (N, N), of users with positives: others get popular items."""
    X = matrix(data)
    similar = similar.copy()
    np.fill_diagonal(similar, 0)
    active = X.any(axis=1)
    np.testing.assert_allclose(
        scores("item_knn", data, recency=1.0, **settings)[active], (X @ similar)[active], atol=1e-5
    )


def shrunk_cosine(X: NDArray[np.float64], users: NDArray[np.float64], shrink: float) -> NDArray[np.float64]:
    weighted = X * users[:, None]
    norms = np.sqrt((weighted**2).sum(axis=0))
    penalty = shrink * np.mean(users[X.any(axis=1)] ** 2)
    return np.asarray(weighted.T @ weighted / (norms[:, None] * norms[None, :] + penalty))


def inverse_frequency(X: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.log((1 + X.shape[1]) / (1 + (X > 0).sum(axis=1))))


def test_item_knn_without_weighting_is_shrunk_cosine() -> None:
    X = matrix(small())
    similar = shrunk_cosine(X, np.ones(len(X)), 3.0)
    assert_scores_are_sums_of(similar, small(), weighting="none", shrink=3.0)


@pytest.mark.parametrize("shrink", [0.0, 3.0])
def test_item_knn_weights_users_by_inverse_frequency(shrink: float) -> None:
    X = matrix(small())
    assert_scores_are_sums_of(shrunk_cosine(X, inverse_frequency(X), shrink), small(), shrink=shrink)


def test_item_knn_with_bm25_saturates_items_with_many_users() -> None:
    X = matrix(small())
    popularity = (X > 0).sum(axis=0)
    saturated = 2.2 / (1.2 * (0.25 + 0.75 * popularity / popularity.mean()) + 1)
    weighted = X * inverse_frequency(X)[:, None] * saturated[None, :]
    assert_scores_are_sums_of(weighted.T @ weighted, small(), weighting="bm25")


def test_item_knn_keeps_the_nearest() -> None:
    fit = ts.train("item_knn", whole(small()), neighbours=2)
    assert (np.diff(fit.model.weights().indptr) == 2).all()


@pytest.mark.parametrize("neighbours", [3, 60, 500])
def test_item_knn_finds_the_same_by_sorting_few_pairs_and_by_searching_all(
    neighbours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, weights = planted_taste(300, 200, 8.0, n_tastes=8), []
    for share in (0.0, 1.0):
        monkeypatch.setattr(item_knn, "_DENSE_FROM", share)
        weights.append(ts.train("item_knn", whole(data), neighbours=neighbours).model.weights().toarray())
    dense, sparse = weights
    assert (dense > 0).sum() > 200
    np.testing.assert_allclose(np.sort(dense, axis=1), np.sort(sparse, axis=1), atol=1e-7)  # equals may change places
    np.testing.assert_allclose(dense.sum(axis=0).mean(), sparse.sum(axis=0).mean(), rtol=1e-6)
