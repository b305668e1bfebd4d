"""EASE against its closed form in dense numpy."""

import numpy as np
import pytest

import tastespace as ts
from tastespace.data.split import whole
from tastespace.errors import TrainingError
from tests.models.small import matrix, scores, small


def test_ease_is_its_closed_form() -> None:
    data = small()
    X = matrix(data)
    P = np.linalg.inv(X.T @ X + 5.0 * np.eye(X.shape[1]))
    B = np.eye(len(P)) - P / np.diag(P)[None, :]
    active = X.any(axis=1)  # users without positives get popular items
    np.testing.assert_allclose(scores("ease", data, l2=5.0)[active], (X @ B)[active], atol=1e-5)


def test_a_singular_matrix_is_an_error() -> None:
    with pytest.raises(TrainingError, match="ease cannot invert its matrix with l2=1e-300; raise it"):
        ts.train("ease", whole(small(n_users=3)), l2=1e-300)
