"""Protocols: how a log is cut into training, validation and test rows, by name.

Each protocol is one function from rows to a test mask; everything else follows from its `Protocol` entry.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tastespace.data.dataset import Dataset
from tastespace.data.histories import Histories
from tastespace.data.interactions import Interactions
from tastespace.errors import OptionError, TooLittleDataError
from tastespace.suggest import did_you_mean, shown

Hidden = Literal["positives", "seen"]
Mask = NDArray[np.bool_]
SPLIT_SEED = 42


@dataclass(frozen=True)
class Protocol:
    """A way to cut a log.

    `cut` gives the test mask and the validation mask (None: the same cut is applied to train once more).
    `hidden` says what is not ranked at test: the user's training positives, or everything they have seen.
    `every_row_positive`: whatever a row's weight, here it counts as liked.
    """

    about: str
    cut: Callable[[Interactions, int], tuple[Mask, Mask | None]]
    hidden: Hidden
    every_row_positive: bool = False


@dataclass(frozen=True, eq=False)
class Split:
    """Rows to learn from, rows to tune on, rows to be tested on, over one vocabulary.

    `validation` is None where the protocol brings none: `for_validation` then cuts `train` once more.
    `dropped` counts what cannot be tested, by reason.
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

    @property
    def known(self) -> Interactions:
        """What is known of a user at test: training and validation rows, in file order."""
        return self.train if self.with_validation is None else self.with_validation

    def for_validation(self) -> "Split":
        """The split to tune on: its test rows are this one's validation rows. Never holds a test row."""
        if self.validation is not None:
            dropped = _count_dropped(self.train, self.validation)
            return replace(self, validation=None, test=self.validation, with_validation=None, dropped=dropped)
        protocol = PROTOCOLS[self.protocol]
        test, _ = protocol.cut(self.train, self.seed)
        return _assemble(self.protocol, self.dataset, self.train, test, None, self.hidden, self.seed)

    def histories(self) -> Histories:
        """(U lists) what each user is known to have done, oldest first, in the order of the log."""
        return self.known.histories()

    def hidden_items(self) -> Histories:
        """(U lists) the items left out of each user's ranking, never one that the user is tested on."""
        known = self.known
        rows = known if self.hidden == "seen" else known.positives()
        lists = rows.histories()
        return lists.keep(~np.isin(lists.pairs(self.test.n_items), self.test.pairs()))

    def relevant_items(self) -> Histories:
        """(U lists) the items that each user should be recommended: those with a test row that says "liked"."""
        liked = self.test.positives()
        _, first = np.unique(liked.pairs(), return_index=True)
        return liked.take(np.sort(first)).histories()

    def describe(self) -> str:
        """The protocol in one line that can be pasted into a paper."""
        log = self.dataset.interactions
        cut = f"{len(self.train)} train"
        if self.validation is not None:
            cut += f" / {len(self.validation)} validation"
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

    Raises `OptionError` for an unknown name and `TooLittleDataError` where nothing is left to train or to test.
    """
    if protocol not in names():
        raise OptionError(f"there is no protocol {shown(protocol)}{did_you_mean(protocol, names())}")
    rule = PROTOCOLS[protocol]
    rows = dataset.interactions
    if rule.every_row_positive:
        rows = rows.weighted(np.ones(len(rows), dtype=np.float32))
    test, validation = rule.cut(rows, seed)
    made = _assemble(protocol, dataset, rows, test, validation, rule.hidden, seed)
    _require(
        len(made.train.positives()) > 0,
        f"{dataset.name}: protocol {protocol} leaves no positive row to train on",
    )
    _require(
        len(made.test.positives()) > 0,
        f"{dataset.name}: protocol {protocol} leaves no positive row to test on "
        f"({len(rows)} rows of {rows.n_users} users are too few)",
    )
    return made


def whole(dataset: Dataset) -> Split:
    """Every row to train on and none to test: what a product trains on."""
    rows = dataset.interactions
    _require(
        len(rows.positives()) > 0,
        f"{dataset.name} has no row that says 'liked', so there is nothing to learn",
    )
    return _assemble("all", dataset, rows, np.zeros(len(rows), dtype=bool), None, "seen", SPLIT_SEED)


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


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise TooLittleDataError(message)


def _assemble(
    protocol: str,
    dataset: Dataset,
    rows: Interactions,
    test: Mask,
    validation: Mask | None,
    hidden: Hidden,
    seed: int,
) -> Split:
    in_train = ~test if validation is None else ~(test | validation)
    train, tested = rows.take(in_train), rows.take(test)
    dropped = _count_dropped(train, tested)
    if validation is None:
        return Split(protocol, dataset, train, None, tested, hidden, seed, dropped)
    return Split(protocol, dataset, train, rows.take(validation), tested, hidden, seed, dropped, rows.take(~test))


def _count_dropped(train: Interactions, test: Interactions) -> dict[str, int]:
    liked = test.positives()
    return {
        "users without a test positive": test.n_users - len(np.unique(liked.user)),
        "test positives whose item has no training positive": int((~np.isin(liked.item, train.positives().item)).sum()),
    }


def _cut_article(rows: Interactions, seed: int) -> tuple[Mask, Mask | None]:
    """A random fifth of the positives, drawn over all rows in file order.

    The same rows as scikit-learn's `train_test_split(positives, test_size=0.2, random_state=seed)`.
    """
    positives = np.flatnonzero(rows.weight > 0)
    n_test = -(-len(positives) // 5)
    test = np.zeros(len(rows), dtype=bool)
    if len(positives) > 1:
        test[positives[np.random.RandomState(seed).permutation(len(positives))[:n_test]]] = True
    return test, None


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


def _cut_random_811(rows: Interactions, seed: int) -> tuple[Mask, Mask | None]:
    """Per user, shuffled: the last tenth test, the tenth before it validation, for users with 10 rows or more."""
    rank, length = _shuffled_ranks(rows, seed)
    tenth = length // 10
    return rank < tenth, (rank >= tenth) & (rank < 2 * tenth)


def _cut_leave_last_out(rows: Interactions, seed: int) -> tuple[Mask, Mask | None]:
    """Per user the last row test, the one before it validation; users with fewer than 3 rows only train."""
    rank, length = _ranks_from_end(rows, rows.order())
    return (rank == 0) & (length >= 3), (rank == 1) & (length >= 3)


def _cut_tenth(rows: Interactions, seed: int) -> tuple[Mask, Mask | None]:
    """A random tenth of each user's positives (one of two to nineteen), drawn for tuning alone."""
    positives = np.flatnonzero(rows.weight > 0)
    rank, length = _shuffled_ranks(rows.take(positives), seed)
    test = np.zeros(len(rows), dtype=bool)
    test[positives[(rank < np.maximum(1, length // 10)) & (length >= 2)]] = True
    return test, None


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
    ),
    "ready": Protocol("split as published", _cut_tenth, "positives"),
    "all": Protocol("every row is trained on, nothing is tested", _cut_tenth, "seen"),
}
