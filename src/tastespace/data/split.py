"""Protocols: how a log is cut into training, validation and test rows, by name.

Each protocol is one function from rows to a `Cut`; everything else follows from its `Protocol` entry.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tastespace._messages import did_you_mean, shown
from tastespace.data.dataset import Dataset
from tastespace.data.histories import Histories
from tastespace.data.interactions import Interactions
from tastespace.data.queries import Queries
from tastespace.errors import DataError, OptionError, TooLittleDataError

Hidden = Literal["positives", "seen"]
Mask = NDArray[np.bool_]
SPLIT_SEED = 42
_MOSTLY = 0.9
_LEAST_OF_A_NEW_USER = 5  # rows, so that a fifth of them is one


@dataclass(frozen=True)
class Cut:
    """Where each row of a log goes, as masks (rows,); a row of none is trained on.

    `validation` None: the same cut is applied to train once more. `given` rows are never trained on and told at test:
    the history of users who are strangers then, and of whom no row is trained on. `unused` rows are in no part at all.
    """

    test: Mask
    validation: Mask | None = None
    given: Mask | None = None
    unused: Mask | None = None

    def train(self) -> Mask:
        """The rows of none of the masks."""
        taken = [mask for mask in (self.test, self.validation, self.given, self.unused) if mask is not None]
        return ~np.logical_or.reduce(taken)


@dataclass(frozen=True)
class Protocol:
    """A way to cut a log.

    `hidden` says what is not ranked at test: the user's training positives, or everything they have seen.
    `every_row_positive`: whatever a row's weight, here it counts as liked. `cold_users`: whether users of whom nothing
    is known are tested. `new_items`: items that no training row is about are tested, and stand where their attributes
    place them. `in_time`: a row of train is promised to be no newer than the test rows of its user, or of the
    whole log; the latter needs times.
    """

    about: str
    cut: Callable[[Interactions, int], Cut]
    hidden: Hidden
    every_row_positive: bool = False
    cold_users: bool = True
    new_items: bool = False
    in_time: Literal["user", "log"] | None = None


@dataclass(frozen=True, eq=False)
class Split:
    """Rows to learn from, rows to tune on, rows to be tested on, over one vocabulary.

    `validation` is None where the protocol brings none: `for_validation` then cuts `train` once more. `given` is the
    history of users who are in no training row and are asked as strangers. `dropped` counts what cannot be tested, by
    reason.
    """

    protocol: str
    dataset: Dataset
    train: Interactions
    validation: Interactions | None
    test: Interactions
    hidden: Hidden
    seed: int = SPLIT_SEED
    dropped: Mapping[str, int] = field(default_factory=dict)
    with_validation: Interactions | None = None  # training and validation rows together, in file order
    given: Interactions | None = None

    @property
    def known(self) -> Interactions:
        """What is known before the test: training and validation rows, in file order."""
        return self.train if self.with_validation is None else self.with_validation

    @property
    def told(self) -> Interactions:
        """What a question at test may tell of its user: known rows, and after them the given ones."""
        return self.known if self.given is None else join(self.known, self.given)

    def queries(self, users: NDArray[np.int64]) -> Queries:
        """The questions that `users` ask at test: with their row and all that is told, strangers by what is given."""
        asked = Queries.of_users(users, self.told.histories())
        if self.given is None:
            return asked
        return replace(asked, users=np.where(np.isin(users, self.given.user), -1, users))

    def for_validation(self) -> "Split":
        """The split to tune on: its test rows are this one's validation rows. Never holds a test row."""
        if self.validation is not None:
            return _counted(replace(self, validation=None, test=self.validation, with_validation=None))
        cut = PROTOCOLS[self.protocol].cut(self.train, self.seed)
        return _assemble(self.protocol, self.dataset, self.train, replace(cut, validation=None), self.hidden, self.seed)

    def asks_what_follows(self) -> bool:
        """Whether validation rows are the newest of their users, rather than any; True where nothing is tested."""
        held_out = self.for_validation().test
        if len(self.test) == 0 or len(held_out) == 0:
            return True
        known = self.known.take(self.known.order)
        is_held_out = np.isin(known.pairs(), held_out.pairs())
        ends = np.flatnonzero(np.diff(known.user, append=-1))  # the newest row of each user
        tested = np.isin(known.user[ends], held_out.user)
        return bool(is_held_out[ends][tested].mean() > _MOSTLY)

    def histories(self) -> Histories:
        """(U lists) what each user is known to have done before the test, oldest first, in the order of the log."""
        return self.known.histories()

    def hidden_items(self) -> Histories:
        """(U lists) the items left out of each user's ranking, never one that the user is tested on."""
        lists = self.told.histories()
        lists = lists if self.hidden == "seen" else lists.positives()
        return lists.keep(~np.isin(lists.pairs(self.test.n_items), self.test.pairs()))

    def targets(self) -> Interactions:
        """The test rows that should be found: those that say "liked", of users who can be asked."""
        liked = self.test.positives()
        return liked if PROTOCOLS[self.protocol].cold_users else liked.take(np.isin(liked.user, self.told.user))

    def relevant_items(self) -> Histories:
        """(U lists) the items that each user should be recommended, once each."""
        liked = self.targets()
        _, first = np.unique(liked.pairs(), return_index=True)
        return liked.take(np.sort(first)).histories()

    def fingerprint(self) -> str:
        """SHA-256 of every row in its part, what is hidden, and what is known of items and users."""
        digest = hashlib.sha256(f"{self.seed} {self.hidden}".encode())
        for part in (self.train, self.validation, self.with_validation, self.given, self.test):
            digest.update(b"none" if part is None else part.fingerprint().encode())
        for table in (self.dataset.item_table, self.dataset.user_table):
            digest.update(table.fingerprint().encode())
        return digest.hexdigest()

    def describe(self) -> str:
        """The protocol in one line that can be pasted into a paper."""
        log = self.dataset.interactions
        cut = f"{len(self.train)} train"
        if self.validation is not None:
            cut += f" / {len(self.validation)} validation"
        if self.given is not None:
            cut += f" / {len(self.given)} given"
        about = PROTOCOLS[self.protocol].about
        return (
            f"{self.dataset.name} ({log.n_users} users, {log.n_items} items, {len(log)} rows), protocol "
            f"{self.protocol}: {about}, seed {self.seed}; {cut} / {len(self.test)} test rows; whole catalogue "
            f"ranked, {'all seen items' if self.hidden == 'seen' else 'known positives'} hidden"
        )


