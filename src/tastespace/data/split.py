"""Split a dataset into training, validation and test rows by a protocol, and what is queried and hidden at test."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tastespace.data.dataset import Dataset
from tastespace.data.histories import Histories
from tastespace.data.interactions import Interactions
from tastespace.data.protocols import PROTOCOLS, Cut, Hidden, resolve_name
from tastespace.data.queries import Queries
from tastespace.errors import DataError, TooLittleDataError

SPLIT_SEED = 42
_MOSTLY = 0.9


@dataclass(frozen=True, eq=False)
class Split:
    """Rows to learn from, rows to tune on, rows to be tested on, over one vocabulary.

    `validation` is None where the protocol brings none: `for_validation` then cuts `train` once more. `given` is the
    history of users who are in no training row and are queried as unseen users. `dropped` counts what cannot be
    tested, by reason.
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

    def __repr__(self) -> str:
        return f"Split({self.describe()})"

    @property
    def known(self) -> Interactions:
        """Rows known before the test: training and validation rows, in file order."""
        return self.train if self.with_validation is None else self.with_validation

    def fitted_rows(self, train_on_validation: bool) -> Interactions:
        """Rows that the final model is fitted to: the training rows, or all rows known before the test."""
        return self.known if train_on_validation else self.train

    @property
    def observed(self) -> Interactions:
        """Rows that a query at test may use: known rows, and after them the given ones."""
        return self.known if self.given is None else join(self.known, self.given)

    def queries(self, users: NDArray[np.int64]) -> Queries:
        """Queries of `users` at test: their row and observed history; for held-out users the given history alone."""
        queries = Queries.of_users(users, self.observed.histories())
        if self.given is None:
            return queries
        return replace(queries, users=np.where(np.isin(users, self.given.user), -1, users))

    def for_validation(self) -> "Split":
        """Return the split to tune on: its test rows are this one's validation rows. Never holds a test row."""
        if self.validation is not None:
            return _counted(replace(self, validation=None, test=self.validation, with_validation=None))
        cut = PROTOCOLS[self.protocol].cut(self.train, self.seed)
        return _assemble(self.protocol, self.dataset, self.train, replace(cut, validation=None), self.hidden, self.seed)

    def validates_on_newest(self) -> bool:
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
        """(U lists) each user's known items before the test, oldest first, in the order of the log."""
        return self.known.histories()

    def hidden_items(self) -> Histories:
        """(U lists) the items left out of each user's ranking, never one that the user is tested on."""
        lists = self.observed.histories()
        lists = lists if self.hidden == "seen" else lists.positives()
        return lists.keep(~np.isin(lists.pairs(self.test.n_items), self.test.pairs()))

    def targets(self) -> Interactions:
        """Test rows that should be retrieved: the positives, of users who can be queried."""
        positives = self.test.positives()
        if PROTOCOLS[self.protocol].cold_users:
            return positives
        return positives.take(np.isin(positives.user, self.observed.user))

    def relevant_items(self) -> Histories:
        """(U lists) the items that each user should be recommended, once each."""
        targets = self.targets()
        _, first = np.unique(targets.pairs(), return_index=True)
        return targets.take(np.sort(first)).histories()

    def fingerprint(self) -> str:
        """SHA-256 of every row in its part, of what is hidden, and of the attributes of items and users."""
        digest = hashlib.sha256(f"{self.seed} {self.hidden}".encode())
        for part in (self.train, self.validation, self.with_validation, self.given, self.test):
            digest.update(b"none" if part is None else part.fingerprint().encode())
        for table in (self.dataset.item_table, self.dataset.user_table):
            digest.update(table.fingerprint().encode())
        return digest.hexdigest()

    def describe(self) -> str:
        """Describe the protocol in one line that can be pasted into a paper."""
        log = self.dataset.interactions
        cut = f"{len(self.train)} train"
        if self.validation is not None:
            cut += f" / {len(self.validation)} validation"
        if self.given is not None:
            cut += f" / {len(self.given)} given"
        rule = PROTOCOLS[self.protocol]
        name = self.protocol if rule.second_name is None else f"{self.protocol} (also {rule.second_name})"
        return (
            f"{self.dataset.name} ({log.n_users} users, {log.n_items} items, {len(log)} rows), protocol "
            f"{name}: {rule.about}, seed {self.seed}; {cut} / {len(self.test)} test rows; whole catalogue "
            f"ranked, {'all seen items' if self.hidden == 'seen' else 'known positives'} hidden"
        )


def join(*parts: Interactions) -> Interactions:
    """Concatenate the rows of several logs over one vocabulary."""
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
    """Cut a dataset by a protocol's name (`protocols.PROTOCOLS`).

    Raises `OptionError` for an unknown name, `DataError` for a log without the times that a protocol needs, and
    `TooLittleDataError` where nothing is left to train or to test.
    """
    protocol = resolve_name(protocol)
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
        f"{dataset.name}: protocol {protocol} tests users with known rows only, but none of the "
        f"{len(np.unique(made.test.positives().user))} users with a positive test row has a known row; "
        "choose another protocol",
    )
    return made


def whole(dataset: Dataset) -> Split:
    """Return a split with every row to train on and none to test: what a product trains on."""
    rows = dataset.interactions
    _require(
        len(rows.positives()) > 0,
        f"{dataset.name} has no positive row, so there is nothing to learn",
    )
    return _assemble("all", dataset, rows, Cut(np.zeros(len(rows), dtype=bool)), "seen", SPLIT_SEED)


def ready_split(name: str, train: Interactions, test: Interactions, dataset: Dataset | None = None) -> Split:
    """Return a split that was published ready: `train` and `test` over one vocabulary.

    Without validation rows of its own, a random tenth of each user's training positives serves.
    """
    _require(len(train.positives()) > 0, f"{name}: the training part has no positive row")
    _require(len(test.positives()) > 0, f"{name}: the test part has no positive row")
    dataset = dataset or Dataset(name, join(train, test))
    return Split("ready", dataset, train, None, test, "positives")


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
    """Return the split with a count of what it cannot test."""
    positives, trained = made.test.positives(), made.train.positives()
    dropped = {
        "users without a test positive": made.test.n_users - len(np.unique(positives.user)),
        "test positives whose item has no training positive": int((~np.isin(positives.item, trained.item)).sum()),
    }
    if not PROTOCOLS[made.protocol].cold_users:
        cold = np.setdiff1d(positives.user, made.observed.user)
        dropped["users with a test positive of whom nothing is known"] = len(cold)
    return replace(made, dropped=dropped)
