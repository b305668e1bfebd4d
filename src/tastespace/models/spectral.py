"""Spectral: a truncated SVD of the degree-normalised matrix of positives, without training.

The low-pass filter that graph models learn slowly, in closed form: Shen et al. 2021, "How powerful is graph
convolution for recommendation?" (GF-CF), its ideal-filter part. Unlike GF-CF there is no linear part, the item side's
degree exponent is an option, and degrees are smoothed before they normalise (Peng et al. 2022, "SVD-GCN").
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import svds
from torch import Tensor

from tastespace.config import AutoFloat, AutoInt, check, option
from tastespace.data.interactions import Interactions
from tastespace.models.base import RECENCY, Factored, Range, Shapes
from tastespace.models.parts.fold_in import FoldIn
from tastespace.models.parts.popularity_prior import popularity_scores
from tastespace.models.parts.recency import recency_option

_BLOCK = 16  # vectors that are multiplied at a time
_SPARE = 32  # oversampling: extra directions, so that the last requested ones converge as well
_ROWS = 2**13  # of the longer side, projected at a time
_DENSE_UP_TO = 500  # rows or columns; a full decomposition is faster than iterating up to here, and never fails

# Decompositions of each log in use, for the candidates of a search that differ in other options, and the model itself.
_decomposed: WeakKeyDictionary[Interactions, dict[tuple[int, float, int], np.ndarray]] = WeakKeyDictionary()
_DECOMPOSED_BYTES = 2**27  # of those of a log, beside the last one


@dataclass(frozen=True)
class SpectralConfig:
    """Dimension, degree normalisation and decomposition."""

    dim: AutoInt = option("auto", "number of singular vectors", usual=(16, 512), at_least=1)
    smoothing: AutoFloat = option(
        "auto", "added to the degrees before normalisation, so that rare items count less", usual=(0, 20), at_least=0
    )
    power_iterations: int = option(
        4, "power iterations of a randomised block SVD of a large log; 0: exact", usual=(3, 8), at_least=0
    )
    degree_exponent: AutoFloat = option(
        "auto", "exponent of the degree that scales each item vector", usual=(0, 1), at_least=0, at_most=10
    )
    recency: AutoFloat = recency_option()

    def __post_init__(self) -> None:
        check(self)


class Spectral(Factored):
    """The positives of a history, projected on the leading singular vectors and back."""

    about = "truncated SVD of the normalised matrix"
    pick = "vectors in a second, close to graph models in accuracy"
    Config = SpectralConfig
    n_bias = 1
    into: Tensor
    out: Tensor
    popular: Tensor

    def __init__(self, config: SpectralConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        self.register_buffer("into", torch.zeros(shapes.n_items, self.config.dim))  # (N, D) history -> vector
        self.register_buffer("out", torch.zeros(shapes.n_items, self.config.dim))  # (N, D) vector -> scores
        self.register_buffer("popular", torch.zeros(shapes.n_items))  # (N,) for queries with a short history

    @classmethod
    def ranges(cls, shapes: Shapes) -> Mapping[str, Range]:
        """Return ranges of all: how many directions carry taste is no function of a log's sizes.

        Logs of equal shape want 32 directions or 512, as tastes are few and broad or many and narrow, and flat
        item vectors where popularity says little; only the start follows the size of the catalogue.
        """
        start = 64 if shapes.n_items < 2500 else 128 if shapes.n_items < 5000 else 256
        return {
            "recency": RECENCY,
            "smoothing": Range((0.0, 3.0, 10.0), 3.0),
            "dim": Range((16, 32, 64, 128, 256, 512), start),
            "degree_exponent": Range((0.0, 0.25, 0.5, 0.75, 1.0), 0.5),
        }

    @classmethod
    def memory_bytes(cls, config: Any, shapes: Shapes, n_rows: int, batch_size: int) -> int:
        """Vectors, the log from both sides, and the basis of the decomposition."""
        config = cls.settle_config(config, shapes)
        short, long = sorted((shapes.n_users, shapes.n_items))
        width = min((config.power_iterations or 3) * config.dim + _SPARE, short)
        basis = 4 * width * (2 * short + min(long, _ROWS)) + 3 * 8 * width**2
        return super().memory_bytes(config, shapes, n_rows, batch_size) + 2 * 12 * n_rows + basis

    def prepare(self, train: Interactions) -> None:
        """Decompose once; coordinates beyond a quarter of the smaller side stay zero.

        A full decomposition would only reproduce the log.
        """
        liked = train.positives().matrix()
        degrees = np.asarray(liked.sum(axis=0)).ravel() + self.config.smoothing
        dim = min(self.config.dim, max(1, min(liked.shape) // 4))
        vectors = item_directions(train, dim, self.config.smoothing, self.config.power_iterations)  # (N, d <= D)
        scale = np.sqrt(np.maximum(degrees, 1e-12))[:, None]
        width = vectors.shape[1]
        self.into[:, :width] = torch.from_numpy((vectors / scale).astype(np.float32))
        self.out[:, :width] = torch.from_numpy(
            (vectors * degrees[:, None] ** self.config.degree_exponent).astype(np.float32)
        )
        likes = np.diff(liked.tocsc().indptr).astype(np.int64)
        plain, out = FoldIn(self.into.numpy()), self.out.numpy()
        self.popular = torch.from_numpy(popularity_scores(likes, lambda queries: plain(queries) @ out.T))

    def encode_items(self, features: Tensor | None = None) -> Tensor:
        """(N, D + 1) right singular vectors, scaled by degree, and popularity."""
        return torch.cat([self.out, self.popular[:, None]], dim=1)

    def fold_in(self) -> FoldIn:
        """Projection of a history's normalised positives: linear, and exact for known users too."""
        return FoldIn(
            self.into.numpy(),
            bias_query=np.zeros(1, np.float32),
            unseen_bias_query=np.ones(1, np.float32),
            recency=self.recency,
        )


