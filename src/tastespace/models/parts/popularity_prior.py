"""Evidence: how far an answer leans on what everybody likes, where next to nothing is known of who asks.

A stranger's T liked items tell little while T is small. Then popularity, on the scale of the model's own scores, counts
1 / T on top of them: as much as all the rest after one like, and next to nothing after many. Of MovieLens 100K's unseen
users (validation rows) the first like alone gives NDCG@10 of 0.16 to 0.19 with it, by model, and 0.14 to 0.18 without,
where popularity alone gives 0.177; the first two give 0.17 to 0.20, and 0.16 to 0.19; beyond ten it makes no difference
(benchmarks/fold_in.py).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tastespace.data.histories import Histories
from tastespace.data.queries import Queries

_TYPICAL = 200  # histories of one like that tell the scale of a model's scores
_CELLS_AT_ONCE = 2**22


def distinct_likes(history: Histories) -> NDArray[np.int64]:
    """(B,) how many items are liked in each list; one that comes up again is no more evidence."""
    liked = history.positives()
    n_items = int(liked.items.max(initial=0)) + 1
    return np.bincount(np.unique(liked.pairs(n_items)) // n_items, minlength=len(liked))


def left_to_everybody(queries: Queries) -> NDArray[np.float32]:
    """(B,) how much popularity counts: 1 / T for a stranger with T likes, 0 for a known user; 1 without any like."""
    likes = distinct_likes(queries.history)
    return np.where(likes == 0, 1.0, (queries.users < 0) / np.maximum(likes, 1)).astype(np.float32)


def popular_scores(
    likes: NDArray[np.int64], score: Callable[[Queries], NDArray[np.float32]], seed: int = 0
) -> NDArray[np.float32]:
    """(N,) how much more than the mean each item is liked, as spread out as the scores that one like gives.

    For models whose scores know no popularity of their own. `likes` (N,) are counted; `score` gives scores (B, N), and
    is asked 200 histories of one item each, drawn as they are liked.
    """
    spread = float(likes.std()) if len(likes) else 0.0
    if spread == 0:
        return np.zeros(len(likes), dtype=np.float32)
    drawn = np.random.default_rng(seed).choice(len(likes), min(_TYPICAL, len(likes)), p=likes / likes.sum())
    at_once = max(1, _CELLS_AT_ONCE // len(likes))
    parts = [drawn[start : start + at_once, None].tolist() for start in range(0, len(drawn), at_once)]
    spreads = [score(Queries.of_histories(Histories.of(part))).std(axis=1) for part in parts]
    typical = float(np.concatenate(spreads).mean())
    return ((likes - likes.mean()) * (typical / spread)).astype(np.float32)


def with_popular(scores: NDArray[np.float32], queries: Queries, popular: NDArray[np.float32]) -> NDArray[np.float32]:
    """(B, N) scores with popularity (N,) on top, as far as it counts; the same array where it does not."""
    left = left_to_everybody(queries)
    if left.any():
        scores = scores + left[:, None] * popular
    return scores
