"""Cold start: people and items of whom only attributes are known stand where those most like them stand.

In numpy and scipy alone, and for every model alike, as only what a model says of the known ones is used.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from tastespace.data.features import Encoder
from tastespace.data.histories import Histories
from tastespace.data.queries import Queries
from tastespace.data.split import PROTOCOLS, Split

if TYPE_CHECKING:
    from torch import Tensor

    Scorer = Callable[[Queries], Tensor]

LIKE_THEM = 300  # people; fewer are too few likes, more are everybody (MovieLens 100K, new-users, validation rows)
_AT_MOST = 3  # of so many people one is alike: of few, not all are
LIKE_IT = 10  # items; with 30 a new one is placed less well (MovieLens 100K, new-items, validation rows)
_CANDIDATES = 20_000  # items with the most likes, which others may be like: of a large catalogue the best known part
_CELLS_AT_ONCE = 2**22
_FULL = 0.1  # of the cells


@dataclass(frozen=True, eq=False)
class People:
    """Users who liked something: their attributes as features of length 1 (V, F), and their likes (V, N)."""

    features: sp.csr_matrix
    likes: sp.csr_matrix

    @classmethod
    def of(cls, features: sp.csr_matrix, histories: Histories, n_items: int) -> "People":
        """From the features (U, F) and histories of all users."""
        liked = histories.positives()
        active = np.flatnonzero(liked.lengths > 0)
        ones = Histories(liked.items, liked.offsets, np.ones_like(liked.weights))
        return cls(unit(features[active]), ones.take(active).matrix(n_items))

    def likes_of_the_nearest(self, asked: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N,) how many of the 300 people most like a description (1, F) like each item; of few people, of a third.

        Likeness is the cosine of features; of people as like as the last of them, all count, each for their share.
        """
        alike = np.asarray((self.features @ unit(sp.csr_matrix(asked)).T).todense()).ravel()  # (V,)
        if len(alike) == 0:
            return np.zeros(self.likes.shape[1], dtype=np.float32)
        wanted = min(LIKE_THEM, -(-len(alike) // _AT_MOST))
        last = np.partition(alike, len(alike) - wanted)[len(alike) - wanted]
        weight = (alike > last).astype(np.float32)
        tied = alike == last
        weight[tied] = (wanted - weight.sum()) / tied.sum()
        return np.asarray(self.likes.T @ weight, dtype=np.float32)


def unit(features: sp.csr_matrix) -> sp.csr_matrix:
    """Rows (M, F) at length 1; rows of zeros stay."""
    lengths = np.sqrt(np.asarray(features.multiply(features).sum(axis=1)).ravel())
    return sp.csr_matrix(sp.diags_array(1.0 / np.maximum(lengths, 1e-12)) @ features)


def _dense_if_full(features: sp.csr_matrix) -> sp.csr_matrix | NDArray[np.float32]:
    """Rows of many numbers, such as vectors, as an array, which is multiplied faster; sparse ones stay."""
    return features.toarray() if features.nnz > _FULL * np.prod(features.shape) else features


def _products(some: sp.csr_matrix, others: sp.csr_matrix | NDArray[np.float32]) -> NDArray[np.float32]:
    """(b, V) of rows (b, G) with rows (V, G)."""
    if isinstance(others, np.ndarray):
        return np.asarray(some.toarray() @ others.T)
    return np.asarray((some @ others.T).toarray())


def _largest(values: NDArray[np.float32], k: int) -> NDArray[np.bool_]:
    """(B, V) where the `k` largest of each row are; of equal ones the first."""
    if values.shape[1] <= k:
        return np.ones(values.shape, dtype=bool)
    last = np.partition(values, values.shape[1] - k, axis=1)[:, -k, None]
    above, level = values > last, values == last
    return above | (level & (np.cumsum(level, axis=1) <= k - above.sum(axis=1, keepdims=True)))


@dataclass(frozen=True, eq=False)
class AddedItems:
    """M items that came after the training, each the mean of known ones with weights `like` (M, N) that add up to 1."""

    like: sp.csr_matrix

    @classmethod
    def of(cls, known: sp.csr_matrix, new: sp.csr_matrix, likes: NDArray[np.int64]) -> "AddedItems":
        """From features (N, G) and (M, G): the 10 items with `likes` (N,) of the largest cosine, weighted by it.

        Of very many items those with the most likes are compared. One that is like none of them is the 10 with the most
        likes, in equal shares.
        """
        most = np.argsort(-likes, kind="stable")
        candidates = np.sort(most[: min(_CANDIDATES, np.count_nonzero(likes))])
        popular = np.flatnonzero(np.isin(candidates, most[:LIKE_IT]))
        theirs, rows = _dense_if_full(unit(known[candidates])), []
        at_once = max(1, _CELLS_AT_ONCE // max(1, len(candidates)))
        for start in range(0, new.shape[0], at_once):
            alike = np.maximum(_products(unit(new[start : start + at_once]), theirs), 0.0)  # (b, V)
            alike *= _largest(alike, LIKE_IT)
            alike[np.ix_(np.flatnonzero(alike.sum(axis=1) <= 0), popular)] = 1.0
            rows.append(sp.csr_matrix(alike / alike.sum(axis=1, keepdims=True)))
        like = sp.vstack(rows, format="csr") if rows else sp.csr_matrix((0, len(candidates)))
        columns = candidates[like.indices]
        return cls(sp.csr_matrix((like.data, columns, like.indptr), shape=(new.shape[0], known.shape[0])))

    def __len__(self) -> int:
        return int(self.like.shape[0])

    @property
    def n_known(self) -> int:
        """N."""
        return int(self.like.shape[1])

    def joined(self, known: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N + M, D) rows of the known items (N, D), and the added_items' after them."""
        return np.concatenate([known, self.mean(known)])

    def mean(self, known: NDArray[np.float32]) -> NDArray[np.float32]:
        """(M, D) the added_items' rows alone."""
        return np.asarray(self.like @ known, dtype=np.float32)

    def scored(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, N + M) scores, from those of the known items (B, N)."""
        return np.concatenate([scores, np.asarray((self.like @ scores.T).T, dtype=np.float32)], axis=1)

    def known_only(self, history: Histories) -> Histories:
        """The same histories with the known item that is most like it in place of each newcomer."""
        late = history.items >= self.n_known
        if not late.any():
            return history
        most = np.asarray(self.like.argmax(axis=1)).ravel()
        items = history.items.copy()
        items[late] = most[history.items[late] - self.n_known]
        return Histories(items, history.offsets, history.weights)


@dataclass(frozen=True, eq=False)
class ColdItems:
    """Items of the catalogue that no row is about: C of them at `places` (C,), each the mean that `like` (C, N) says.

    Their trained vectors are what they started from. Items that were met and never liked stay as they were learnt.
    """

    places: NDArray[np.int64]
    like: sp.csr_matrix

    @classmethod
    def of(cls, features: sp.csr_matrix, met: NDArray[np.integer], likes: NDArray[np.int64]) -> "ColdItems":
        """From features (N, G), the items of all rows, and `likes` (N,); without features none can be placed."""
        places = np.flatnonzero(np.bincount(met, minlength=len(likes)) == 0)
        if features.shape[1] == 0 or not likes.any():
            places = places[:0]
        return cls(places, AddedItems.of(features, features[places], likes).like)

    @classmethod
    def of_histories(cls, features: sp.csr_matrix, histories: Histories) -> "ColdItems":
        """Those of the items with features (N, G) that no history holds."""
        n_items, liked = features.shape[0], histories.positives().items
        met = histories.items[histories.items < n_items]
        return cls.of(features, met, np.bincount(liked[liked < n_items], minlength=n_items))

    @classmethod
    def of_split(cls, split: Split) -> "ColdItems":
        """Those that are in no training row of a split, by the attributes in its item table."""
        table = split.dataset.item_table
        features = Encoder.fit(table).encode(table, split.train.n_items)
        return cls.of_histories(features, split.train.histories())

    def __len__(self) -> int:
        return len(self.places)

    def placed(self, known: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, D) the rows, with those of cold_items items placed."""
        if len(self) == 0:
            return known
        found = known.copy()
        found[self.places] = self.like @ known
        return found

    def scored(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, N) the scores, with those of cold_items items placed."""
        scores[:, self.places] = (self.like @ scores.T).T
        return scores

    def around(self, scorer: "Scorer") -> "Scorer":
        """A scorer (B, N) that places them."""
        import torch

        if len(self) == 0:
            return scorer
        return lambda queries: torch.from_numpy(self.scored(scorer(queries).detach().cpu().numpy()))


def as_answered(split: Split) -> "Callable[[Scorer], Scorer]":
    """What makes of a model's scorer the one that a split tests: where new items are tested, they are placed."""
    if not PROTOCOLS[split.protocol].new_items:
        return lambda scorer: scorer
    return ColdItems.of_split(split).around
