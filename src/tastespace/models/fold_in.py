"""Fold-in: a query vector from a bare history and frozen item vectors, in numpy alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tastespace.data.histories import Histories


@dataclass(frozen=True, eq=False)
class FoldIn:
    """A query vector as a weighted sum of one vector an item of the history.

    `vectors` (N, D) is what each liked item adds; `unit` scales the sum's first D - n_bias coordinates to length
    one; `tail` (n_bias,) are the constant last coordinates that meet the item biases.
    """

    vectors: NDArray[np.float32]
    unit: bool
    tail: NDArray[np.float32]

    def __call__(self, history: Histories) -> NDArray[np.float32]:
        """(B, D + n_bias) query vectors; an empty history gives zeros and the tail."""
        liked = history.positives()
        summed = np.asarray(liked.matrix(len(self.vectors)) @ self.vectors, dtype=np.float32)  # (B, D)
        if self.unit:
            norms = np.linalg.norm(summed, axis=1, keepdims=True)
            summed = summed / np.maximum(norms, 1e-12)
        tail = np.broadcast_to(self.tail, (len(summed), len(self.tail)))
        return np.concatenate([summed, tail], axis=1).astype(np.float32)
