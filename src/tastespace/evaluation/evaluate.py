"""Evaluate a scorer on a split: all items ranked, hidden ones left out, one value a user."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tastespace._progress import track
from tastespace.data.queries import Queries
from tastespace.data.split import Split
from tastespace.errors import OptionError, TooLittleDataError
from tastespace.evaluation import metrics
from tastespace.evaluation.ranking import Rankings, Scorer, rank
from tastespace.evaluation.significance import Estimate, bootstrap


@dataclass(frozen=True, eq=False)
class Report:
    """Results of an evaluation: one value a user for each ranking metric, and figures of the lists as a whole.

    Users without a relevant item are not in it. Keys carry the cut-off: "recall@10".
    """

    k: int
    users: NDArray[np.int64]  # (R,) user indices
    per_user: Mapping[str, NDArray[np.float64]]
    overall: Mapping[str, float]
    groups: Mapping[str, Mapping[str, float]]
    seconds: float

    def estimate(self, metric: str) -> Estimate:
        """Mean over users with a 95 % bootstrap interval, e.g. of "ndcg@10"."""
        if metric not in self.per_user:
            raise OptionError(f"there is no metric {metric!r}; there are {', '.join(self.per_user)}")
        return bootstrap(self.per_user[metric])

    @property
    def values(self) -> dict[str, Estimate]:
        """Every ranking metric with its interval."""
        return {metric: self.estimate(metric) for metric in self.per_user}

    def mean(self, metric: str) -> float:
        """Mean over users, without the interval's cost."""
        return float(self.per_user[metric].mean())


class Evaluator:
    """A split made ready to be ranked again and again, as validation after each epoch does."""

    def __init__(self, split: Split, k: int = 10) -> None:
        if k < 1:
            raise OptionError(f"k is {k}, but at least 1 is expected")
        self.split, self.k = split, k
        relevant = split.relevant_items()
        self.users = np.flatnonzero(relevant.lengths > 0)
        if len(self.users) == 0:
            raise TooLittleDataError(f"{split.dataset.name}: no user has a positive test row under {split.protocol}")
        self._wanted = relevant.take(self.users)
        self._queries = split.queries(self.users)
        self._hidden = split.hidden_items().take(self.users)

    def rank(self, score: Scorer, *, queries: Queries | None = None, progress: bool | None = False) -> Rankings:
        """The K best unhidden items of every user with a relevant test item; `queries` (R) in place of the split's."""
        given = self._queries if queries is None else queries
        with track("ranking users", total=len(self.users), enabled=progress) as tick:
            n_items = self.split.train.n_items
            items = rank(score, given, self._hidden, n_items=n_items, k=self.k, tick=tick)
        return Rankings(self.users, items)

    def hits(self, found: Rankings) -> metrics.Hits:
        """(R, K) which recommended items are relevant."""
        return metrics.find_hits(found.items, self._wanted, self.split.train.n_items)

    def mean(self, score: Scorer, metric: str) -> float:
        """One metric's mean over users, e.g. "recall" at this evaluator's K."""
        return float(self.values(self.rank(score), metric).mean())

    def values(self, found: Rankings, metric: str) -> NDArray[np.float64]:
        """(R,) one metric of each user."""
        return metrics.PER_USER[metric](self.hits(found), self._wanted.lengths)

    def report(self, score: Scorer, *, progress: bool | None = False) -> Report:
        """All metrics, per user and overall."""
        started = time.perf_counter()
        split, k, n_items = self.split, self.k, self.split.train.n_items
        found = self.rank(score, progress=progress)
        hits = self.hits(found)
        per_user = {f"{name}@{k}": metric(hits, self._wanted.lengths) for name, metric in metrics.PER_USER.items()}
        liked = split.known.positives().matrix()  # a repeated pair is one user's like
        popularity = np.bincount(liked.indices, minlength=n_items)
        overall = {
            f"coverage@{k}": metrics.coverage(found.items, n_items),
            f"novelty@{k}": metrics.novelty(found.items, popularity, max(1, int((np.diff(liked.indptr) > 0).sum()))),
            f"popularity@{k}": metrics.average_popularity(found.items, popularity),
            f"gini@{k}": metrics.gini(found.items, n_items),
        }
        groups = {
            **_by_activity(split, self.users, per_user, k),
            **_by_popularity(found, hits, split, popularity, k),
        }
        return Report(k, self.users, per_user, overall, groups, time.perf_counter() - started)


def evaluate(score: Scorer, split: Split, *, k: int = 10, progress: bool | None = False) -> Report:
    """Rank the whole catalogue for every user with a relevant test item.

    `progress=None` shows a bar on a terminal. Raises `TooLittleDataError` where nobody has a relevant item.
    """
    return Evaluator(split, k).report(score, progress=progress)


def parse_metric(text: str) -> tuple[str, int]:
    """A metric's name and cut-off from "recall@10"."""
    name, _, k = text.partition("@")
    if name not in metrics.PER_USER or not k.isdecimal() or int(k) < 1:
        raise OptionError(f"{text!r} is no ranking metric; write for example recall@10 or ndcg@20")
    return name, int(k)


def average(reports: Sequence[Report]) -> Report:
    """One report from several seeds on one split: a user's values, and the overall figures, averaged."""
    first = reports[0]
    if any(not np.array_equal(report.users, first.users) or report.k != first.k for report in reports):
        raise OptionError("reports of different users or cut-offs cannot be averaged")
    return Report(
        k=first.k,
        users=first.users,
        per_user={m: np.mean([report.per_user[m] for report in reports], axis=0) for m in first.per_user},
        overall={m: float(np.mean([report.overall[m] for report in reports])) for m in first.overall},
        groups={
            group: {m: float(np.mean([report.groups[group][m] for report in reports])) for m in values}
            for group, values in first.groups.items()
        },
        seconds=float(np.mean([report.seconds for report in reports])),
    )


def _by_activity(
    split: Split, users: NDArray[np.int64], per_user: Mapping[str, NDArray[np.float64]], k: int
) -> dict[str, dict[str, float]]:
    """Means over thirds of the users, by their number of known positives."""
    active = np.bincount(split.observed.positives().user, minlength=split.train.n_users)[users]
    thirds = np.array_split(np.argsort(active, kind="stable"), 3)
    return {
        f"users: {name}": {
            "users": float(len(third)),
            "known positives up to": float(active[third].max()),
            **{m: float(per_user[m][third].mean()) for m in (f"recall@{k}", f"ndcg@{k}")},
        }
        for name, third in zip(("least active third", "middle third", "most active third"), thirds, strict=True)
        if len(third)
    }


def _by_popularity(
    found: Rankings, hits: metrics.Hits, split: Split, popularity: NDArray[np.int64], k: int
) -> dict[str, dict[str, float]]:
    """Share of the relevant items found, by item popularity: three groups with a third of all known likes each."""
    order = np.argsort(-popularity, kind="stable")
    before = np.cumsum(popularity[order]) - popularity[order]
    group_of = np.empty(len(popularity), dtype=np.int64)
    group_of[order] = np.minimum(2, 3 * before // max(1, popularity.sum()))
    relevant = np.bincount(group_of[split.relevant_items().items], minlength=3)
    hit = np.bincount(group_of[found.items[hits]], minlength=3)
    return {
        f"items: {name}": {
            "items": float((group_of == group).sum()),
            "relevant": float(relevant[group]),
            f"found@{k}": float(hit[group] / relevant[group]) if relevant[group] else 0.0,
        }
        for group, name in enumerate(("head (a third of all likes)", "middle", "tail"))
    }
