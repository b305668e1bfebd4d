"""Ranking metrics, one value a user, and what a set of lists looks like as a whole.

`hits` (R, K) is true where a recommended item is relevant; `n_relevant` (R,) counts what was there to find.

>>> hits = np.array([[True, False, True]])
>>> round(float(ndcg(hits, np.array([2]))[0]), 4)  # (1 + 1/2) / (1 + 1/log2(3))
0.9197
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tastespace.data.histories import Histories

Hits = NDArray[np.bool_]
Counts = NDArray[np.int64]
Values = NDArray[np.float64]


def recall(hits: Hits, n_relevant: Counts) -> Values:
    """Share of the relevant items that the list holds."""
    return hits.sum(axis=1) / n_relevant


def precision(hits: Hits, n_relevant: Counts) -> Values:
    """Share of the list that is relevant."""
    return hits.sum(axis=1) / hits.shape[1]


def hit(hits: Hits, n_relevant: Counts) -> Values:
    """1 where the list holds any relevant item."""
    return np.asarray(hits.any(axis=1), dtype=np.float64)


def mrr(hits: Hits, n_relevant: Counts) -> Values:
    """1 / place of the first relevant item, 0 where the list holds none."""
    return np.asarray(np.max(hits / np.arange(1, hits.shape[1] + 1), axis=1), dtype=np.float64)


def average_precision(hits: Hits, n_relevant: Counts) -> Values:
    """Precision at each hit, averaged over min(K, relevant)."""
    places = np.arange(1, hits.shape[1] + 1)
    at_hits = (np.cumsum(hits, axis=1) / places * hits).sum(axis=1)
    return at_hits / np.minimum(n_relevant, hits.shape[1])


def ndcg(hits: Hits, n_relevant: Counts) -> Values:
    """Discounted gain (binary, 1 / log2(place + 1)) over that of the best list of min(K, relevant) items.

    Järvelin and Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques".
    """
    gains = 1.0 / np.log2(np.arange(2, hits.shape[1] + 2))
    ideal = np.cumsum(gains)[np.minimum(n_relevant, hits.shape[1]) - 1]
    return (hits * gains).sum(axis=1) / ideal


PER_USER: dict[str, Callable[[Hits, Counts], Values]] = {
    "recall": recall,
    "ndcg": ndcg,
    "hit": hit,
    "mrr": mrr,
    "map": average_precision,
    "precision": precision,
}


def find_hits(items: NDArray[np.int64], relevant: Histories, n_items: int) -> Hits:
    """(R, K) which of the recommended `items` (R, K; -1 for none) are among the R lists of relevant ones."""
    keys = np.sort(relevant.pairs(n_items))
    pairs = np.arange(len(items))[:, None] * n_items + items
    position = np.minimum(np.searchsorted(keys, pairs), max(len(keys) - 1, 0))
    return (items >= 0) & (keys[position] == pairs) if len(keys) else np.zeros(items.shape, dtype=bool)


def coverage(items: NDArray[np.int64], n_items: int) -> float:
    """Share of the catalogue that appears in at least one list."""
    return len(np.unique(items[items >= 0])) / n_items


def novelty(items: NDArray[np.int64], popularity: Counts, n_users: int) -> float:
    """Mean self-information, -log2 of the share of users who liked an item, over all recommended places; in bits.

    An item that nobody liked counts as liked by one user. Zhou et al. 2010, "Solving the apparent
    diversity-accuracy dilemma of recommender systems".
    """
    share = np.maximum(popularity, 1) / n_users
    shown = items[items >= 0]
    return float(-np.log2(share[shown]).mean()) if len(shown) else 0.0


def average_popularity(items: NDArray[np.int64], popularity: Counts) -> float:
    """Mean number of users who liked an item, over all recommended places."""
    shown = items[items >= 0]
    return float(popularity[shown].mean()) if len(shown) else 0.0


def gini(items: NDArray[np.int64], n_items: int) -> float:
    """Gini index of how the lists spread over the catalogue: 0 all items alike, near 1 a few items everywhere."""
    shown = np.sort(np.bincount(items[items >= 0], minlength=n_items)).astype(np.float64)
    if shown.sum() == 0:
        return 0.0
    ranks = np.arange(1, n_items + 1)
    return float(((2 * ranks - n_items - 1) * shown).sum() / (n_items * shown.sum()))
