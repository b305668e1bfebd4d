"""The sweep: minus the inverse of a symmetric matrix, in its own memory."""

import numpy as np
import pytest
import torch

from tastespace.models.parts import sweep as module
from tastespace.models.parts.sweep import sweep


def correlations(n: int, dtype: torch.dtype) -> torch.Tensor:
    factors = np.random.default_rng(n).normal(size=(n, n + 20))
    return torch.from_numpy(np.atleast_2d(np.corrcoef(factors))).to(dtype)


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 16, 50])
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-4), (torch.float64, 1e-12)])
def test_a_sweep_is_minus_the_inverse(
    n: int, dtype: torch.dtype, error: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK", 8)
    matrix = correlations(n, torch.float64)
    swept = matrix.tril().to(dtype)  # what stands above the diagonal is not read ...
    swept += 7 * torch.triu(torch.ones_like(swept), diagonal=8)  # ... outside the blocks of the diagonal
    for start in range(0, n, 8):
        block = slice(start, start + 8)
        swept[block, block] = matrix[block, block].to(dtype)
    address = swept.data_ptr()
    assert sweep(swept)
    assert swept.data_ptr() == address
    inverse = np.linalg.inv(matrix.numpy())
    np.testing.assert_allclose(-swept.numpy(), inverse, rtol=error, atol=error * np.abs(inverse).max())
    np.testing.assert_array_equal(swept.tril(-8), swept.triu(8).T)


def test_of_no_rows_there_is_nothing_to_do() -> None:
    assert sweep(torch.zeros(0, 0))


@pytest.mark.parametrize("block", [2, 384])
@pytest.mark.parametrize("alike", [1.0, 1 - 1e-7, 1.5, float("nan")])
def test_a_matrix_that_cannot_be_inverted_to_precision_is_refused(
    block: int, alike: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK", block)
    matrix = torch.eye(5)
    matrix[0, 4] = matrix[4, 0] = alike
    assert not sweep(matrix)


def test_the_number_of_threads_changes_nothing() -> None:
    before = torch.get_num_threads()
    swept = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            swept.append(correlations(1000, torch.float32))
            assert sweep(swept[-1])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*swept)


def test_precision_is_that_of_the_numbers() -> None:
    matrix = torch.eye(5, dtype=torch.float64)
    matrix[0, 4] = matrix[4, 0] = 1 - 1e-7
    assert sweep(matrix)
    assert not sweep(matrix.new_tensor(np.eye(5)).fill_(1.0))
