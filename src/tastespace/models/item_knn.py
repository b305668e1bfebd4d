"""ItemKNN: items liked by the same users as those in the history.

Sarwar, Karypis, Konstan and Riedl 2001, "Item-based collaborative filtering recommendation algorithms"; cosine with
a shrinkage term that discounts similarities resting on few users.
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
from tastespace.models.base import Model, Shapes
from tastespace.models.parts.contributions import Contributions
from tastespace.models.parts.popularity_prior import add_popularity, popularity_scores, popularity_weight

_ITEMS_AT_ONCE = 1024


@dataclass(frozen=True)
class ItemKNNConfig:
    """Size of the neighbourhood, and shrinkage of similarities of rare items."""

    neighbours: int = option(100, "K: nearest items of each item", usual=(10, 1000), at_least=1)
    shrink: float = option(
        10.0, "shrinkage, added to the denominator of the cosine", usual=(0, 100), at_least=0, at_most=1e9
    )

    def __post_init__(self) -> None:
        check(self)


class ItemKNN(Model):
    """Score of an item: the summed similarity to the items of the history."""

    about = "items often liked together with those of the history"
    pick = "recommendations that are easy to explain, without training; no vectors"
    Config = ItemKNNConfig
    near: Tensor
    similarity: Tensor
    popular: Tensor

    def __init__(self, config: ItemKNNConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        n_neighbours = min(config.neighbours, shapes.n_items)
        self.register_buffer("near", torch.zeros(shapes.n_items, n_neighbours, dtype=torch.int32))  # (N, K)
        self.register_buffer("similarity", torch.zeros(shapes.n_items, n_neighbours))  # (N, K)
        self.register_buffer("popular", torch.zeros(shapes.n_items))  # (N,) for queries with a short history

    @classmethod
    def memory_bytes(cls, config: Any, shapes: Shapes, n_rows: int, batch_size: int) -> int:
        """Neighbour lists, the log from both sides, and the cosines of a block: co-occurrences, ratios, nearest."""
        lists = 8 * shapes.n_items * min(config.neighbours, shapes.n_items)
        block = 4 * 8 * min(_ITEMS_AT_ONCE, shapes.n_items) * shapes.n_items
        return lists + 3 * 12 * n_rows + block

    def prepare(self, train: Interactions) -> None:
        """Cosines of all pairs of items, a block of items at a time; the K nearest of each are stored."""
        users_by_item = train.positives().matrix().tocsc()  # (U, N)
        norms = np.sqrt(np.asarray(users_by_item.multiply(users_by_item).sum(axis=0)).ravel())
        by_item = users_by_item.T.tocsr()  # (N, U)
        n_items, n_neighbours = self.near.shape
        for start in range(0, n_items, _ITEMS_AT_ONCE):
            block = slice(start, min(start + _ITEMS_AT_ONCE, n_items))
            shared = (by_item[block] @ users_by_item).toarray()  # (b, N)
            cosine = shared / (norms[block, None] * norms[None, :] + self.config.shrink + 1e-12)
            rows = np.arange(cosine.shape[0])
            cosine[rows, rows + start] = 0.0
            values, columns = torch.from_numpy(cosine.astype(np.float32)).topk(n_neighbours, dim=1)
            self.similarity[block], self.near[block] = values, columns.int()
        likes = np.diff(users_by_item.indptr).astype(np.int64)
        self.popular = torch.from_numpy(popularity_scores(likes, lambda queries: self.score(queries).numpy()))

    def weights(self) -> sp.csr_matrix:
        """(N, N) similarities, row by row."""
        n_items, n_neighbours = self.near.shape
        offsets = np.arange(0, n_items * n_neighbours + 1, n_neighbours)
        cells = (self.similarity.numpy().ravel(), self.near.numpy().ravel(), offsets)
        return sp.csr_matrix(cells, shape=(n_items, n_items))

    def score(self, queries: Queries) -> Tensor:
        """(B, N) summed similarities, plus popularity for short histories."""
        liked = queries.history.positives().matrix(self.shapes.n_items)
        scores = (liked @ self.weights()).toarray()
        return torch.from_numpy(add_popularity(scores, queries, self.popular.numpy()))

    def contributions(self, query: Queries, item: int) -> Contributions:
        """Similarity of each positive of the history."""
        history = torch.from_numpy(query.history.items.astype(np.int64))
        direction = (self.similarity[history] * (self.near[history] == item)).sum(dim=1).numpy()
        baseline = float(popularity_weight(query)[0]) * float(self.popular[item])
        return Contributions(np.maximum(query.history.weights, 0.0).astype(np.float64) * direction, baseline=baseline)

    def item_embeddings(self) -> Tensor:
        """(N, N) each item's similarities, itself included."""
        return torch.from_numpy((self.weights() + sp.eye(self.shapes.n_items, dtype=np.float32)).toarray())

    def query_embeddings(self, queries: Queries) -> Tensor:
        """(B, N) summed similarities, as a user's coordinates over the items."""
        return self.score(queries)


MODEL = ItemKNN
