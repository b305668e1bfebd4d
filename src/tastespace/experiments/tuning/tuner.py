"""Tuner: trains one configuration after another on the training rows and ranks it on the validation rows."""

import base64
import binascii
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from numpy.typing import NDArray

from tastespace import config as configs
from tastespace import models
from tastespace.cold_start import scorer_wrapper
from tastespace.data.split import Split
from tastespace.errors import OptionError, TooLittleDataError
from tastespace.evaluation import Evaluator, parse_metric
from tastespace.evaluation.significance import Estimate, bootstrap
from tastespace.experiments.tuning import DEFAULT_TRIALS
from tastespace.experiments.tuning.result import Trial, Tuning
from tastespace.experiments.tuning.study import RECORDED_ERRORS, Study, suggest, suggest_defaults
from tastespace.training.fit import Fit, configure, fit
from tastespace.training.loop import Epoch
from tastespace.training.search_space import SearchSpace, defaults, search_space
from tastespace.training.validation import can_validate

_MOST_USERS = 10_000_000  # whose values are read back from a study


@dataclass(frozen=True, eq=False)
class Tuner:
    """A study opened for one model and one split."""

    name: str
    split: Split
    inner: Split  # whose test rows are the validation rows
    evaluator: Evaluator
    metric: str
    fixed: Mapping[str, Any]
    space: SearchSpace
    study: Study

    @classmethod
    def open(
        cls,
        name: str,
        split: Split,
        *,
        only: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
        metric: str,
        seed: int = 0,
        study: str | Path | None = None,
    ) -> "Tuner":
        """Open the study of a search, or make it; see `tune` for the arguments and errors."""
        fixed = _fixed(name, settings or {})
        _, k = parse_metric(metric)
        space = search_space(name, only=only, fixed=fixed)
        inner = split.for_validation()
        if not can_validate(inner):
            raise TooLittleDataError(
                f"{split.dataset.name}: protocol {split.protocol} leaves no validation rows to tune on"
            )
        identity = {
            "model": name,
            "data": split.fingerprint(),
            "protocol": split.protocol,
            "metric": metric,
            "set": dict(fixed),
            "searched options": {option: domain.to_json() for option, domain in space.domains.items()},
            "version": version("tastespace"),
        }
        file = None if study is None else Path(study).expanduser()
        return cls(name, split, inner, Evaluator(inner, k), metric, fixed, space, Study(file, identity, seed))

    def run(
        self,
        *,
        trials: int | None = None,
        budget: float | None = None,
        progress: bool | None = None,
        on_trial: Callable[[Trial], None] | None = None,
    ) -> None:
        """Run trials until the study holds `trials` of them or `budget` seconds have passed.

        A trial is ended with the budget if another one has finished before.
        """
        if trials is not None and trials < 1:
            raise OptionError(f"trials is {trials}, but at least 1 is expected")
        if budget is not None and not budget > 0:
            raise OptionError(f"budget is {budget}, but a positive number of seconds is expected")
        most = DEFAULT_TRIALS if trials is None and budget is None else trials
        ends = float("inf") if budget is None else time.monotonic() + budget
        while (most is None or len(self.study.trials()) < most) and time.monotonic() < ends:
            run = _Run(self, ends, progress)
            self.study.run_trial(run.objective)
            if run.refused is not None:
                raise run.refused
            if on_trial is not None:
                on_trial(next(trial for trial in self.study.trials() if trial.number == run.number))

    def result(self) -> Tuning:
        """Gather what the study holds."""
        initial = {**defaults(self.name), **self.fixed, **self.study.settled()}
        chooses_epoch = self.metric != initial.get("metric", self.metric)  # so that train does as the trials did
        tuning = Tuning(
            model=self.name,
            data=self.split.dataset.name,
            protocol=self.split.protocol,
            metric=self.metric,
            users=len(self.evaluator.users),
            fixed={**self.fixed, **({"metric": self.metric} if chooses_epoch else {})},
            searched=self.space.domains,
            default_values={name: value for name, value in initial.items() if name in self.space.domains},
            trials=tuple(self.study.trials()),
            difference=None,
            importance=self.study.importance(),
        )
        return replace(tuning, difference=self._difference(tuning.best, tuning.default))

    def _difference(self, best: Trial | None, default: Trial | None) -> Estimate | None:
        if best is None or default is None or best.number == default.number:
            return None
        ours, theirs = (_unpack(self.study.per_user(trial.number)) for trial in (best, default))
        if ours is None or theirs is None or len(ours) != len(theirs):
            return None
        return bootstrap(ours - theirs)

    def trained(self, settings: Mapping[str, Any], progress: bool | None, on_epoch: Callable[[Epoch], None]) -> Fit:
        """Train one configuration on the rows that are neither validation nor test rows."""
        config, options = configure(self.name, {**self.fixed, **settings})
        if not models.get(self.name).learns_by_gradient():
            # with validation rows of its own the split is fitted without them, and "auto" settled as `train` does
            rows = self.inner if self.split.validation is None else self.split
            return fit(self.name, rows, config=config, options=options, progress=progress, baselines=False)
        options = replace(options, metric=self.metric, refit=False)
        return fit(
            self.name,
            self.split,
            config=config,
            options=options,
            progress=progress,
            on_epoch=on_epoch,
            baselines=False,
        )

    @torch.no_grad()
    def validated(self, fitted: Fit) -> NDArray[np.float64]:
        """(R,) validation metric of each user."""
        scorer = scorer_wrapper(self.inner)(fitted.model.scorer())
        return self.evaluator.values(self.evaluator.rank(scorer), parse_metric(self.metric)[0])


