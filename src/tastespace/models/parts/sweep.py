"""Inverse of a large symmetric matrix in its own memory, block by block.

The sweep operator (Goodnight 1979, "A tutorial on the sweep operator"), over blocks of rows: as many operations as
Cholesky factor and inverse, n^3, nearly all of them in products of blocks, close to the peak of the cores. Each product
runs on one thread, and threads take them one after the other: the result does not depend on their number, and they
seldom wait. That matters where other programs run too. With four more of them on two cores, 6,000 rows took 10 s
so, and 22 s with two threads sharing each product; LAPACK's own routines (OpenBLAS, two threads) took 9 s for 2,000.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from torch import Tensor

_BLOCK = 384  # rows; the fastest of 256, 384, 512 and 1,024
_PANEL = 2048  # rows of a panel that one thread multiplies
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
    with _workers() as workers:
        for start in range(0, n, _BLOCK):
            if not _sweep_block(matrix, start, min(start + _BLOCK, n), workers):
                return False
    _mirror(matrix)
    inflation = float(-matrix.diagonal().min()) if n else 1.0
    return bool(torch.isfinite(matrix.sum())) and inflation * torch.finfo(matrix.dtype).eps < _LARGEST_ERROR


def _sweep_block(matrix: Tensor, start: int, end: int, workers: ThreadPoolExecutor) -> bool:
    """Sweep the lower triangle (n, n) on the rows from `start` to `end`; False where they are not positive definite."""
    factor, failed = torch.linalg.cholesky_ex(matrix[start:end, start:end].double())
    if failed:
        return False
    inverse = torch.cholesky_inverse(factor).to(matrix.dtype)  # (b, b)
    panel = torch.cat([matrix[start:end, :start].T, matrix[start:end, start:end], matrix[end:, start:end]])  # (n, b)
    product = torch.empty_like(panel)

    def multiply(row: int) -> None:
        rows = slice(row, row + _PANEL)
        torch.mm(panel[rows], inverse, out=product[rows])

    def update(column: int) -> None:
        lower = matrix[column:, column : column + _BLOCK]
        torch.addmm(lower, product[column:], panel[column : column + _BLOCK].T, alpha=-1, out=lower)

    list(workers.map(multiply, range(0, len(matrix), _PANEL)))
    list(workers.map(update, range(0, len(matrix), _BLOCK)))
    matrix[start:end, :start] = product[:start].T
    matrix[end:, start:end] = product[end:]
    matrix[start:end, start:end] = -inverse
    return True


def _mirror(matrix: Tensor) -> None:
    """Copy the lower triangle to the upper."""
    for start in range(0, len(matrix), _BLOCK):
        end = start + _BLOCK
        matrix[start:end, end:] = matrix[end:, start:end].T


@contextmanager
def _workers() -> Iterator[ThreadPoolExecutor]:
    """As many threads as torch uses, each of which computes alone."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(n_threads) as workers:
            yield workers
    finally:
        torch.set_num_threads(n_threads)
