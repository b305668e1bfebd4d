"""ColdStartReport: what it costs to know somebody, or something, by less than a trained row.

Unseen users are those of protocol `new-users`, asked by each route beside what the same model gives when it was trained
on their history too. Unseen items are those of `new-items`, ranked among themselves where each way places them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from tastespace import models
from tastespace._progress import Ticker, track
from tastespace.cold_start import ColdItems, SimilarUsers
from tastespace.data.dataset import Dataset, Table
from tastespace.data.features import Encoder
from tastespace.data.queries import Queries, check_k
from tastespace.data.split import Split, ready_split, split
from tastespace.errors import OptionError
from tastespace.evaluation import Evaluator
from tastespace.evaluation.ranking import Scorer
from tastespace.evaluation.significance import Estimate, bootstrap
from tastespace.models.base import Options
from tastespace.training.fit import configure, fit

FEW = (1, 2, 3, 5, 10)  # likes that a stranger may tell of
_DRAWS = 10  # of random places


@dataclass(frozen=True)
class ColdStartRow:
    """NDCG@k of one way to know somebody or something: its mean over users, averaged over seeds, with its interval."""

    route: str
    about: str
    ndcg: Estimate


@dataclass(frozen=True, eq=False)
class ColdStartReport:
    """Each route's figures on one data set for one model; `users` or `items` are empty without what they need."""

    model: str
    data: str
    k: int
    seeds: int
    users: tuple[ColdStartRow, ...]
    items: tuple[ColdStartRow, ...]

    def of(self, route: str) -> float:
        """One route's mean."""
        for row in (*self.users, *self.items):
            if row.route == route:
                return row.ndcg.value
        raise OptionError(f"{route!r} was not measured")

    def to_json(self) -> dict[str, Any]:
        """As plain values (docs/formats.md)."""
        told: dict[str, Any] = {"model": self.model, "data": self.data, "k": self.k, "seeds": self.seeds}
        for name, rows in (("users", self.users), ("items", self.items)):
            told[name] = [
                {
                    "route": row.route,
                    "about": row.about,
                    f"ndcg@{self.k}": row.ndcg.value,
                    f"ndcg@{self.k}_ci": [row.ndcg.low, row.ndcg.high],
                }
                for row in rows
            ]
        return told


def measure_cold_start(
    name: str,
    dataset: Dataset,
    *,
    seeds: int = 1,
    k: int = 10,
    settings: Mapping[str, Any] | None = None,
    progress: bool | None = None,
) -> ColdStartReport:
    """Train a model by name three times a seed (with unseen users, without, without unseen items) and ask each route.

    Attributes of users and items are read from the tables of `dataset`; what it lacks is not measured. Raises
    `TooLittleDataError` for a log that cannot be cut so.
    """
    if seeds < 1:
        raise OptionError(f"seeds is {seeds}, but at least 1 is expected")
    check_k(k, dataset.interactions.n_items)
    config, options = configure(name, settings or {})
    repeats = seeds if models.get(name).learns_by_gradient() else 1
    strangers = split(dataset, "new-users")
    items = Encoder.fit(dataset.item_table).columns
    films = split(dataset, "new-items") if items else None
    found: dict[tuple[str, str, str], list[NDArray[np.float64]]] = {}
    with track(f"routes of {name}", total=repeats * (3 if items else 2), enabled=progress) as tick:
        done = _Counted(tick)
        for number in range(repeats):
            one = _Asked(name, config, replace(options, seed=options.seed + number), k, done)
            parts = [("users", one.of_users(strangers))]
            parts += [] if films is None else [("items", one.of_items(films, number))]
            for part, rows in parts:
                for route, about, values in rows:
                    found.setdefault((part, route, about), []).append(values)
    made = {key: ColdStartRow(key[1], key[2], bootstrap(np.mean(values, axis=0))) for key, values in found.items()}
    users, placed = (tuple(row for key, row in made.items() if key[0] == part) for part in ("users", "items"))
    return ColdStartReport(name, dataset.name, k, repeats, users, placed)


_Row = tuple[str, str, NDArray[np.float64]]


class _Counted:
    """How many trainings are done."""

    def __init__(self, tick: Ticker) -> None:
        self._tick, self._done = tick, 0

    def __call__(self) -> None:
        self._done += 1
        self._tick(self._done)