def join(*parts: Interactions) -> Interactions:
    """Rows of several logs over one vocabulary, one after the other."""
    first = parts[0]
    return Interactions.of(
        np.concatenate([part.user for part in parts]),
        np.concatenate([part.item for part in parts]),
        first.users,
        first.items,
        value=np.concatenate([part.value for part in parts]),
        weight=np.concatenate([part.weight for part in parts]),
        time=None if first.time is None else np.concatenate([part.time for part in parts if part.time is not None]),
    )


def split(dataset: Dataset, protocol: str = "article", *, seed: int = SPLIT_SEED) -> Split:
    """Cut a dataset by a protocol's name.

    Raises `OptionError` for an unknown name, `DataError` for a log without the times that a protocol needs, and
    `TooLittleDataError` where nothing is left to train or to test.
    """
    if protocol not in names():
        raise OptionError(f"there is no protocol {shown(protocol)}{did_you_mean(protocol, names())}")
    rule = PROTOCOLS[protocol]
    rows = dataset.interactions
    if rule.in_time == "log":
        _require_times(dataset, protocol)
    if rule.every_row_positive:
        rows = rows.weighted(np.ones(len(rows), dtype=np.float32))
    made = _assemble(protocol, dataset, rows, rule.cut(rows, seed), rule.hidden, seed)
    _require(
        len(made.train.positives()) > 0,
        f"{dataset.name}: protocol {protocol} leaves no positive row to train on",
    )
    _require(
        len(made.test.positives()) > 0,
        f"{dataset.name}: protocol {protocol} leaves no positive row to test on "
        f"({len(rows)} rows of {rows.n_users} users are too few)",
    )
    _require(
        len(made.targets()) > 0,
        f"{dataset.name}: protocol {protocol} tests users of whom something is known, but none of the "
        f"{len(np.unique(made.test.positives().user))} users with a positive test row has a known row; "
        "choose another protocol",
    )
    return made


def whole(dataset: Dataset) -> Split:
    """Every row to train on and none to test: what a product trains on."""
    rows = dataset.interactions
    _require(
        len(rows.positives()) > 0,
        f"{dataset.name} has no row that says 'liked', so there is nothing to learn",
    )
    return _assemble("all", dataset, rows, Cut(np.zeros(len(rows), dtype=bool)), "seen", SPLIT_SEED)


def ready_split(name: str, train: Interactions, test: Interactions, dataset: Dataset | None = None) -> Split:
    """A split that was published ready: `train` and `test` over one vocabulary.

    It brings no validation rows: a random tenth of each user's training rows serves.
    """
    _require(len(train.positives()) > 0, f"{name}: the training part has no positive row")
    _require(len(test.positives()) > 0, f"{name}: the test part has no positive row")
    dataset = dataset or Dataset(name, join(train, test))
    return Split("ready", dataset, train, None, test, "positives")


def names() -> list[str]:
    """Protocols that cut a log into train and test (`ready_split` and `whole` do not cut)."""
    return [name for name in PROTOCOLS if name not in ("ready", "all")]


def _require_times(dataset: Dataset, protocol: str) -> None:
    time = dataset.interactions.time
    if time is None:
        raise DataError(
            f"{dataset.name}: protocol {protocol} needs times, but the log has none; name their column with "
            "--time-column (Python: time=...) or choose another protocol"
        )
    _require(
        len(np.unique(time)) != 1,
        f"{dataset.name}: protocol {protocol} needs times that differ, but all {len(time)} rows have the same; "
        "choose another protocol",
    )


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise TooLittleDataError(message)


