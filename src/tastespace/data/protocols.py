"""Protocols by name: each is one function from the rows of a log to a `Cut` into train, validation and test."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tastespace._messages import did_you_mean, shown
from tastespace.data.interactions import Interactions
from tastespace.errors import OptionError

Hidden = Literal["positives", "seen"]
Mask = NDArray[np.bool_]
_MIN_ROWS_OF_A_NEW_USER = 5  # so that a fifth of them is one row


@dataclass(frozen=True)
class Cut:
    """Where each row of a log goes, as masks (rows,); a row of none is trained on.

    `validation` None: the same cut is applied to train once more. `given` rows are never trained on: at test they are
    the history of users whom the model has not seen. `unused` rows are in no part at all.
    """

    test: Mask
    validation: Mask | None = None
    given: Mask | None = None
    unused: Mask | None = None

    def train(self) -> Mask:
        """Mask of the rows in none of the other masks."""
        masks = [mask for mask in (self.test, self.validation, self.given, self.unused) if mask is not None]
        return ~np.logical_or.reduce(masks)


@dataclass(frozen=True)
class Protocol:
    """A way to cut a log.

    `hidden` says what is not ranked at test: the user's training positives, or everything they have seen.
    `every_row_positive`: every row counts as a positive, whatever its weight. `cold_users`: users without any known row
    are tested, too. `new_items`: items without any training row are tested, embedded by their attributes. `in_time`:
    no row of train is newer than the test rows of its user, or of the whole log; the latter needs times.
    `second_name` is accepted wherever the name is.
    """

    about: str
    cut: Callable[[Interactions, int], Cut]
    hidden: Hidden
    every_row_positive: bool = False
    cold_users: bool = True
    new_items: bool = False
    in_time: Literal["user", "log"] | None = None
    second_name: str | None = None


def _cut_article(rows: Interactions, seed: int) -> Cut:
    """Test a random fifth of the positives, drawn over all rows in file order.

    The same rows as scikit-learn's `train_test_split(positives, test_size=0.2, random_state=seed)`.
    """
    positives = np.flatnonzero(rows.weight > 0)
    n_test = -(-len(positives) // 5)
    test = np.zeros(len(rows), dtype=bool)
    if len(positives) > 1:
        test[positives[np.random.RandomState(seed).permutation(len(positives))[:n_test]]] = True
    return Cut(test)


def _ranks_from_end(rows: Interactions, order: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each row's rank from the end of its user's list (0 = last), and that list's length.

    `order` holds row numbers grouped by user.
    """
    counts = np.bincount(rows.user, minlength=rows.n_users)
    ends = np.cumsum(counts)
    ranks = np.empty(len(rows), dtype=np.int64)
    ranks[order] = np.repeat(ends, counts) - 1 - np.arange(len(rows))
    return ranks, counts[rows.user]


