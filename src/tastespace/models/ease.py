"""EASE: the closed-form linear item-item model that deep models must first beat.

Steck 2019, "Embarrassingly shallow autoencoders for sparse data", equation 8.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from tastespace.config import check, option
from tastespace.data.interactions import Interactions
from tastespace.data.queries import Queries
from tastespace.errors import TrainingError
from tastespace.models.base import Model, Shapes
from tastespace.models.parts.contributions import Contributions
from tastespace.models.parts.popularity_prior import add_popularity, popularity_scores, popularity_weight
from tastespace.models.parts.sweep import sweep, working_bytes

_ROWS_AT_ONCE = 128
_SPARSE_COST = 50  # of an operation in a sparse product, against one in a dense product
_LEAST_PRECISION = 1e-10  # of a difference from 1 in double precision


@dataclass(frozen=True)
class EaseConfig:
    """Regularisation of the item-item weights."""

    l2: float = option(200.0, "L2 regularisation λ of the item-item weights", usual=(10, 5000), above=0, at_most=1e9)

    def __post_init__(self) -> None:
        check(self)


class Ease(Model):
    """Score of an item: a weighted sum over the history, with weights from one matrix inversion.

    Costs N x N numbers of memory, and about N^3 operations, far fewer where there are few users: benchmarks/ease.py.
    """

    about = "linear item-item weights in closed form"
    pick = "a strong baseline for catalogues of up to about 20,000 items; no vectors"
    Config = EaseConfig
    weights: Tensor
    popular: Tensor

    def __init__(self, config: EaseConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        self.register_buffer("weights", torch.zeros(shapes.n_items, shapes.n_items))  # (N, N)
        self.register_buffer("popular", torch.zeros(shapes.n_items))  # (N,) for queries with a short history

    @classmethod
    def memory_bytes(cls, config: Any, shapes: Shapes, n_rows: int, batch_size: int) -> int:
        """Weights, solved in place; the users' matrix in double precision where it is the one inverted; blocks."""
        n = shapes.n_items
        fixed = 4 * n**2 + _ROWS_AT_ONCE * n * (8 + 8 + 8 + 4) + 3 * 12 * n_rows
        if _by_users(shapes, n_rows):
            return fixed + 8 * shapes.n_users**2 + working_bytes(shapes.n_users, 8)
        return fixed + working_bytes(n, 4)

    @classmethod
    def operations(cls, config: Any, shapes: Shapes, n_rows: int) -> float:
        """Operations of the inversion, and of the products around it."""
        n = shapes.n_items
        return _operations_by_users(shapes, n_rows) if _by_users(shapes, n_rows) else float(n**3)

    @torch.no_grad()
    def prepare(self, train: Interactions) -> None:
        """B = I - P diag(P)^-1 with P = (X'X + lambda I)^-1; X is the matrix of likes (U, N)."""
        liked = train.positives().matrix().astype(np.float64)
        fill = _fill_by_users if _by_users(self.shapes, len(train)) else _fill_by_items
        if not fill(self.weights, liked, self.config.l2):
            raise TrainingError(f"ease cannot invert its matrix with l2={self.config.l2:g}; raise it")
        self.weights.fill_diagonal_(0.0)
        likes = np.bincount(liked.indices, minlength=self.shapes.n_items).astype(np.int64)
        self.popular = torch.from_numpy(popularity_scores(likes, lambda queries: self.score(queries).numpy()))

    def score(self, queries: Queries) -> Tensor:
        """(B, N) positives of the history times the weights, plus popularity for short histories."""
        liked = queries.history.positives().matrix(self.shapes.n_items)
        scores = np.asarray(liked @ self.weights.numpy())
        return torch.from_numpy(add_popularity(scores, queries, self.popular.numpy()))

    def contributions(self, query: Queries, item: int) -> Contributions:
        """Weight of each positive of the history."""
        direction = self.weights[torch.from_numpy(query.history.items.astype(np.int64)), item].numpy()
        baseline = float(popularity_weight(query)[0]) * float(self.popular[item])
        return Contributions(np.maximum(query.history.weights, 0.0).astype(np.float64) * direction, baseline=baseline)

    def item_embeddings(self) -> Tensor:
        """(N, N) weights of each item towards all others."""
        return self.weights

    def query_embeddings(self, queries: Queries) -> Tensor:
        """(B, N) scores, as a user's coordinates over the items."""
        return self.score(queries)


def _by_users(shapes: Shapes, n_rows: int) -> bool:
    """Whether it is cheaper to invert a matrix of the users than one of the items."""
    return _operations_by_users(shapes, n_rows) < shapes.n_items**3


def _operations_by_users(shapes: Shapes, n_rows: int) -> float:
    """Operations of `_fill_by_users`, in those of a dense product in single precision."""
    return 2 * shapes.n_users**3 + _SPARSE_COST * 2 * n_rows * (shapes.n_users + shapes.n_items)


def _fill_by_items(weights: Tensor, liked: sp.csr_matrix, l2: float) -> bool:
    """Write B, but for its diagonal, into `weights` (N, N), by inverting X'X + lambda I there; False if it cannot be.

    Scaled to a diagonal of ones, the matrix shows by the diagonal of its inverse how precise single precision is.
    """
    norms = np.bincount(liked.indices, liked.data**2, liked.shape[1])
    scale = 1 / np.sqrt(np.where(norms > 0, norms + l2, 1.0))  # (N,)
    scaled = sp.csr_matrix((liked.data * scale[liked.indices], liked.indices, liked.indptr), liked.shape)
    by_item = scaled.T.tocsr()  # (N, U)
    for start in range(0, len(weights), _ROWS_AT_ONCE):
        block = slice(start, start + _ROWS_AT_ONCE)
        weights[block] = torch.from_numpy((by_item[block] @ scaled).toarray())  # (b, N)
    weights.fill_diagonal_(1.0)
    if not sweep(weights):
        return False
    weights *= torch.from_numpy(scale[:, None]).float()
    weights /= -weights.diagonal().clone()
    return True


def _fill_by_users(weights: Tensor, liked: sp.csr_matrix, l2: float) -> bool:
    """Write B, but for its diagonal, into `weights` (N, N), by inverting XX' + lambda I (U, U); False if it cannot be.

    lambda P = I - X'(XX' + lambda I)^-1 X (Woodbury's identity), in double precision, a block of columns at a time.
    """
    liked = liked[np.diff(liked.indptr) > 0]
    scale = 1 / np.sqrt(liked.multiply(liked).sum(axis=1).A1 + l2)  # (U,)
    scaled = sp.diags(scale) @ liked
    by_item = scaled.T.tocsr()  # (N, U)
    inverse = torch.empty(len(scale), len(scale), dtype=torch.float64)
    for start in range(0, len(inverse), _ROWS_AT_ONCE):
        block = slice(start, start + _ROWS_AT_ONCE)
        inverse[block] = torch.from_numpy((scaled[block] @ by_item).toarray())  # (b, U)
    inverse.fill_diagonal_(1.0)
    if not sweep(inverse):
        return False
    for start in range(0, len(weights), _ROWS_AT_ONCE):
        block = slice(start, start + _ROWS_AT_ONCE)
        half = by_item[block] @ inverse.numpy()  # (b, U)
        columns = by_item @ np.ascontiguousarray(half.T)  # (N, b), lambda P but for the I
        own = 1 + columns[start + np.arange(len(half)), np.arange(len(half))]  # (b,)
        if not own.min() > _LEAST_PRECISION:
            return False
        weights[:, block] = torch.from_numpy(columns / -own)
    return True


MODEL = Ease