def _assemble(protocol: str, dataset: Dataset, rows: Interactions, cut: Cut, hidden: Hidden, seed: int) -> Split:
    validation, with_validation, given = None, None, None
    if cut.validation is not None:
        validation, with_validation = rows.take(cut.validation), rows.take(replace(cut, validation=None).train())
    if cut.given is not None:
        given = rows.take(cut.given)
    return _counted(
        Split(
            protocol,
            dataset,
            rows.take(cut.train()),
            validation,
            rows.take(cut.test),
            hidden,
            seed,
            with_validation=with_validation,
            given=given,
        )
    )


def _counted(made: Split) -> Split:
    """The split with a count of what it cannot test."""
    liked, trained = made.test.positives(), made.train.positives()
    dropped = {
        "users without a test positive": made.test.n_users - len(np.unique(liked.user)),
        "test positives whose item has no training positive": int((~np.isin(liked.item, trained.item)).sum()),
    }
    if not PROTOCOLS[made.protocol].cold_users:
        cold = np.setdiff1d(liked.user, made.told.user)
        dropped["users with a test positive of whom nothing is known"] = len(cold)
    return replace(made, dropped=dropped)


def _cut_article(rows: Interactions, seed: int) -> Cut:
    """A random fifth of the positives, drawn over all rows in file order.

    The same rows as scikit-learn's `train_test_split(positives, test_size=0.2, random_state=seed)`.
    """
    positives = np.flatnonzero(rows.weight > 0)
    n_test = -(-len(positives) // 5)
    test = np.zeros(len(rows), dtype=bool)
    if len(positives) > 1:
        test[positives[np.random.RandomState(seed).permutation(len(positives))[:n_test]]] = True
    return Cut(test)


def _ranks_from_end(rows: Interactions, order: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each row: its place counted from the end of its user's list (0 = last), and that list's length.

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
    """Per user, shuffled: the last tenth test, the tenth before it validation, for users with 10 rows or more."""
    rank, length = _shuffled_ranks(rows, seed)
    tenth = length // 10
    return Cut(rank < tenth, (rank >= tenth) & (rank < 2 * tenth))


def _cut_leave_last_out(rows: Interactions, seed: int) -> Cut:
    """Per user the last row test, the one before it validation; users with fewer than 3 rows only train."""
    rank, length = _ranks_from_end(rows, rows.order)
    return Cut((rank == 0) & (length >= 3), (rank == 1) & (length >= 3))


def _cut_tenth(rows: Interactions, seed: int) -> Cut:
    """A random tenth of each user's positives (one of two to nineteen), drawn for tuning alone."""
    positives = np.flatnonzero(rows.weight > 0)
    rank, length = _shuffled_ranks(rows.take(positives), seed)
    test = np.zeros(len(rows), dtype=bool)
    test[positives[(rank < np.maximum(1, length // 10)) & (length >= 2)]] = True
    return Cut(test)


def _cut_at_time(rows: Interactions, seed: int) -> Cut:
    """The last tenth of the rows test, the tenth before it validation; rows of one time stay together.

    A cut lies after the last row of its quantile's time, or before that time where nothing would be left after it.
    """
    times = np.zeros(0) if rows.time is None else rows.time
    test_from = _start_of_last(times, 10)
    validation_from = _start_of_last(times[times < test_from], 9)
    test = times >= test_from
    return Cut(test, (times >= validation_from) & ~test)


def _start_of_last(times: NDArray[np.float64], parts: int) -> float:
    """The earliest time from which on at most one of `parts` of the rows lie, else the newest; inf for equal times."""
    distinct, first = np.unique(np.sort(times), return_index=True)
    if len(distinct) < 2:
        return np.inf
    place = int(np.searchsorted(first, len(times) - len(times) // parts))
    return float(distinct[min(place, len(distinct) - 1)])


def _tenth(candidates: NDArray[np.integer], seed: int) -> NDArray[np.integer]:
    """A random tenth of the candidates, one of two to nineteen."""
    return np.random.RandomState(seed).permutation(candidates)[: max(1, len(candidates) // 10) * (len(candidates) > 1)]


def _cut_new_users(rows: Interactions, seed: int) -> Cut:
    """A random tenth of the users with 5 rows or more; of each a random fifth of the rows test, the others given."""
    counts = np.bincount(rows.user, minlength=rows.n_users)
    held = np.isin(rows.user, _tenth(np.flatnonzero(counts >= _LEAST_OF_A_NEW_USER), seed))
    rank, length = _shuffled_ranks(rows, seed)
    test = held & (rank < length // 5)
    return Cut(test, given=held & ~test)


def _cut_new_items(rows: Interactions, seed: int) -> Cut:
    """The likes of a random tenth of the items that anybody likes; their other rows are in no part."""
    held = np.isin(rows.item, _tenth(np.unique(rows.positives().item), seed))
    test = held & (rows.weight > 0)
    return Cut(test, unused=held & ~test)


PROTOCOLS: dict[str, Protocol] = {
    "article": Protocol("a random fifth of all positives is test", _cut_article, "positives"),
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
