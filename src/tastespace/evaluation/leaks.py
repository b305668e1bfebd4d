"""The leak detector: what in a split would flatter or blur a figure."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tastespace.data.interactions import Interactions
from tastespace.data.protocols import PROTOCOLS
from tastespace.data.split import Split


@dataclass(frozen=True)
class Finding:
    """One thing found: `leak` flatters figures, `note` explains them."""

    kind: Literal["leak", "note"]
    name: str
    rows: int
    message: str


def find_leaks(split: Split) -> list[Finding]:
    """Find leaks and other facts that bear on any figure of this split; empty where there are none."""
    known, observed, test = split.known, split.observed, split.test
    where = "in train" if split.given is None else "in train or among the rows given"
    left_out = "" if PROTOCOLS[split.protocol].cold_users else "; they are left out"
    findings = [
        _finding("leak", "repeated pairs", _repeated(observed, test), f"test rows whose user has the item {where}"),
        _finding("note", "cold items", _cold(known.item, test.item), "test rows whose item has no training row"),
        _finding(
            "note", "cold users", _cold(observed.user, test.user), f"test rows whose user has no training row{left_out}"
        ),
        *_against_time(split),
    ]
    return [finding for finding in findings if finding.rows]


def _against_time(split: Split) -> list[Finding]:
    """Where a protocol promises that test rows come last, of their user or of the whole log: those that do not."""
    known, test, promise = split.known, split.test, PROTOCOLS[split.protocol].in_time
    if promise is None or known.time is None or test.time is None or len(known) == 0:
        return []
    last = np.full(known.n_users, known.time.max() if promise == "log" else -np.inf)
    np.maximum.at(last, known.user, known.time)
    future, ties = int((last[test.user] > test.time).sum()), int((last[test.user] == test.time).sum())
    older, as_old = "test rows that are older than a training row", "test rows as old as the last training row"
    if promise == "user":
        older = f"{older} of their user"
        as_old = "test rows as old as the user's last training row: file order decided"
    return [_finding("leak", "future rows", future, older), _finding("note", "time ties", ties, as_old)]


def _finding(kind: Literal["leak", "note"], name: str, rows: int, what: str) -> Finding:
    return Finding(kind, name, rows, f"{rows} {what}")


def _repeated(known: Interactions, test: Interactions) -> int:
    return int(np.isin(test.pairs(), known.pairs()).sum())


def _cold(known: np.ndarray, tested: np.ndarray) -> int:
    return int((~np.isin(tested, known)).sum())