def item_directions(rows: Interactions, dim: int, smoothing: float, power_iterations: int) -> np.ndarray:
    """(N, d) `leading_item_vectors` of the positives; asked again for the same rows, they are not computed again."""
    asked = (dim, smoothing, power_iterations)
    known = _decomposed.setdefault(rows, {})
    if asked not in known:
        while sum(vectors.nbytes for vectors in known.values()) > _DECOMPOSED_BYTES:
            known.pop(next(iter(known)))  # the oldest
        known[asked] = leading_item_vectors(rows.positives().matrix(), *asked)
    return known[asked]


def leading_item_vectors(
    liked: sp.csr_matrix, dim: int, smoothing: float = 0.0, power_iterations: int = 0
) -> np.ndarray:
    """(N, d) right singular vectors of Du^-1/2 X Di^-1/2, largest first; d is at most the matrix's rank bound.

    Exact without `power_iterations`; with them, a large matrix is decomposed approximately by a randomised SVD.
    """
    normalised = normalise_degrees(liked, smoothing)
    if min(liked.shape) <= max(_DENSE_UP_TO, dim + 1):
        return _by_gram(normalised.astype(np.float64), dim)
    if power_iterations:
        return _by_block_lanczos(normalised, dim, power_iterations)
    start = np.ones(min(liked.shape), dtype=normalised.dtype)  # fixed, so that equal data give equal vectors
    _, values, right = svds(normalised, k=dim, v0=start, return_singular_vectors="vh")
    return np.asarray(right[np.argsort(-values)].T)


def _by_block_lanczos(matrix: sp.csr_matrix, dim: int, iterations: int) -> np.ndarray:
    """(N, d) right singular vectors of `matrix` (U, N), from the span of all blocks that a block of random vectors
    passes through as it is multiplied by the matrix and back. Musco and Musco 2015, "Randomized block Krylov methods".

    It costs as many products as `iterations` power iterations of a block of `dim` vectors, whose last block alone
    leaves weak directions far from exact where singular values lie close together, as in a log of a few rows a user.
    """
    if matrix.shape[0] < matrix.shape[1]:
        left = _by_block_lanczos(matrix.T.tocsr(), dim, iterations)  # of the shorter side
        right = matrix.T @ left
        return np.asarray(right / np.maximum(np.linalg.norm(right, axis=0), 1e-30))
    width = min(iterations * dim + _SPARE, matrix.shape[1])
    block = np.random.default_rng(0).standard_normal((matrix.shape[1], _BLOCK), dtype=np.float32)
    basis, back, done = np.empty((matrix.shape[1], width), np.float32), matrix.T.tocsr(), 0
    while done < width:
        block = block[:, : width - done]
        for _ in range(2):  # once leaves rounding errors
            known = basis[:, :done]
            block, _ = np.linalg.qr(block - known @ (known.T @ block))
        basis[:, done : done + block.shape[1]] = block
        done += block.shape[1]
        block = back @ (matrix @ block)
    gram = np.zeros((width, width))
    for start in range(0, matrix.shape[0], _ROWS):
        projected = matrix[start : start + _ROWS] @ basis
        gram += projected.T @ projected
    _, rotation = np.linalg.eigh(gram)  # ascending
    return np.asarray(basis @ rotation[:, ::-1][:, :dim].astype(np.float32))


def _by_gram(matrix: sp.csr_matrix, dim: int) -> np.ndarray:
    """(N, d) right singular vectors of `matrix` (U, N) from the products of its smaller side, zeros beyond its rank."""
    by_items = matrix.shape[1] <= matrix.shape[0]
    gram = (matrix.T @ matrix if by_items else matrix @ matrix.T).toarray()
    squares, vectors = np.linalg.eigh(gram)  # ascending
    squares, vectors = squares[::-1][:dim], vectors[:, ::-1][:, :dim]
    nonzero = squares > 1e-10 * max(float(squares[0]), 1e-300)
    if not by_items:
        vectors = matrix.T @ (vectors / np.sqrt(np.maximum(squares, 1e-300)))
    return np.where(nonzero, vectors, 0.0)


def normalise_degrees(liked: sp.csr_matrix, smoothing: float = 0.0) -> sp.csr_matrix:
    """Du^-1/2 X Di^-1/2 for degrees increased by `smoothing`; rows and columns without positives stay zero."""
    users, items = (np.asarray(liked.sum(axis=axis)).ravel() for axis in (1, 0))
    users, items = (np.where(degrees > 0, degrees + smoothing, 0.0) for degrees in (users, items))
    inverse = [np.where(d > 0, 1.0 / np.sqrt(np.maximum(d, 1e-12)), 0.0) for d in (users, items)]
    return (sp.diags(inverse[0]) @ liked @ sp.diags(inverse[1])).tocsr()


MODEL = Spectral
