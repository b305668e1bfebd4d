"""Histories: the item lists of many users as one ragged array."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from tastespace.errors import DataError


@dataclass(frozen=True, eq=False)
class Histories:
    """B lists of item indices, oldest first.

    List b is `items[offsets[b]:offsets[b + 1]]`, with one signed weight an item (see `Interactions`).
    """

    items: NDArray[np.int32]  # (total,)
    offsets: NDArray[np.int64]  # (B + 1,)
    weights: NDArray[np.float32]  # (total,)

    def __post_init__(self) -> None:
        offsets = self.offsets
        if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(self.items):
            raise DataError("history offsets must start at 0 and end at the number of items")
        if bool(np.any(np.diff(offsets) < 0)) or len(self.items) != len(self.weights):
            raise DataError("history offsets must not fall, and every item needs one weight")

    @classmethod
    def of(cls, lists: Sequence[Sequence[int]], weights: Sequence[Sequence[float]] | None = None) -> "Histories":
        """Build from lists of item indices; every weight is 1 unless given."""
        lengths = np.array([len(items) for items in lists], dtype=np.int64)
        items = np.array([index for indices in lists for index in indices], dtype=np.int32)
        flat = [weight for row in weights for weight in row] if weights is not None else [1.0] * len(items)
        return cls(items, _offsets(lengths), np.array(flat, dtype=np.float32))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(B,) number of items in each list."""
        return np.diff(self.offsets)

    @property
    def rows(self) -> NDArray[np.int64]:
        """(total,) the list that each item belongs to."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)

    @property
    def from_end(self) -> NDArray[np.int64]:
        """(total,) position of each item counted from the end of its list: 0 is the newest."""
        return np.repeat(self.offsets[1:], self.lengths) - 1 - np.arange(len(self.items))

    def pairs(self, n_items: int) -> NDArray[np.int64]:
        """(total,) one number for each (list, item) pair, list * N + item: equal where the pair is."""
        return self.rows * n_items + self.items

    def matrix(self, n_items: int) -> sp.csr_matrix:
        """(B, N) sparse float32 matrix of weights; repeated items add up."""
        made = sp.csr_matrix((self.weights, self.items, self.offsets), shape=(len(self), n_items))
        made.sum_duplicates()
        return made

    def positives(self) -> "Histories":
        """The lists reduced to their positives."""
        return self.keep(self.weights > 0)

    def take(self, indices: NDArray[np.int64]) -> "Histories":
        """The lists at `indices`, in that order."""
        starts, lengths = self.offsets[indices], self.lengths[indices]
        offsets = _offsets(lengths)
        # position of every requested item: its list's start plus its rank within the list
        where = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths) + np.repeat(starts, lengths)
        return Histories(self.items[where], offsets, self.weights[where])

    def keep(self, mask: NDArray[np.bool_]) -> "Histories":
        """The lists reduced to the items where `mask` (total,) is true."""
        counts = np.concatenate([[0], np.cumsum(mask, dtype=np.int64)])
        return Histories(self.items[mask], counts[self.offsets], self.weights[mask])


def _offsets(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths, dtype=np.int64)])
