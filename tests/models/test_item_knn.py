"""ItemKNN against dense cosines."""

import numpy as np

import tastespace as ts
from tastespace.data.split import whole
from tests.models.small import matrix, scores, small


def test_item_knn_is_shrunk_cosine() -> None:
    data = small()
    X = matrix(data)
    norms = np.sqrt((X**2).sum(axis=0))
    similar = X.T @ X / (norms[:, None] * norms[None, :] + 3.0)
    np.fill_diagonal(similar, 0)
    active = X.any(axis=1)  # users without positives get popular items
    np.testing.assert_allclose(scores("item_knn", data, shrink=3.0)[active], (X @ similar)[active], atol=1e-5)


def test_item_knn_keeps_the_nearest() -> None:
    fit = ts.train("item_knn", whole(small()), neighbours=2)
    assert (np.diff(fit.model.weights().indptr) == 2).all()
