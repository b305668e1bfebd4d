"""Choose options that are "auto" on the log's own validation rows, before the training proper.

One option after the other, in the order of `Model.ranges`: from the start of its range the search climbs as long as the
next value is better, first upwards, then downwards. Each candidate is fitted to the inner training rows, and ranks for
at most 2,000 of the validation users. Test rows are never read.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from tastespace import models
from tastespace._progress import Ticker, track
from tastespace.cold_start import scorer_wrapper
from tastespace.config import unresolved
from tastespace.data.features import Features
from tastespace.data.split import Split
from tastespace.errors import MemoryLimitError, TrainingError
from tastespace.evaluation import Evaluator, parse_metric
from tastespace.models.base import Options, Shapes
from tastespace.training.build import build_model
from tastespace.training.forecast import forecast_run
from tastespace.training.validation import can_validate, sample_users

_METRIC = "ndcg@10"
_MOST_USERS = 2_000


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
        chosen = ", ".join(f"{name}={value:g}" for name, value in self.settings.items())
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
    if not searched or not options.search:
        return settled, None
    inner = split.for_validation()
    if not can_validate(inner):
        return settled, None
    started = time.perf_counter()
    evaluator, wrap = Evaluator(sample_users(inner, _MOST_USERS), parse_metric(_METRIC)[1]), scorer_wrapper(inner)
    known: dict[Any, float] = {}

    @torch.no_grad()
    def measure(candidate: Any, tick: Ticker) -> float:
        if candidate not in known:
            try:
                forecast_run(cls, name, candidate, shapes, inner.train, options.batch_size)
                cheap = replace(candidate, **cls.search_with)
                model = build_model(name, cheap, shapes, options, inner.train, features).eval()
                known[candidate] = evaluator.mean(wrap(model.scorer()), parse_metric(_METRIC)[0])
            except (MemoryLimitError, TrainingError):
                known[candidate] = float("-inf")
            tick(len(known), f"{_METRIC} {max(known.values()):.4f}")
        return known[candidate]

    chosen = settled
    total = sum(len(ranges[option].values) for option in searched)
    with torch.random.fork_rng(devices=[]), track(f"choosing options of {name}", total=total) as tick:
        for option in searched:
            best = _climb(
                ranges[option].values,
                ranges[option].start,
                lambda value, option=option, base=chosen: measure(replace(base, **{option: value}), tick),  # type: ignore[misc]
            )
            chosen = replace(chosen, **{option: best})
    settings = {option: getattr(chosen, option) for option in automatic}
    seconds = time.perf_counter() - started
    return chosen, Search(settings, known[chosen], known[settled], len(evaluator.users), len(known), seconds)


def _climb(values: Sequence[Any], start: Any, measure: Callable[[Any], float]) -> Any:
    """The best of ascending `values` that is reached from `start` without passing a worse one."""
    place = values.index(start)
    for step in (1, -1):
        first = place
        while 0 <= place + step < len(values) and measure(values[place + step]) > measure(values[place]):
            place += step
        if place != first:
            break
    return values[place]