def _shuffled_ranks(rows: Interactions, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    shuffled = np.random.RandomState(seed).permutation(len(rows))
    return _ranks_from_end(rows, shuffled[np.argsort(rows.user[shuffled], kind="stable")])


def _cut_random_811(rows: Interactions, seed: int) -> Cut:
    """Test the last tenth of each user's shuffled rows, validate on the tenth before; users with 10 rows or more."""
    rank, length = _shuffled_ranks(rows, seed)
    tenth = length // 10
    return Cut(rank < tenth, (rank >= tenth) & (rank < 2 * tenth))


def _cut_leave_last_out(rows: Interactions, seed: int) -> Cut:
    """Test each user's last row, validate on the one before it; users with fewer than 3 rows only train."""
    rank, length = _ranks_from_end(rows, rows.order)
    return Cut((rank == 0) & (length >= 3), (rank == 1) & (length >= 3))


def _cut_tenth(rows: Interactions, seed: int) -> Cut:
    """Hold out a random tenth of each user's positives (one of two to nineteen), for tuning alone."""
    positives = np.flatnonzero(rows.weight > 0)
    rank, length = _shuffled_ranks(rows.take(positives), seed)
    test = np.zeros(len(rows), dtype=bool)
    test[positives[(rank < np.maximum(1, length // 10)) & (length >= 2)]] = True
    return Cut(test)


def _cut_at_time(rows: Interactions, seed: int) -> Cut:
    """Test the last tenth of the rows, validate on the tenth before it; rows of one time stay together.

    A cut is made after the last row of its quantile's time, or before that time where no row would be left after it.
    """
    times = np.zeros(0) if rows.time is None else rows.time
    test_from = _start_of_last(times, 10)
    validation_from = _start_of_last(times[times < test_from], 9)
    test = times >= test_from
    return Cut(test, (times >= validation_from) & ~test)


def _start_of_last(times: NDArray[np.float64], parts: int) -> float:
    """Return the earliest time from which at most 1 / `parts` of the rows follow, else the newest; inf if all equal."""
    distinct, first = np.unique(np.sort(times), return_index=True)
    if len(distinct) < 2:
        return np.inf
    index = int(np.searchsorted(first, len(times) - len(times) // parts))
    return float(distinct[min(index, len(distinct) - 1)])


def _tenth(candidates: NDArray[np.integer], seed: int) -> NDArray[np.integer]:
    """Draw a random tenth of the candidates, one of two to nineteen."""
    return np.random.RandomState(seed).permutation(candidates)[: max(1, len(candidates) // 10) * (len(candidates) > 1)]


def _cut_new_users(rows: Interactions, seed: int) -> Cut:
    """Hold out a random tenth of the users with 5 rows or more: a random fifth of their rows test, the others given."""
    counts = np.bincount(rows.user, minlength=rows.n_users)
    held_out = np.isin(rows.user, _tenth(np.flatnonzero(counts >= _MIN_ROWS_OF_A_NEW_USER), seed))
    rank, length = _shuffled_ranks(rows, seed)
    test = held_out & (rank < length // 5)
    return Cut(test, given=held_out & ~test)


def _cut_new_items(rows: Interactions, seed: int) -> Cut:
    """Test the positives of a random tenth of the items that have any; their other rows are in no part."""
    held_out = np.isin(rows.item, _tenth(np.unique(rows.positives().item), seed))
    test = held_out & (rows.weight > 0)
    return Cut(test, unused=held_out & ~test)


PROTOCOLS: dict[str, Protocol] = {
    "article": Protocol(
        "a random fifth of all positives is test", _cut_article, "positives", second_name="random-80-20"
    ),
    "article-rated": Protocol("a random fifth of all positives is test", _cut_article, "seen"),
    "random-811": Protocol(
        "every row positive; per user a random tenth test, a tenth validation",
        _cut_random_811,
        "positives",
        True,
    ),
    "leave-last-out": Protocol(
        "every row positive; per user the last row test, the one before it validation",
        _cut_leave_last_out,
        "positives",
        True,
        in_time="user",
    ),
    "at-time": Protocol(
        "the last tenth of the rows by time test, the tenth before it validation, without new users",
        _cut_at_time,
        "seen",
        cold_users=False,
        in_time="log",
    ),
    "new-users": Protocol(
        "a tenth of the users in no training row, a random fifth of their rows test, the others given",
        _cut_new_users,
        "seen",
    ),
    "new-items": Protocol(
        "a tenth of the liked items in no training row, their likes are test",
        _cut_new_items,
        "seen",
        cold_users=False,
        new_items=True,
    ),
    "ready": Protocol("split as published", _cut_tenth, "positives"),
    "all": Protocol("every row is trained on, nothing is tested", _cut_tenth, "seen"),
}


def names() -> list[str]:
    """Names of the protocols that cut a log into train and test (`ready_split` and `whole` do not cut)."""
    return [name for name in PROTOCOLS if name not in ("ready", "all")]


def resolve_name(name: str) -> str:
    """Return a protocol's name as results state it, from that or its second name; `OptionError` for any other."""
    canonical = {rule.second_name: known for known, rule in PROTOCOLS.items() if rule.second_name is not None}
    name = canonical.get(name, name)
    if name not in names():
        raise OptionError(f"there is no protocol {shown(name)}{did_you_mean(name, [*names(), *canonical])}")
    return name
