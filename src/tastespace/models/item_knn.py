"""ItemKNN: items liked by the same users as those in the history.

Sarwar, Karypis, Konstan and Riedl 2001, "Item-based collaborative filtering recommendation algorithms"; cosine with
a shrinkage term that discounts similarities resting on few users, over users weighted by TF-IDF or BM25: an item is the
document and its users are the terms, so that a user who likes everything says little about what belongs together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from tastespace.config import AutoFloat, AutoInt, check, option
from tastespace.data.interactions import Interactions
from tastespace.data.queries import Queries
from tastespace.models.base import RECENCY, Model, Range, Shapes
from tastespace.models.parts.contributions import Contributions
from tastespace.models.parts.popularity_prior import add_popularity, popularity_scores, popularity_weight
from tastespace.models.parts.recency import recency_option, weighted_by_recency

_ITEMS_AT_ONCE = 1024
_DENSE_FROM = 0.1  # share of pairs that co-occur; from here on sorting them one by one is slower
_K1, _B = 1.2, 0.75  # of BM25: saturation, and how far a long list of users is discounted


@dataclass(frozen=True)
class ItemKNNConfig:
    """Size of the neighbourhood, weighting of users, and shrinkage of similarities of rare items."""

    neighbours: AutoInt = option("auto", "K: nearest items of each item", usual=(10, 1000), at_least=1)
    weighting: Literal["tf-idf", "bm25", "none"] = option(
        "tf-idf", "weight of each user in a similarity: inverse frequency (tf-idf cosine, or bm25), or equal (cosine)"
    )
    shrink: float = option(
        10.0,
        "shrinkage of cosines: so many users of average weight are added to the denominator (tf-idf, none)",
        usual=(0, 100),
        at_least=0,
        at_most=1e9,
    )
    recency: AutoFloat = recency_option()

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
        n_neighbours = min(self.config.neighbours, shapes.n_items)
        self.register_buffer("near", torch.zeros(shapes.n_items, n_neighbours, dtype=torch.int32))  # (N, K)
        self.register_buffer("similarity", torch.zeros(shapes.n_items, n_neighbours))  # (N, K)
        self.register_buffer("popular", torch.zeros(shapes.n_items))  # (N,) for queries with a short history

    @classmethod
    def ranges(cls, shapes: Shapes) -> Mapping[str, Range]:
        """Return ranges of recency and of K.

        Few neighbours suit long histories of narrow tastes, many a log where popularity says much.
        """
        return {
            "recency": RECENCY,
            "neighbours": Range((25, 50, 100, 200, 400), 100),
        }

    @classmethod
    def memory_bytes(cls, config: Any, shapes: Shapes, n_rows: int, batch_size: int) -> int:
        """Neighbour lists, the log from both sides, and the cosines of a block: co-occurrences, ratios, nearest."""
        lists = 8 * shapes.n_items * min(cls.settle_config(config, shapes).neighbours, shapes.n_items)
        block = 4 * 8 * min(_ITEMS_AT_ONCE, shapes.n_items) * shapes.n_items
        return lists + 3 * 12 * n_rows + block

    def prepare(self, train: Interactions) -> None:
        """Similarities of all pairs of items, a block of items at a time; the K nearest of each are stored."""
        liked = train.positives().matrix().tocsc()  # (U, N)
        weighted, norms, shrink = self._weighted(liked)
        by_item = weighted.T.tocsr()  # (N, U)
        n_items, n_neighbours = self.near.shape
        for start in range(0, n_items, _ITEMS_AT_ONCE):
            block = slice(start, min(start + _ITEMS_AT_ONCE, n_items))
            similar = (by_item[block] @ weighted).tocsr()  # (b, N)
            rows = np.repeat(np.arange(start, block.stop), np.diff(similar.indptr))
            similar.data /= norms[rows] * norms[similar.indices] + shrink + 1e-12
            similar.data[rows == similar.indices] = 0.0
            nearest = _nearest_dense if similar.nnz > _DENSE_FROM * similar.shape[0] * n_items else _nearest_sparse
            self.similarity[block], self.near[block] = nearest(similar, n_neighbours)
        likes = np.diff(liked.indptr).astype(np.int64)
        self.popular = torch.from_numpy(popularity_scores(likes, lambda queries: self.score(queries).numpy()))

    def _weighted(self, liked: sp.csc_matrix) -> tuple[sp.csc_matrix, NDArray[np.float64], float]:
        """Likes (U, N) times their user's weight, norms (N,) of the columns, and what is added to products of norms."""
        per_user = np.bincount(liked.indices, minlength=liked.shape[0])  # (U,)
        users = np.ones(liked.shape[0])
        if self.config.weighting != "none":
            users = np.log((1.0 + liked.shape[1]) / (1.0 + per_user))
        weighted = (sp.diags_array(users) @ liked).tocsc()
        if self.config.weighting == "bm25":
            per_item = np.diff(liked.indptr)  # (N,)
            length = (1 - _B) + _B * per_item / max(float(per_item.mean()), 1e-12)
            return (weighted @ sp.diags_array((_K1 + 1) / (_K1 * length + 1))).tocsc(), np.ones(liked.shape[1]), 0.0
        norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=0)).ravel())
        active = users[per_user > 0]
        return weighted, norms, self.config.shrink * float(np.mean(active**2)) if len(active) else self.config.shrink

    def weights(self) -> sp.csr_matrix:
        """(N, N) similarities, row by row."""
        n_items, n_neighbours = self.near.shape
        offsets = np.arange(0, n_items * n_neighbours + 1, n_neighbours)
        cells = (self.similarity.numpy().ravel(), self.near.numpy().ravel(), offsets)
        return sp.csr_matrix(cells, shape=(n_items, n_items))

    def score(self, queries: Queries) -> Tensor:
        """(B, N) summed similarities, plus popularity for short histories."""
        history = weighted_by_recency(queries.history, self.recency)
        liked = history.positives().matrix(self.shapes.n_items)
        scores = (liked @ self.weights()).toarray()
        return torch.from_numpy(add_popularity(scores, queries, self.popular.numpy()))

    def contributions(self, query: Queries, item: int) -> Contributions:
        """Similarity of each positive of the history."""
        history = weighted_by_recency(query.history, self.recency)
        items = torch.from_numpy(history.items.astype(np.int64))
        direction = (self.similarity[items] * (self.near[items] == item)).sum(dim=1).numpy()
        baseline = float(popularity_weight(query)[0]) * float(self.popular[item])
        return Contributions(np.maximum(history.weights, 0.0).astype(np.float64) * direction, baseline=baseline)

    def item_embeddings(self) -> Tensor:
        """(N, N) each item's similarities, itself included."""
        return torch.from_numpy((self.weights() + sp.eye(self.shapes.n_items, dtype=np.float32)).toarray())

    def query_embeddings(self, queries: Queries) -> Tensor:
        """(B, N) summed similarities, as a user's coordinates over the items."""
        return self.score(queries)


