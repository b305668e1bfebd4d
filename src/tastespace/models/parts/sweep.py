"""Inverse of a large symmetric matrix in its own memory, block by block.

The sweep operator (Goodnight 1979, "A tutorial on the sweep operator"), over blocks of rows: as many operations as
Cholesky factor and inverse, n^3, nearly all of them in products of a tall and a wide block. Those run close to the
peak of the cores, and share them well with other programs: with three running on two cores, LAPACK's own routines
(OpenBLAS, two threads), which wait for each other many times, took 9 s for 2,000 rows instead of 0.1.
"""

import torch
from torch import Tensor

_BLOCK = 384  # rows; the fastest of 256, 384, 512 and 1,024
_LARGEST_ERROR = 0.01  # relative, of an element of the diagonal


def working_bytes(n: int, itemsize: int) -> int:
    """Memory that `sweep` takes beside its matrix of n x n numbers of `itemsize` bytes."""
    return 2 * min(_BLOCK, n) * n * itemsize


def sweep(matrix: Tensor) -> bool:
    """Replace a symmetric matrix (n, n) with a diagonal of ones by minus its inverse, using its lower triangle alone.

    False, with the contents undefined, where the matrix is not positive definite to the precision of its numbers: the
    diagonal of the inverse tells how much the error of each grows.
    """
    n = len(matrix)
    for start in range(0, n, _BLOCK):
        end = min(start + _BLOCK, n)
        factor, failed = torch.linalg.cholesky_ex(matrix[start:end, start:end].double())
        if failed:
            return False
        inverse = torch.cholesky_inverse(factor).to(matrix.dtype)  # (b, b)
        panel = torch.cat(
            [matrix[start:end, :start].T, matrix[start:end, start:end], matrix[end:, start:end]]
        )  # (n, b)
        product = panel @ inverse  # (n, b)
        for column in range(0, n, _BLOCK):
            lower = matrix[column:, column : column + _BLOCK]
            torch.addmm(lower, product[column:], panel[column : column + _BLOCK].T, alpha=-1, out=lower)
        matrix[start:end, :start] = product[:start].T
        matrix[end:, start:end] = product[end:]
        matrix[start:end, start:end] = -inverse
    _mirror(matrix)
    inflation = float(-matrix.diagonal().min()) if n else 1.0
    return bool(torch.isfinite(matrix.sum())) and inflation * torch.finfo(matrix.dtype).eps < _LARGEST_ERROR


def _mirror(matrix: Tensor) -> None:
    """Copy the lower triangle to the upper."""
    for start in range(0, len(matrix), _BLOCK):
        end = start + _BLOCK
        matrix[start:end, end:] = matrix[end:, start:end].T
