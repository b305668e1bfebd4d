"""Spectral against numpy's full SVD."""

import numpy as np
import pytest

from tastespace.data.synthetic import power_law
from tastespace.models.spectral import leading_item_vectors, normalise_degrees
from tests.models.small import matrix, scores, small


@pytest.mark.parametrize(("dim", "n_vectors"), [(1, 1), (3, 3), (64, 4)])
@pytest.mark.parametrize("smoothing", [0.0, 2.5])
def test_spectral_projects_on_leading_singular_vectors_up_to_a_quarter_of_them(
    dim: int, n_vectors: int, smoothing: float
) -> None:
    data = small(n_users=20, n_items=17)
    X = matrix(data)
    of_users, of_items = (np.maximum(X.sum(axis=axis), 1) + smoothing for axis in (1, 0))
    right = np.linalg.svd(X / np.sqrt(of_users[:, None] * of_items[None, :]))[2][:n_vectors].T  # (N, d)
    vectors = scores("spectral", data, recency=1.0, dim=dim, degree_exponent=0.5, smoothing=smoothing)
    expected = (X / X.sum(axis=1, keepdims=True).clip(1) / np.sqrt(of_items)) @ right @ right.T * np.sqrt(of_items)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(2000, 600), (600, 2000)])
def test_a_flat_spectrum_is_decomposed_nearly_as_well_as_exactly(shape: tuple[int, int]) -> None:
    """Three rows a user: the singular values lie so close together that power iterations of one block lose them."""
    liked = power_law(*shape, 6_000, n_tastes=20, exponent=0.3).interactions.matrix()
    normalised = normalise_degrees(liked, 3.0)
    captured = [np.square(normalised @ leading_item_vectors(liked, 24, 3.0, times)).sum() for times in (0, 4)]
    assert captured[1] > 0.98 * captured[0]
    vectors = leading_item_vectors(liked, 24, 3.0, 4)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(24), atol=1e-3)


@pytest.mark.parametrize(("power_iterations", "tolerance"), [(0, 1e-5), (6, 0.02)])
def test_leading_vectors_of_a_large_log_span_those_of_a_full_svd(power_iterations: int, tolerance: float) -> None:
    liked = power_law(700, 600, 12_000, n_tastes=8, exponent=0.3).interactions.matrix()
    vectors = leading_item_vectors(liked, 8, 1.0, power_iterations)
    exact = np.linalg.svd(normalise_degrees(liked, 1.0).toarray())[2][:8].T
    np.testing.assert_allclose(np.linalg.svd(vectors.T @ exact)[1], 1, atol=tolerance)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(8), atol=1e-4)
