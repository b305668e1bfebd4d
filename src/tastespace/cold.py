"""Cold start: people of whom only attributes are known are answered by those most like them. Numpy and scipy alone."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from tastespace.data.histories import Histories

LIKE_THEM = 300  # people; fewer are too few likes, more are everybody (MovieLens 100K, new-users, validation rows)


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
        """(N,) how many of the 300 people most like a description (1, F) like each item.

        Likeness is the cosine of features; of people as like as the last of them, all count, each for their share.
        """
        alike = np.asarray((self.features @ unit(sp.csr_matrix(asked)).T).todense()).ravel()  # (V,)
        if len(alike) <= LIKE_THEM:
            return np.asarray(self.likes.sum(axis=0), dtype=np.float32).ravel()
        last = np.partition(alike, len(alike) - LIKE_THEM)[len(alike) - LIKE_THEM]
        weight = (alike > last).astype(np.float32)
        tied = alike == last
        weight[tied] = (LIKE_THEM - weight.sum()) / tied.sum()
        return np.asarray(self.likes.T @ weight, dtype=np.float32)


def unit(features: sp.csr_matrix) -> sp.csr_matrix:
    """Rows (M, F) at length 1; rows of zeros stay."""
    lengths = np.sqrt(np.asarray(features.multiply(features).sum(axis=1)).ravel())
    return sp.csr_matrix(sp.diags_array(1.0 / np.maximum(lengths, 1e-12)) @ features)
