"""Choose options that are "auto" on the log's own validation rows, before the training proper.

One option after the other, in the order of `Model.ranges`. From the start of its range a sweep climbs as long as the
next value is better, first upwards, then downwards. Of the values on its way it takes the first that the best one does
not beat by more than half a standard error over users, as noise should not lead away from the rule. Of an option that
training does not depend on, all values are tried with one fitted model, and the start is left for two standard errors
alone. Where no epoch is trained, there is a second climb, as an option may not suit what the others became. Each
candidate is fitted to the inner training rows, or a cheaper one in its stead (`Model.stand_in`), and ranks for at most
2,000 of the validation users. Test rows are never read.

A gradient model that starts from an SVD has two sweeps. In one, candidates train a few epochs, at the highest rate to
be done soon, and count as they end, or as they started where that is better. In the other they are compared as they
start, which takes a fraction of the time: where tastes are many and narrow, training makes the best start worse, and
the best start is under other options than the best training. The start wins by two standard errors. On a sparse log,
which training hardly improves, there is no other sweep.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tastespace import models
from tastespace._progress import Ticker, track
from tastespace.cold_start import scorer_wrapper
from tastespace.config import is_relevant, to_mapping, unresolved
from tastespace.data.features import Features
from tastespace.data.split import Split
from tastespace.errors import MemoryLimitError, TrainingError
from tastespace.evaluation import Evaluator, parse_metric
from tastespace.models.base import Model, Options, Range, Shapes
from tastespace.training.build import build_model, highest_rate, settle_batch_size
from tastespace.training.forecast import forecast_run
from tastespace.training.loop import train_epoch
from tastespace.training.optimizer import Adam
from tastespace.training.threads import threads_for
from tastespace.training.validation import CERTAIN, can_validate, has_known_targets, is_better, sample_users

_METRIC = "ndcg@10"
_MOST_USERS = 2_000
_NOISE = 0.5  # standard errors over users
_EPOCHS = 6  # of a candidate that learns by gradient
_SPARSE_BELOW = 10.0  # positives a user; there initial vectors from an SVD are compared, which training hardly improves


_Measure = Callable[..., NDArray[np.float64]]  # of a config, and others that are trained alike


@dataclass(frozen=True)
class Search:
    """What a search chose: `settings`, their validation NDCG@10, and that of the starting point, over `users` users."""

    settings: Mapping[str, Any]
    value: float
    start: float
    users: int
    candidates: int
    seconds: float

    def __str__(self) -> str:
        settings = self.settings.items()
        chosen = ", ".join(f"{name}={value if isinstance(value, str) else f'{value:g}'}" for name, value in settings)
        return (
            f"chosen on {self.users:,} validation users: {chosen} (NDCG@10 {self.value:.4f}, {self.start:.4f} before; "
            f"{self.candidates} candidates in {self.seconds:.1f} s)"
        )


def choose_settings(
    name: str, config: Any, options: Options, split: Split, shapes: Shapes, features: Features | None
) -> tuple[Any, Search | None]:
    """Return the config with nothing left at "auto", and the search that settled it where one was made.

    A candidate that does not fit into memory, or cannot be fitted, is passed over.
    """
    cls = models.get(name)
    ranges, settled = cls.ranges(shapes), cls.settle_config(config, shapes)
    automatic = [option for option in ranges if option in unresolved(config)]
    searched = [option for option in automatic if len(ranges[option].values) > 1]  # the others follow a rule alone
    relevant_with, values = getattr(cls.Config, "RELEVANT_WITH", {}), to_mapping(settled)
    searched = [option for option in searched if is_relevant(relevant_with, option, values)]
    if not searched or not options.search:
        return settled, None
    inner = split.for_validation()
    if not can_validate(inner) or (features is None and not has_known_targets(inner)):
        return settled, None
    search = {option: ranges[option] for option in searched}
    if "recency" in search and not split.validates_on_newest():  # newer rows tell no more of any row than older ones
        del search["recency"]
    if not search:
        return settled, None
    started = time.perf_counter()
    candidates = _Candidates(name, settled, options, inner, shapes, features)
    total = len(candidates.epochs) * sum(len(values.values) for values in search.values())
    with torch.random.fork_rng(devices=[]), track(f"choosing options of {name}", total=total) as tick:
        found = _sweep(settled, search, partial(candidates.measure, candidates.epochs[0], tick), candidates.epochs[0])
        for epochs in candidates.epochs[1:]:
            fixed = {option: getattr(found.config, option) for option in search if not search[option].trained}
            left = {option: values for option, values in search.items() if option not in fixed}
            other = _sweep(replace(settled, **fixed), left, partial(candidates.measure, epochs, tick), epochs)
            if is_better(other.values, found.values, CERTAIN):
                found = other
    settings = {option: getattr(found.config, option) for option in automatic}
    value, start = float(found.values.mean()), float(found.start.mean())
    seconds = time.perf_counter() - started
    return found.config, Search(settings, value, start, candidates.n_users, candidates.n_measured, seconds)


@dataclass(frozen=True)
class _Found:
    """What a sweep found: a config, its metric of each user (B,), and that of the config it started from."""

    config: Any
    values: NDArray[np.float64]
    start: NDArray[np.float64]


def _sweep(settled: Any, ranges: Mapping[str, Range], measure: _Measure, epochs: int) -> _Found:
    """Search one option after the other; where no epoch is trained, once more from what was found."""
    by_order = "recency" in ranges or getattr(settled, "recency", 1.0) < 1
    scaled = [option for option, values in ranges.items() if values.of_start]
    # trained vectors, and those that weigh newer rows, are of one length
    equal = scaled if epochs or by_order else []
    first = replace(settled, **{option: ranges[option].values[0] for option in equal})
    trained = {
        option: values for option, values in ranges.items() if values.trained and not (epochs and values.of_start)
    }
    weighing = {option: values for option, values in ranges.items() if not values.trained}
    weighed = _weigh_each(first, weighing, measure)
    if epochs:
        chosen = _climb_each(weighed, trained, measure)
        return _Found(chosen, measure(chosen), measure(first))
    if getattr(weighed, "recency", 1.0) == 1:  # newer rows weigh no more after all
        weighed = replace(weighed, **{option: getattr(settled, option) for option in equal})
    once = _climb_each(weighed, trained, measure)
    chosen = _climb_each(once, trained, measure)  # an option may not suit what the others became
    if not scaled:  # another recency, now that the other options suit the log, may want others again
        reweighed = _weigh_each(chosen, weighing, measure)
        chosen = chosen if reweighed == chosen else _climb_each(reweighed, trained, measure)
    return _Found(chosen, measure(chosen), measure(first))


def _climb_each(config: Any, ranges: Mapping[str, Range], measure: _Measure) -> Any:
    """Climb along each option, from its value in the config."""
    for option, values in ranges.items():
        candidates = [replace(config, **{option: value}) for value in values.values]
        config = _climb(candidates, candidates[values.values.index(getattr(config, option))], measure)
    return config


def _weigh_each(config: Any, ranges: Mapping[str, Range], measure: _Measure) -> Any:
    """Choose each option that training does not depend on: the nearest as good as the best, if that is beyond noise."""
    for option, values in ranges.items():
        candidates = [replace(config, **{option: value}) for value in values.values]
        start = candidates[values.values.index(getattr(config, option))]
        measured = [measure(candidate, candidates) for candidate in candidates]
        certain = is_better(max(measured, key=np.mean), measure(start), CERTAIN)
        config = _nearest_as_good(candidates, start, measured) if certain else start
    return config


class _Candidates:
    """Measures configs of the model `name`: fits it, or its cheaper stand-in, to the inner training rows."""

    def __init__(
        self, name: str, settled: Any, options: Options, inner: Split, shapes: Shapes, features: Features | None
    ) -> None:
        self.name, self.searched = name, models.get(name)
        self.inner, self.shapes, self.features = inner, shapes, features
        self._options = options
        self._known: dict[Any, NDArray[np.float64]] = {}
        n_positives = np.unique(inner.train.positives().user, return_counts=True)[1]
        sparse = len(n_positives) > 0 and n_positives.mean() < _SPARSE_BELOW
        self.epochs: tuple[int, ...] = (0,)
        if models.get(self.stand_in(settled, _EPOCHS)[0]).learns_by_gradient() and not sparse:
            self.epochs = (_EPOCHS, 0) if options.init == "svd" else (_EPOCHS,)
        self._evaluator = Evaluator(sample_users(inner, _MOST_USERS), parse_metric(_METRIC)[1])
        self._wrap = scorer_wrapper(inner)

    @property
    def n_users(self) -> int:
        """Number of users that are ranked for."""
        return len(self._evaluator.users)

    def stand_in(self, config: Any, epochs: int) -> tuple[str, Any]:
        """Name and config of what is fitted in the place of a model with this config."""
        found = self.searched.stand_in(config, epochs)
        return (self.name, config) if found is None else (found[0], models.get(found[0]).Config(**found[1]))

    @property
    def n_measured(self) -> int:
        """Number of configs that were measured."""
        return len(self._known)

    def measure(self, epochs: int, tick: Ticker, config: Any, alike: Sequence[Any] = ()) -> NDArray[np.float64]:
        """(B,) NDCG@10 of each user after some `epochs`; that of configs `alike` is measured along with it.

        Those are trained alike. A config that cannot be fitted has less than any other.
        """
        name, own = self.stand_in(config, epochs)
        if (epochs, name, own) not in self._known:
            configs = list(dict.fromkeys(self.stand_in(one, epochs)[1] for one in (config, *alike)))
            try:
                found = self._fit(name, configs, epochs)
            except (MemoryLimitError, TrainingError):
                found = [np.full(self.n_users, -1.0)] * len(configs)
            self._known.update(((epochs, name, one), values) for one, values in zip(configs, found, strict=True))
            tick(len(self._known), f"{_METRIC} {max(values.mean() for values in self._known.values()):.4f}")
        return self._known[epochs, name, own]

    def _fit(self, name: str, configs: Sequence[Any], epochs: int) -> list[NDArray[np.float64]]:
        """(B,) NDCG@10 of each validation user, for each of `configs`, which are trained alike."""
        cls, rows, config = models.get(name), self.inner.train, configs[0]
        options = settle_batch_size(cls.OPTIONS, rows)
        options = replace(options, seed=self._options.seed, device=self._options.device)
        forecast = forecast_run(cls, name, config, self.shapes, rows, options.batch_size)
        with threads_for(self._options.threads, forecast):
            model = build_model(name, config, self.shapes, options, rows, self.features)
            start = self._rank(model, configs)
            if epochs == 0:
                return start
            optimizer = Adam(model.parameters(), options.weight_decay)
            for epoch in range(1, epochs + 1):
                train_epoch(name, model, optimizer, rows, highest_rate(options), options, epoch)
                if epoch == epochs - 1:
                    before = self._rank(model, configs)
            last = self._rank(model, configs)
            trained = [(one + other) / 2 for one, other in zip(before, last, strict=True)]  # one alone is noise
            # training would keep the better one, too
            return [max(values, key=np.mean) for values in zip(start, trained, strict=True)]

    @torch.no_grad()
    def _rank(self, model: Model, configs: Sequence[Any]) -> list[NDArray[np.float64]]:
        model.eval()
        if self.inner.given is not None or any(getattr(config, "recency", 1) < 1 for config in configs):
            model.on_train_end(self.inner.train)  # histories are folded in
        values = []
        for config in configs:
            model.config = model.settle_config(config, self.shapes)
            found = self._evaluator.rank(self._wrap(model.scorer()))
            values.append(self._evaluator.values(found, parse_metric(_METRIC)[0]))
        return values


def _nearest_as_good(values: Sequence[Any], start: Any, measured: Sequence[NDArray[np.float64]]) -> Any:
    """Return the first value between `start` and the best one that this does not beat beyond noise."""
    best = max(range(len(values)), key=lambda place: measured[place].mean())
    first = values.index(start)
    step = 1 if best >= first else -1
    between = range(first, best + step, step)
    return values[next(place for place in between if not is_better(measured[best], measured[place], _NOISE))]


def _climb(values: Sequence[Any], start: Any, measure: Callable[[Any], NDArray[np.float64]]) -> Any:
    """Return the first value on the way from `start` to the best one that this does not beat beyond noise.

    The way ends before a worse one; the values ascend, and the way up is tried first.
    """
    place = values.index(start)
    passed = [start]
    for step in (1, -1):
        while 0 <= place + step < len(values):
            here, there = measure(values[place]), measure(values[place + step])
            if there is not here and there.mean() <= here.mean():  # the same where they have the same stand-in
                break
            place += step
            passed.append(values[place])
        if len(passed) > 1:
            break
    return _nearest_as_good(passed, start, [measure(value) for value in passed])
