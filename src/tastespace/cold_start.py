"""Cold start: users and items known by their attributes alone are placed by the known ones most similar to them.

In numpy and scipy alone, and for every model alike, as only a model's scores and vectors of known items are used.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from tastespace.data.features import Encoder
from tastespace.data.histories import Histories
from tastespace.data.protocols import PROTOCOLS
from tastespace.data.queries import Queries
from tastespace.data.split import Split

if TYPE_CHECKING:
    from torch import Tensor

    Scorer = Callable[[Queries], Tensor]

N_SIMILAR_USERS = 300  # fewer have too few likes, more are everybody (MovieLens 100K, new-users, validation rows)
_ONE_IN = 3  # users are similar at most: of a small data set a third, not all
N_SIMILAR_ITEMS = 10  # with 30 a new item is placed less well (MovieLens 100K, new-items, validation rows)
_N_CANDIDATES = 20_000  # items with the most likes, to which others are compared in a large catalogue
_CELLS_AT_ONCE = 2**22
_DENSE = 0.1  # share of cells that are not zero, from which arrays are multiplied faster


@dataclass(frozen=True, eq=False)
class SimilarUsers:
    """Users who liked something: their attributes as features of length 1 (V, F), and their likes (V, N)."""

    features: sp.csr_matrix
    likes: sp.csr_matrix

    @classmethod
    def from_histories(cls, features: sp.csr_matrix, histories: Histories, n_items: int) -> "SimilarUsers":
        """Take the users who liked something, from the features (U, F) and histories of all users."""
        liked = histories.positives()
        active = np.flatnonzero(liked.lengths > 0)
        ones = Histories(liked.items, liked.offsets, np.ones_like(liked.weights))
        return cls(unit_rows(features[active]), ones.take(active).matrix(n_items))

    def count_likes(self, description: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N,) likes of each item by the 300 users most similar to a description (1, F); in small data, by a third.

        Similarity is the cosine of features; users tied with the last of them all count, each for an equal share.
        """
        similarity = np.asarray((self.features @ unit_rows(sp.csr_matrix(description)).T).todense()).ravel()  # (V,)
        if len(similarity) == 0:
            return np.zeros(self.likes.shape[1], dtype=np.float32)
        wanted = min(N_SIMILAR_USERS, -(-len(similarity) // _ONE_IN))
        last = np.partition(similarity, len(similarity) - wanted)[len(similarity) - wanted]
        weight = (similarity > last).astype(np.float32)
        tied = similarity == last
        weight[tied] = (wanted - weight.sum()) / tied.sum()
        return np.asarray(self.likes.T @ weight, dtype=np.float32)


def unit_rows(features: sp.csr_matrix) -> sp.csr_matrix:
    """Scale the rows (M, F) to length 1; rows of zeros stay."""
    lengths = np.sqrt(np.asarray(features.multiply(features).sum(axis=1)).ravel())
    return sp.csr_matrix(sp.diags_array(1.0 / np.maximum(lengths, 1e-12)) @ features)


def _densified(features: sp.csr_matrix) -> sp.csr_matrix | NDArray[np.float32]:
    """Convert features with few zeros, such as vectors, to an array, which is multiplied faster; sparse ones stay."""
    return features.toarray() if features.nnz > _DENSE * np.prod(features.shape) else features


def _inner_products(rows: sp.csr_matrix, columns: sp.csr_matrix | NDArray[np.float32]) -> NDArray[np.float32]:
    """(b, V) inner products of rows (b, G) with columns (V, G)."""
    if isinstance(columns, np.ndarray):
        return np.asarray(rows.toarray() @ columns.T)
    return np.asarray((rows @ columns.T).toarray())


def _top_k_mask(values: NDArray[np.float32], k: int) -> NDArray[np.bool_]:
    """(B, V) true at the `k` largest values of each row; of equal ones, at the first."""
    if values.shape[1] <= k:
        return np.ones(values.shape, dtype=bool)
    last = np.partition(values, values.shape[1] - k, axis=1)[:, -k, None]
    above, tied = values > last, values == last
    return above | (tied & (np.cumsum(tied, axis=1) <= k - above.sum(axis=1, keepdims=True)))


@dataclass(frozen=True, eq=False)
class AddedItems:
    """M items added after the training, each a weighted mean of known ones: `weights` (M, N), rows adding up to 1."""

    weights: sp.csr_matrix

    @classmethod
    def from_features(cls, known: sp.csr_matrix, new: sp.csr_matrix, likes: NDArray[np.int64]) -> "AddedItems":
        """Weight the 10 liked items of the largest cosine by it, from features (N, G), (M, G) and `likes` (N,).

        In a large catalogue the new items are compared to those with the most likes. An item similar to none of them
        is the mean of the 10 with the most likes, in equal shares.
        """
        by_likes = np.argsort(-likes, kind="stable")
        candidates = np.sort(by_likes[: min(_N_CANDIDATES, np.count_nonzero(likes))])
        popular = np.flatnonzero(np.isin(candidates, by_likes[:N_SIMILAR_ITEMS]))
        candidate_features, rows = _densified(unit_rows(known[candidates])), []
        at_once = max(1, _CELLS_AT_ONCE // max(1, len(candidates)))
        for start in range(0, new.shape[0], at_once):
            chunk = unit_rows(new[start : start + at_once])
            similarity = np.maximum(_inner_products(chunk, candidate_features), 0.0)  # (b, V)
            similarity *= _top_k_mask(similarity, N_SIMILAR_ITEMS)
            similarity[np.ix_(np.flatnonzero(similarity.sum(axis=1) <= 0), popular)] = 1.0
            rows.append(sp.csr_matrix(similarity / similarity.sum(axis=1, keepdims=True)))
        weights = sp.vstack(rows, format="csr") if rows else sp.csr_matrix((0, len(candidates)))
        columns = candidates[weights.indices]
        return cls(sp.csr_matrix((weights.data, columns, weights.indptr), shape=(new.shape[0], known.shape[0])))

    def __len__(self) -> int:
        return int(self.weights.shape[0])

    @property
    def n_known(self) -> int:
        """Number of items that the model was trained on, N."""
        return int(self.weights.shape[1])

    def extend_rows(self, known: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N + M, D) rows of the known items (N, D) followed by those of the added items."""
        return np.concatenate([known, self.rows_from(known)])

    def rows_from(self, known: NDArray[np.float32]) -> NDArray[np.float32]:
        """(M, D) rows of the added items, from those of the known items (N, D)."""
        return np.asarray(self.weights @ known, dtype=np.float32)

    def extend_scores(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, N + M) scores, from those of the known items (B, N)."""
        return np.concatenate([scores, np.asarray((self.weights @ scores.T).T, dtype=np.float32)], axis=1)

    def replace_in(self, history: Histories) -> Histories:
        """Replace each added item in histories by the known item most similar to it."""
        added = history.items >= self.n_known
        if not added.any():
            return history
        most_similar = np.asarray(self.weights.argmax(axis=1)).ravel()
        items = history.items.copy()
        items[added] = most_similar[history.items[added] - self.n_known]
        return Histories(items, history.offsets, history.weights)


@dataclass(frozen=True, eq=False)
class ColdItems:
    """C items of the catalogue without interactions, at `indices` (C,): weighted means of known ones, `weights` (C, N).

    Their trained vectors are still the initial ones. Items with interactions but no likes keep what was learnt.
    """

    indices: NDArray[np.int64]
    weights: sp.csr_matrix

    @classmethod
    def from_features(
        cls, features: sp.csr_matrix, interacted: NDArray[np.integer], likes: NDArray[np.int64]
    ) -> "ColdItems":
        """Find them by features (N, G), the items of all rows, and `likes` (N,); none where there are no features."""
        indices = np.flatnonzero(np.bincount(interacted, minlength=len(likes)) == 0)
        if features.shape[1] == 0 or not likes.any():
            indices = indices[:0]
        return cls(indices, AddedItems.from_features(features, features[indices], likes).weights)

    @classmethod
    def from_histories(cls, features: sp.csr_matrix, histories: Histories) -> "ColdItems":
        """Find the items with features (N, G) that are in no history."""
        n_items, liked = features.shape[0], histories.positives().items
        interacted = histories.items[histories.items < n_items]
        return cls.from_features(features, interacted, np.bincount(liked[liked < n_items], minlength=n_items))

    @classmethod
    def from_split(cls, split: Split) -> "ColdItems":
        """Find the items in no training row of a split, with the attributes in its item table."""
        table = split.dataset.item_table
        features = Encoder.fit(table).encode(table, split.train.n_items)
        return cls.from_histories(features, split.train.histories())

    def __len__(self) -> int:
        return len(self.indices)

    def fill_rows(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, D) a copy of the rows in which those of cold items are computed from the others."""
        if len(self) == 0:
            return rows
        filled = rows.copy()
        filled[self.indices] = self.weights @ rows
        return filled

    def fill_scores(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, N) the scores, those of cold items computed from the others in place."""
        scores[:, self.indices] = (self.weights @ scores.T).T
        return scores

    def wrap(self, scorer: "Scorer") -> "Scorer":
        """Make a scorer (B, N) whose scores of cold items are computed from the others."""
        import torch

        if len(self) == 0:
            return scorer
        return lambda queries: torch.from_numpy(self.fill_scores(scorer(queries).detach().cpu().numpy()))


def scorer_wrapper(split: Split) -> "Callable[[Scorer], Scorer]":
    """Make the function that turns a model's scorer into the one to evaluate: it places new items where they count."""
    if not PROTOCOLS[split.protocol].new_items:
        return lambda scorer: scorer
    return ColdItems.from_split(split).wrap