class _Run:
    """One trial in the making."""

    def __init__(self, tuner: Tuner, ends: float, progress: bool | None) -> None:
        self._tuner, self._ends, self._progress = tuner, ends, progress
        self.number = -1
        self.refused: OptionError | None = None  # of the defaults: no trial could do with the fixed options

    def objective(self, trial: optuna.Trial) -> float:
        """Train, validate, and record what was set, how long it took and what went wrong."""
        tuner, self.number = self._tuner, trial.number
        initial, is_default = {**defaults(tuner.name), **tuner.fixed}, bool(trial.user_attrs.get("defaults"))
        drawn = {} if is_default else suggest(trial, tuner.space, initial)
        known = {} if is_default else tuner.study.settled()
        every = {**initial, **known, **drawn}
        settings = {name: value for name, value in known.items() if tuner.space.is_relevant(name, every)} | drawn
        trial.set_user_attr("settings", settings)
        before = tuner.study.trials()
        started = time.perf_counter()
        try:
            fitted = tuner.trained(settings, self._progress, lambda epoch: self._after_epoch(trial, before, epoch))
            trial.set_user_attr("seconds", fitted.seconds)
            values = tuner.validated(fitted)
            if is_default:
                settled = {**configs.to_mapping(fitted.options), **configs.to_mapping(fitted.model.config)}
                suggest_defaults(trial, tuner.space, {**initial, **settled})
                trial.set_user_attr("settled", _settled(initial, settled))
        except RECORDED_ERRORS as error:
            if isinstance(error, OptionError) and is_default:
                self.refused = error
                raise
            trial.set_user_attr("error", str(error) or "this machine has not enough free memory for that")
            trial.set_user_attr("seconds", time.perf_counter() - started)
            raise
        except optuna.TrialPruned:
            trial.set_user_attr("seconds", time.perf_counter() - started)
            raise
        value = float(values.mean())
        best = max((other.value or 0.0 for other in before if other.state == "finished"), default=-1.0)
        if value > best or is_default:  # the others are never compared user by user
            trial.set_user_attr("per_user", _pack(values))
        return value

    def _after_epoch(self, trial: optuna.Trial, before: Sequence[Trial], epoch: Epoch) -> None:
        if epoch.metric is not None:
            trial.report(epoch.metric, epoch.epoch)
        if time.monotonic() >= self._ends and any(other.state == "finished" for other in before):
            raise optuna.TrialPruned
        if epoch.metric is not None and not trial.user_attrs.get("defaults") and trial.should_prune():
            raise optuna.TrialPruned


def _fixed(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Options that the caller sets, as values of their type; those that tuning itself sets are refused."""
    again = "train, which fits again on all rows"
    for own, instead in (("metric", "--metric"), ("refit", again), ("train_on_validation", again)):
        if own in settings:
            raise OptionError(f"{own} cannot be set for tuning; use {instead}")
    config, options = configure(name, settings)
    known = {**configs.to_mapping(options), **configs.to_mapping(config)}
    return {option: known[option] for option in settings}


def _settled(initial: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers in place of "auto", so that no later trial has to find them again."""
    return {
        name: values[name]
        for name, value in initial.items()
        if value == configs.AUTO and isinstance(values.get(name), int | float)
    }


def _pack(values: NDArray[np.float64]) -> str:
    return base64.b64encode(zlib.compress(values.astype("<f4").tobytes())).decode()


def _unpack(text: Any) -> NDArray[np.float64] | None:
    """Values of users from a study; None for none, or for what is damaged."""
    if not isinstance(text, str):
        return None
    try:
        raw = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), 4 * _MOST_USERS)
        return np.frombuffer(raw, dtype="<f4").astype(np.float64)
    except (ValueError, zlib.error, binascii.Error):
        return None