@dataclass(frozen=True)
class _Asked:
    """One model under one seed."""

    name: str
    config: Any
    options: Options
    k: int
    done: Callable[[], None]

    def of_users(self, strangers: Split) -> Iterator[_Row]:
        """NDCG of each unseen user by each route."""
        given = replace(
            ready_split(strangers.dataset.name, strangers.observed, strangers.test, strangers.dataset),
            hidden=strangers.hidden,
        )
        yield "warm", "trained on their history", _ndcg(Evaluator(given, self.k), self._scorer(given))
        asked, cold = Evaluator(strangers, self.k), self._scorer(strangers)
        yield "session", "their history, folded in", _ndcg(asked, cold)
        for n in FEW:
            about = f"their first {n} likes, folded in" if n > 1 else "their first like, folded in"
            yield f"session of {n}", about, _ndcg(asked, _told_of(cold, n))
        likes = np.bincount(strangers.train.positives().item, minlength=strangers.train.n_items)
        alike = _by_attributes(strangers)
        if alike is not None:
            known = Queries.of_users(asked.users, strangers.observed.histories())  # by index, to look attributes up
            yield "features", "their attributes alone, by people alike", _ndcg(asked, alike, known)
        popular = torch.from_numpy(likes.astype(np.float32))
        yield "popular", "nothing", _ndcg(asked, lambda queries: popular.repeat(len(queries), 1))

    def of_items(self, films: Split, seed: int) -> Iterator[_Row]:
        """NDCG over the unseen items alone of each user who liked one, by where they are placed."""
        asked, score, cold_items = Evaluator(films, self.k), self._scorer(films), ColdItems.from_split(films)
        new = np.unique(films.test.positives().item).astype(np.int64)
        likes = np.bincount(films.train.positives().item, minlength=films.train.n_items)
        yield "placed", "by their attributes", _ndcg(asked, _standing_for(cold_items.wrap(score), new, new))
        kinds = _kinds(films.dataset.item_table, films.train.n_items)
        if kinds is not None:
            column, labels = kinds
            yield "kind", f"at the mean of their {column}", _ndcg(asked, _at_mean(score, labels, new, likes))
        rng, liked = np.random.default_rng(seed), np.flatnonzero(likes > 0)
        draws = [_ndcg(asked, _standing_for(score, new, rng.choice(liked, len(new)))) for _ in range(_DRAWS)]
        yield "random", "where any other item stands", np.mean(draws, axis=0)

    def _scorer(self, on: Split) -> Scorer:
        found = fit(self.name, on, config=self.config, options=self.options, progress=False).model.scorer()
        self.done()
        return found


def _ndcg(asked: Evaluator, score: Scorer, queries: Queries | None = None) -> NDArray[np.float64]:
    """(R,) of each user with a relevant test item."""
    return asked.values(asked.rank(score, queries=queries), "ndcg")


def _told_of(score: Scorer, n: int) -> Scorer:
    """Questions with the first `n` likes of each history alone."""

    def asked(queries: Queries) -> Tensor:
        liked = queries.history.positives()
        first = np.arange(len(liked.items)) - np.repeat(liked.offsets[:-1], liked.lengths) < n
        return score(replace(queries, history=liked.keep(first)))

    return asked


def _by_attributes(strangers: Split) -> Scorer | None:
    """Likes of people alike; None where nothing is known of users but what they did."""
    table, n_users = strangers.dataset.user_table, strangers.train.n_users
    encoder = Encoder.fit(table)
    if not encoder.columns:
        return None
    features = encoder.encode(table, n_users)
    people = SimilarUsers.from_histories(features, strangers.histories(), strangers.train.n_items)

    def asked(queries: Queries) -> Tensor:
        rows = [people.count_likes(features[[user]].toarray()) for user in queries.users.tolist()]
        return torch.from_numpy(np.stack(rows))

    return asked


def _standing_for(score: Scorer, new: NDArray[np.int64], others: NDArray[np.int64]) -> Scorer:
    """Scores of the items `new` alone: each that of its other."""
    theirs = torch.from_numpy(others)

    def asked(queries: Queries) -> Tensor:
        scores = score(queries).detach()
        return _alone(scores, new, scores[:, theirs])

    return asked


def _alone(scores: Tensor, new: NDArray[np.int64], values: Tensor) -> Tensor:
    """(B, N) the values (B, M) of the items `new`, and -inf for all others."""
    return torch.full_like(scores, -torch.inf).index_copy_(1, torch.from_numpy(new), values)


def _kinds(table: Table, n_items: int) -> tuple[str, sp.csr_matrix] | None:
    """The first column of labels or categories, and which of them (N, L) each item has."""
    for column in Encoder.fit(table).columns:
        if column.kind in ("labels", "category"):
            features = Encoder((column,)).encode(table, n_items)
            return column.name, sp.csr_matrix(features > 0, dtype=np.float32)
    return None


def _at_mean(score: Scorer, labels: sp.csr_matrix, new: NDArray[np.int64], likes: NDArray[np.int64]) -> Scorer:
    """Scores of the items `new` alone: the mean over their labels of the mean over liked items of that label."""
    liked = labels.multiply((likes > 0)[:, None]).tocsc()  # (N, L)
    counts = np.asarray(liked.sum(axis=0)).ravel()
    of_label = sp.csr_matrix(liked @ sp.diags_array(1.0 / np.maximum(counts, 1)))  # (N, L) columns of means
    theirs = labels[new].multiply(counts > 0).tocsr()  # (M, L)
    share = sp.diags_array(1.0 / np.maximum(np.asarray(theirs.sum(axis=1)).ravel(), 1)) @ theirs
    without = np.diff(theirs.indptr) == 0  # of no label that is liked

    def asked(queries: Queries) -> Tensor:
        scores = score(queries).detach()
        of_labels = np.asarray(of_label.T @ scores.numpy().T)  # (L, B)
        found = np.asarray((share @ of_labels).T, dtype=np.float32)
        found[:, without] = scores.numpy()[:, likes > 0].mean(axis=1, keepdims=True)
        return _alone(scores, new, torch.from_numpy(found))

    return asked