def _nearest_dense(similar: sp.csr_matrix, n_neighbours: int) -> tuple[Tensor, Tensor]:
    """The K greatest of each row of `similar` (b, N) and their columns, (b, K) each."""
    values, columns = torch.from_numpy(similar.toarray().astype(np.float32)).topk(n_neighbours, dim=1)
    return values, columns.int()


def _nearest_sparse(similar: sp.csr_matrix, n_neighbours: int) -> tuple[Tensor, Tensor]:
    """The same for rows with few entries, which alone are compared; where there are fewer than K, zeros follow."""
    lengths = np.diff(similar.indptr)
    values = torch.zeros(similar.shape[0], n_neighbours)
    columns = torch.zeros(similar.shape[0], n_neighbours, dtype=torch.int32)
    widths = np.maximum(n_neighbours, 2 ** np.ceil(np.log2(np.maximum(lengths, 1))).astype(np.int64))
    for width in np.unique(widths):  # rows of similar lengths, side by side
        rows = np.flatnonzero(widths == width)
        part = similar[rows]
        where = (
            np.repeat(np.arange(len(rows)), lengths[rows]),
            np.arange(part.nnz) - np.repeat(part.indptr[:-1], lengths[rows]),
        )
        entries, of_items = np.zeros((len(rows), width), np.float32), np.zeros((len(rows), width), np.int32)
        entries[where], of_items[where] = part.data, part.indices
        found = torch.from_numpy(entries).topk(n_neighbours, dim=1)
        values[rows], columns[rows] = found.values, torch.from_numpy(of_items).gather(1, found.indices)
    return values, columns


MODEL = ItemKNN
