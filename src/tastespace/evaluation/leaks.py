"""The leak detector: what in a split would flatter or blur a figure."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tastespace.data.interactions import Interactions
from tastespace.data.split import Split

_IN_TIME = ("leave-last-out", "at-time")  # protocols that promise that test rows come last


@dataclass(frozen=True)
class Finding:
    """One thing found: `leak` flatters figures, `note` explains them."""

    kind: Literal["leak", "note"]
    name: str
    rows: int
    message: str


def find_leaks(split: Split) -> list[Finding]:
    """What to know before believing a figure on this split; empty where there is nothing."""
    known, test = split.known, split.test
    findings = [
        _finding("leak", "repeated pairs", _repeated(known, test), "test rows whose user has the item in train"),
        _finding("note", "cold items", _cold(known.item, test.item), "test rows whose item has no training row"),
        _finding("note", "cold users", _cold(known.user, test.user), "test rows whose user has no training row"),
    ]
    if known.time is not None and test.time is not None and split.protocol in _IN_TIME and len(known):
        last = np.full(known.n_users, known.time.max() if split.protocol == "at-time" else -np.inf)
        np.maximum.at(last, known.user, known.time)
        future = int((last[test.user] > test.time).sum())
        ties = int((last[test.user] == test.time).sum())
        findings += [
            _finding("leak", "future rows", future, "test rows that are older than a training row of their user"),
            _finding(
                "note",
                "time ties",
                ties,
                "test rows as old as the user's last training row: file order decided",
            ),
        ]
    return [finding for finding in findings if finding.rows]


def _finding(kind: Literal["leak", "note"], name: str, rows: int, what: str) -> Finding:
    return Finding(kind, name, rows, f"{rows} {what}")


def _repeated(known: Interactions, test: Interactions) -> int:
    return int(np.isin(test.pairs(), known.pairs()).sum())


def _cold(known: np.ndarray, tested: np.ndarray) -> int:
    return int((~np.isin(tested, known)).sum())
