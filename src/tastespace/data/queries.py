"""Queries: a batch of questions to a model."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tastespace._messages import shown
from tastespace.data.histories import Histories
from tastespace.errors import DataError, OptionError


@dataclass(frozen=True, eq=False)
class Queries:
    """B questions "what next?", each from a user's row, a history, features, or any of these.

    `users` (B,) holds user indices, -1 where there is no row to use; `history` holds B lists, oldest first;
    `features` (B, F) or None.
    """

    users: NDArray[np.int64]
    history: Histories
    features: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if len(self.users) != len(self.history):
            raise DataError(f"{len(self.users)} users, but {len(self.history)} histories in one batch of queries")
        if self.features is not None and len(self.features) != len(self.users):
            raise DataError(f"{len(self.users)} users, but {len(self.features)} feature rows in one batch")

    def __len__(self) -> int:
        return len(self.users)

    @classmethod
    def of_users(cls, users: NDArray[np.int64], histories: Histories) -> "Queries":
        """Known users with their own histories; `histories` has one list for every user index."""
        return cls(users=users, history=histories.take(users))

    @classmethod
    def of_histories(cls, histories: Histories) -> "Queries":
        """Bare histories, without any user row."""
        return cls(users=np.full(len(histories), -1, dtype=np.int64), history=histories)

    def take(self, rows: NDArray[np.int64]) -> "Queries":
        """The questions at `rows`."""
        features = None if self.features is None else self.features[rows]
        return Queries(self.users[rows], self.history.take(rows), features)


def check_k(k: int, n: int, noun: str = "item") -> None:
    """Raise `OptionError` for a list length that `n` things called `noun` cannot fill."""
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise OptionError(f"k is {shown(k)}, but a whole number of at least 1 is expected")
    if k > n:
        holder = "the catalogue has" if noun == "item" else "there are"
        raise OptionError(f"k is {k}, but {holder} only {n} {noun}s; at most {n} can be requested (--k)")
