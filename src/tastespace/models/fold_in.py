"""Fold-in: a query vector from a bare history and frozen item vectors, in numpy alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tastespace.data.histories import Histories


@dataclass(frozen=True, eq=False)
class FoldIn:
    """A query vector as the sum of one vector for each liked item of the history.

    `vectors` (N, D) is what each item adds. `parts` lists (width, length) pairs that together span D: the sum's
    coordinates of each part are scaled to that length; empty means no scaling. `tail` (n_bias,) are the constant
    last coordinates that meet the item biases.
    """

    vectors: NDArray[np.float32]
    parts: Sequence[tuple[int, float]]
    tail: NDArray[np.float32]

    def __call__(self, history: Histories) -> NDArray[np.float32]:
        """(B, D + n_bias) query vectors; an empty history gives zeros and the tail."""
        liked = history.positives()
        summed = np.asarray(liked.matrix(len(self.vectors)) @ self.vectors, dtype=np.float32)  # (B, D)
        start = 0
        for width, length in self.parts:
            part = summed[:, start : start + width]
            part *= length / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12)
            start += width
        tail = np.broadcast_to(self.tail, (len(summed), len(self.tail)))
        return np.concatenate([summed, tail], axis=1).astype(np.float32)
