"""EASE: the closed-form linear item-item model that deep models must first beat.

Steck 2019, "Embarrassingly shallow autoencoders for sparse data", equation 8.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from tastespace.config import check, option
from tastespace.data.interactions import Interactions
from tastespace.data.queries import Queries
from tastespace.errors import TrainingError
from tastespace.models.base import Model, Shapes
from tastespace.models.parts.contributions import Contributions
from tastespace.models.parts.popularity_prior import add_popularity, popularity_scores, popularity_weight


@dataclass(frozen=True)
class EaseConfig:
    """Regularisation of the item-item weights."""

    l2: float = option(200.0, "L2 regularisation λ of the item-item weights", usual=(10, 5000), above=0, at_most=1e9)

    def __post_init__(self) -> None:
        check(self)


class Ease(Model):
    """Score of an item: a weighted sum over the history, with weights from one matrix inversion.

    Costs N x N numbers of memory and about N^3 operations.
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
        """Inverse, its mirrored half and their sum in double precision; weights, computed and stored, in single."""
        return shapes.n_items**2 * (8 + 8 + 8 + 4 + 4 + 4)

    def prepare(self, train: Interactions) -> None:
        """B = I - P diag(P)^-1 with P = (X'X + lambda I)^-1; X is the matrix of likes (U, N)."""
        liked = train.positives().matrix()
        gram = np.asfortranarray((liked.T @ liked).toarray(), dtype=np.float64)
        gram[np.diag_indices_from(gram)] += self.config.l2
        factor, failed = scipy.linalg.lapack.dpotrf(gram, lower=1, overwrite_a=1)
        if failed:
            raise TrainingError(f"ease cannot invert its matrix with l2={self.config.l2:g}; raise it")
        inverse, _ = scipy.linalg.lapack.dpotri(factor, lower=1, overwrite_c=1)  # lower triangle only
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        weights = -inverse / np.diag(inverse)[None, :]
        np.fill_diagonal(weights, 0.0)
        self.weights = torch.from_numpy(weights.astype(np.float32))
        likes = np.diff(liked.tocsc().indptr).astype(np.int64)
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


MODEL = Ease
