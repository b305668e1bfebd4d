"""Interactions: the log as checked arrays."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from tastespace.data.histories import Histories
from tastespace.data.vocabulary import Vocabulary
from tastespace.errors import DataError


@dataclass(frozen=True, eq=False)
class Interactions:
    """User-item interactions: one row an event, in file order.

    `user` and `item` are indices into the vocabularies. `value` is the logged number (stars, hours; NaN where there
    is none). `weight` is its meaning: > 0 positive (its size is the confidence), 0 seen but neutral,
    < 0 disliked. `time` is seconds since the epoch, UTC, or None where the log has no time.
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    value: NDArray[np.float32]
    weight: NDArray[np.float32]
    time: NDArray[np.float64] | None
    users: Vocabulary
    items: Vocabulary

    def __post_init__(self) -> None:
        rows = len(self.user)
        columns: list[NDArray[np.generic]] = [self.item, self.value, self.weight]
        columns += [] if self.time is None else [self.time]
        if any(column.ndim != 1 or len(column) != rows for column in columns):
            raise DataError("the columns of a log must be lists of one length")
        for indices, vocabulary in ((self.user, self.users), (self.item, self.items)):
            if rows and (indices.min() < 0 or indices.max() >= len(vocabulary)):
                raise DataError(f"a {vocabulary.noun} index is outside its vocabulary of {len(vocabulary)}")
        if not bool(np.isfinite(self.weight).all()):
            raise DataError(f"row {int(np.argmin(np.isfinite(self.weight))) + 1} has a weight that is not finite")
        if self.time is not None and rows and not (np.isfinite(self.time).all() and self.time.min() >= 0):
            wrong = int(np.argmax(~(np.isfinite(self.time) & (self.time >= 0))))
            raise DataError(f"row {wrong + 1} has the time {self.time[wrong]}; seconds since 1970 are expected")
        for column in (self.user, *columns):
            column.setflags(write=False)

    def __repr__(self) -> str:
        return f"Interactions({len(self)} rows, {self.n_users} users, {self.n_items} items)"

    def __len__(self) -> int:
        return len(self.user)

    @property
    def n_users(self) -> int:
        """U, the users of the vocabulary, active in these rows or not."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """N, the items of the vocabulary."""
        return len(self.items)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Interactions":
        """The chosen rows (indices or a mask), in the order given."""
        return replace(
            self,
            user=self.user[rows],
            item=self.item[rows],
            value=self.value[rows],
            weight=self.weight[rows],
            time=None if self.time is None else self.time[rows],
        )

    def weighted(self, weight: NDArray[np.float32]) -> "Interactions":
        """Return the rows with other weights."""
        return replace(self, weight=weight)

    def positives(self) -> "Interactions":
        """Rows with a positive signal: weight above 0."""
        return self.take(self.weight > 0)

    def seen(self) -> "Interactions":
        """Every row: positive, neutral or disliked, the user has seen the item."""
        return self

    def dislikes(self) -> "Interactions":
        """Rows with a negative signal: weight below 0."""
        return self.take(self.weight < 0)

    def pairs(self) -> NDArray[np.int64]:
        """(rows,) one number for each (user, item) pair, user * N + item: equal where the pair is."""
        return self.user.astype(np.int64) * self.n_items + self.item

    def matrix(self) -> sp.csr_matrix:
        """(U, N) sparse float32 matrix of weights; repeated pairs add up, explicit zeros are kept."""
        shape = (self.n_users, self.n_items)
        return sp.coo_matrix((self.weight, (self.user, self.item)), shape=shape).tocsr()

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Row numbers sorted by user, then time; equal times, and logs without time, keep file order."""
        if self.time is None:
            return np.argsort(self.user, kind="stable")
        return np.lexsort((self.time, self.user))

    def histories(self) -> Histories:
        """One list a user of the vocabulary (empty where they have no row), oldest first."""
        order = self.order
        counts = np.bincount(self.user, minlength=self.n_users)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return Histories(self.item[order], offsets, self.weight[order])

    def fingerprint(self) -> str:
        """SHA-256 of ids, rows and weights: equal logs have equal fingerprints."""
        digest = hashlib.sha256()
        for vocabulary in (self.users, self.items):
            ids = vocabulary.ids
            digest.update("\0".join(ids).encode() if vocabulary.is_text else ids.tobytes())
            digest.update(b"\x01")
        for column in (self.user, self.item, self.value, self.weight, self.time):
            if column is not None:
                digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()

    @classmethod
    def of(
        cls,
        user: NDArray[np.integer],
        item: NDArray[np.integer],
        users: Vocabulary,
        items: Vocabulary,
        *,
        value: NDArray[np.floating] | None = None,
        weight: NDArray[np.floating] | None = None,
        time: NDArray[np.floating] | None = None,
    ) -> "Interactions":
        """Build from index arrays; a missing value is NaN, a missing weight 1."""
        rows = len(user)
        return cls(
            user=np.ascontiguousarray(user, dtype=np.int32),
            item=np.ascontiguousarray(item, dtype=np.int32),
            value=np.full(rows, np.nan, np.float32) if value is None else value.astype(np.float32),
            weight=np.ones(rows, np.float32) if weight is None else weight.astype(np.float32),
            time=None if time is None else time.astype(np.float64),
            users=users,
            items=items,
        )
