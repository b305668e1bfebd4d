"""Negatives: items that a user is taken not to like, drawn for a whole batch at once."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

_ROUNDS = 20


class KnownPairs:
    """The (user, item) pairs that must not be drawn, for fast look-up."""

    def __init__(self, matrix: sp.csr_matrix) -> None:
        self._n_items = matrix.shape[1]
        pairs = matrix.tocoo()
        self._keys = np.sort(pairs.row.astype(np.int64) * self._n_items + pairs.col)

    def contains(self, users: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which pairs are known; `users` and `items` broadcast."""
        asked = users * self._n_items + items
        if len(self._keys) == 0:
            return np.zeros(asked.shape, dtype=bool)
        place = np.minimum(np.searchsorted(self._keys, asked), len(self._keys) - 1)
        found: NDArray[np.bool_] = self._keys[place] == asked
        return found


def uniform_negatives(
    users: NDArray[np.int64], n: int, n_items: int, known: KnownPairs, rng: np.random.Generator
) -> NDArray[np.int64]:
    """(P, n) items drawn uniformly for each of `users` (P,), known pairs drawn again.

    A user who knows nearly everything may keep a known item after 20 rounds.
    """
    drawn = rng.integers(0, n_items, (len(users), n))
    for _ in range(_ROUNDS):
        rows, columns = np.nonzero(known.contains(users[:, None], drawn))
        if len(rows) == 0:
            break
        drawn[rows, columns] = rng.integers(0, n_items, len(rows))
    return drawn
