"""Cold start: quality for new users and new items by each route, beside a model that was trained on them.

New users are those of protocol `new-users`; beside them the same model trained on their history too. New items are
those of `new-items`, ranked among themselves where each route places them.
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

N_LIKES = (1, 2, 3, 5, 10)  # lengths of the short histories
_DRAWS = 10  # of random placements


@dataclass(frozen=True)
class ColdStartRow:
    """NDCG@k of one route: mean over users, averaged over seeds, with its interval."""

    route: str
    about: str
    ndcg: Estimate


@dataclass(frozen=True, eq=False)
class ColdStartReport:
    """Figures of each route on one data set for one model; `users` or `items` may be empty."""

    model: str
    data: str
    k: int
    seeds: int
    users: tuple[ColdStartRow, ...]
    items: tuple[ColdStartRow, ...]

    def of(self, route: str) -> float:
        """Mean of one route."""
        for row in (*self.users, *self.items):
            if row.route == route:
                return row.ndcg.value
        raise OptionError(f"{route!r} was not measured")

    def to_json(self) -> dict[str, Any]:
        """As plain values (docs/formats.md)."""
        document: dict[str, Any] = {"model": self.model, "data": self.data, "k": self.k, "seeds": self.seeds}
        for name, rows in (("users", self.users), ("items", self.items)):
            document[name] = [
                {
                    "route": row.route,
                    "about": row.about,
                    f"ndcg@{self.k}": row.ndcg.value,
                    f"ndcg@{self.k}_ci": [row.ndcg.low, row.ndcg.high],
                }
                for row in rows
            ]
        return document


def measure_cold_start(
    name: str,
    dataset: Dataset,
    *,
    seeds: int = 1,
    k: int = 10,
    settings: Mapping[str, Any] | None = None,
    progress: bool | None = None,
) -> ColdStartReport:
    """Train a model by name three times per seed (with the new users, without them, without the new items) and evaluate
    each route.

    Attributes of users and items are read from the tables of `dataset`; what it lacks is not measured. Raises
    `TooLittleDataError` for a log that cannot be cut so.
    """
    if seeds < 1:
        raise OptionError(f"seeds is {seeds}, but at least 1 is expected")
    check_k(k, dataset.interactions.n_items)
    config, options = configure(name, settings or {})
    repeats = seeds if models.get(name).learns_by_gradient() else 1
    new_users = split(dataset, "new-users")
    has_attributes = bool(Encoder.fit(dataset.item_table).columns)
    new_items = split(dataset, "new-items") if has_attributes else None
    values_of: dict[tuple[str, str, str], list[NDArray[np.float64]]] = {}
    with track(f"cold start of {name}", total=repeats * (3 if has_attributes else 2), enabled=progress) as tick:
        done = _Progress(tick)
        for number in range(repeats):
            run = _Run(name, config, replace(options, seed=options.seed + number), k, done)
            parts = [("users", run.of_users(new_users))]
            parts += [] if new_items is None else [("items", run.of_items(new_items, number))]
            for part, rows in parts:
                for route, about, values in rows:
                    values_of.setdefault((part, route, about), []).append(values)
    figures = {
        key: ColdStartRow(key[1], key[2], bootstrap(np.mean(values, axis=0))) for key, values in values_of.items()
    }
    users, placed = (tuple(row for key, row in figures.items() if key[0] == part) for part in ("users", "items"))
    return ColdStartReport(name, dataset.name, k, repeats, users, placed)


_Figures = tuple[str, str, NDArray[np.float64]]


class _Progress:
    """Count of finished trainings."""

    def __init__(self, tick: Ticker) -> None:
        self._tick, self._done = tick, 0

    def __call__(self) -> None:
        self._done += 1
        self._tick(self._done)


@dataclass(frozen=True)
class _Run:
    """One model under one seed."""

    name: str
    config: Any
    options: Options
    k: int
    done: Callable[[], None]

    def of_users(self, new_users: Split) -> Iterator[_Figures]:
        """NDCG of each new user by each route."""
        given = replace(
            ready_split(new_users.dataset.name, new_users.observed, new_users.test, new_users.dataset),
            hidden=new_users.hidden,
        )
        yield "warm", "trained on their history", _ndcg(Evaluator(given, self.k), self._scorer(given))
        evaluator, cold = Evaluator(new_users, self.k), self._scorer(new_users)
        yield "session", "their history, folded in", _ndcg(evaluator, cold)
        for n in N_LIKES:
            about = f"their first {n} likes, folded in" if n > 1 else "their first like, folded in"
            yield f"session of {n}", about, _ndcg(evaluator, _first_likes(cold, n))
        likes = np.bincount(new_users.train.positives().item, minlength=new_users.train.n_items)
        by_attributes = _by_attributes(new_users)
        if by_attributes is not None:
            known = Queries.of_users(evaluator.users, new_users.observed.histories())  # by index, to look attributes up
            yield "features", "their attributes alone, by similar users", _ndcg(evaluator, by_attributes, known)
        popular = torch.from_numpy(likes.astype(np.float32))
        yield "popular", "nothing", _ndcg(evaluator, lambda queries: popular.repeat(len(queries), 1))

    def of_items(self, new_items: Split, seed: int) -> Iterator[_Figures]:
        """NDCG over the new items alone, of each user who liked one, by their placement."""
        evaluator, score, cold_items = (
            Evaluator(new_items, self.k),
            self._scorer(new_items),
            ColdItems.from_split(new_items),
        )
        new = np.unique(new_items.test.positives().item).astype(np.int64)
        likes = np.bincount(new_items.train.positives().item, minlength=new_items.train.n_items)
        yield "placed", "by their attributes", _ndcg(evaluator, _scored_as(cold_items.wrap(score), new, new))
        kinds = _kinds(new_items.dataset.item_table, new_items.train.n_items)
        if kinds is not None:
            column, labels = kinds
            yield "kind", f"at the mean of their {column}", _ndcg(evaluator, _at_mean(score, labels, new, likes))
        rng, liked = np.random.default_rng(seed), np.flatnonzero(likes > 0)
        draws = [_ndcg(evaluator, _scored_as(score, new, rng.choice(liked, len(new)))) for _ in range(_DRAWS)]
        yield "random", "at another item, drawn at random", np.mean(draws, axis=0)

    def _scorer(self, on: Split) -> Scorer:
        scorer = fit(
            self.name, on, config=self.config, options=self.options, progress=False, baselines=False
        ).model.scorer()
        self.done()
        return scorer


def _ndcg(evaluator: Evaluator, score: Scorer, queries: Queries | None = None) -> NDArray[np.float64]:
    """(R,) NDCG of each user with a relevant test item."""
    return evaluator.values(evaluator.rank(score, queries=queries), "ndcg")


def _first_likes(score: Scorer, n: int) -> Scorer:
    """Score queries by the first `n` positives of each history alone."""

    def scored(queries: Queries) -> Tensor:
        liked = queries.history.positives()
        first = np.arange(len(liked.items)) - np.repeat(liked.offsets[:-1], liked.lengths) < n
        return score(replace(queries, history=liked.keep(first)))

    return scored


def _by_attributes(new_users: Split) -> Scorer | None:
    """Score by the likes of similar users; None where users have no attributes."""
    table, n_users = new_users.dataset.user_table, new_users.train.n_users
    encoder = Encoder.fit(table)
    if not encoder.columns:
        return None
    features = encoder.encode(table, n_users)
    similar_users = SimilarUsers.from_histories(features, new_users.histories(), new_users.train.n_items)

    def scored(queries: Queries) -> Tensor:
        rows = [similar_users.count_likes(features[[user]].toarray()) for user in queries.users.tolist()]
        return torch.from_numpy(np.stack(rows))

    return scored


def _scored_as(score: Scorer, new: NDArray[np.int64], others: NDArray[np.int64]) -> Scorer:
    """Score the items `new` alone, each as one of the `others`."""
    indices = torch.from_numpy(others)

    def scored(queries: Queries) -> Tensor:
        scores = score(queries).detach()
        return _only(scores, new, scores[:, indices])

    return scored


def _only(scores: Tensor, new: NDArray[np.int64], values: Tensor) -> Tensor:
    """(B, N) the values (B, M) of the items `new`, and -inf for all others."""
    return torch.full_like(scores, -torch.inf).index_copy_(1, torch.from_numpy(new), values)


def _kinds(table: Table, n_items: int) -> tuple[str, sp.csr_matrix] | None:
    """Return the first column of labels or categories, and the labels (N, L) of each item."""
    for column in Encoder.fit(table).columns:
        if column.kind in ("labels", "category"):
            features = Encoder((column,)).encode(table, n_items)
            return column.name, sp.csr_matrix(features > 0, dtype=np.float32)
    return None


def _at_mean(score: Scorer, labels: sp.csr_matrix, new: NDArray[np.int64], likes: NDArray[np.int64]) -> Scorer:
    """Score the items `new` alone: the mean over their labels of the mean score of the liked items of that label."""
    liked = labels.multiply((likes > 0)[:, None]).tocsc()  # (N, L)
    counts = np.asarray(liked.sum(axis=0)).ravel()
    of_label = sp.csr_matrix(liked @ sp.diags_array(1.0 / np.maximum(counts, 1)))  # (N, L) columns of means
    theirs = labels[new].multiply(counts > 0).tocsr()  # (M, L)
    share = sp.diags_array(1.0 / np.maximum(np.asarray(theirs.sum(axis=1)).ravel(), 1)) @ theirs
    without = np.diff(theirs.indptr) == 0  # items without a label that is liked

    def scored(queries: Queries) -> Tensor:
        scores = score(queries).detach()
        of_labels = np.asarray(of_label.T @ scores.numpy().T)  # (L, B)
        means = np.asarray((share @ of_labels).T, dtype=np.float32)
        means[:, without] = scores.numpy()[:, likes > 0].mean(axis=1, keepdims=True)
        return _only(scores, new, torch.from_numpy(means))

    return scored
