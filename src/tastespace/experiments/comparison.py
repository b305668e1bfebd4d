"""Comparison: several models, one protocol, the references beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tastespace import config as configs
from tastespace import models
from tastespace._messages import did_you_mean, shown
from tastespace.cold_start import scorer_wrapper
from tastespace.data.queries import check_k
from tastespace.data.split import Split
from tastespace.errors import (
    DataError,
    MemoryLimitError,
    OptionError,
    TimeLimitError,
    TooLittleDataError,
    TrainingError,
)
from tastespace.evaluation import Health, Report, Test, average, compare_pairs
from tastespace.evaluation import evaluate as evaluate_scorer
from tastespace.experiments.results import Result, identify, load_result, save_result
from tastespace.models.base import Options
from tastespace.training.fit import Fit, configure, fit
from tastespace.training.forecast import Forecast

REFERENCES = ("popularity", "recent_popularity", "item_knn", "ease")
_LONGEST_REFERENCE = 600  # seconds


@dataclass(frozen=True, eq=False)
class Row:
    """One model's results, seed by seed, and what it was trained with (the first seed's options)."""

    model: str
    config: Any
    options: Options
    results: tuple[Result, ...]
    report: Report  # averaged over seeds

    @property
    def train_seconds(self) -> float:
        """Mean over seeds."""
        return float(np.mean([result.train_seconds for result in self.results]))

    @property
    def epochs(self) -> int:
        """Epochs of the last seed; 0 for a model without epochs."""
        return self.results[-1].epochs

    @property
    def health(self) -> Health | None:
        """Embedding health of the last seed."""
        return self.results[-1].health


@dataclass(frozen=True, eq=False)
class Comparison:
    """Results of several models on one split, with paired tests between all of them."""

    split: Split
    k: int
    seeds: int
    rows: tuple[Row, ...]
    tests: tuple[Test, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)
    references: bool = True

    def row(self, model: str) -> Row:
        """The result of one model."""
        for row in self.rows:
            if row.model == model:
                return row
        raise OptionError(f"{model!r} is not in this comparison")

    def to_json(self) -> dict[str, Any]:
        """The documented JSON shape (docs/formats.md)."""
        return {
            "data": self.split.dataset.name,
            "protocol": self.split.protocol,
            "k": self.k,
            "seeds": self.seeds,
            "users": len(self.rows[0].report.users) if self.rows else 0,
            "items": self.split.train.n_items,
            "protocol_line": self.split.describe(),
            "references": [row.model for row in self.rows if self.references and row.model in REFERENCES],
            "rows": [row_to_json(row) for row in self.rows],
            "tests": [
                {
                    "a": test.a,
                    "b": test.b,
                    "metric": test.metric,
                    "difference": test.difference,
                    "p": test.p,
                    "p_corrected": test.p_corrected,
                }
                for test in self.tests
            ],
            "skipped": dict(self.skipped),
        }


def row_to_json(row: Row) -> dict[str, Any]:
    """One model's figures as plain values."""
    last = row.results[-1]
    reports = [result.report for result in row.results]
    validated = any(epoch.metric is not None for epoch in last.history)
    return {
        "model": row.model,
        **report_to_json(row.report),
        "train_seconds": row.train_seconds,
        "evaluate_seconds": row.report.seconds,
        "epochs": row.epochs,
        "parameters": last.parameters,
        "seeds": [result.seed for result in row.results],
        "by_seed": {
            **{metric: [report.mean(metric) for report in reports] for metric in row.report.per_user},
            **{metric: [report.overall[metric] for report in reports] for metric in row.report.overall},
            "train_seconds": [result.train_seconds for result in row.results],
        },
        "metric_name": row.options.metric if validated else None,
        "history": [{"epoch": e.epoch, "loss": e.loss, "metric": e.metric} for e in last.history],
        "health": None if last.health is None else last.health.to_json(),
        "config": configs.to_mapping(row.config),
        "options": configs.to_mapping(replace(row.options, seed=last.seed)),
    }


def report_to_json(report: Report) -> dict[str, Any]:
    """A report's figures as plain values: each ranking metric, its interval, and the overall figures."""
    figures: dict[str, Any] = {}
    for metric, estimate in report.values.items():
        figures[metric] = estimate.value
        figures[f"{metric}_ci"] = [estimate.low, estimate.high]
    return {
        **figures,
        **report.overall,
        "groups": {group: dict(values) for group, values in report.groups.items()},
    }


def evaluate(fitted: Fit, *, k: int = 10, progress: bool | None = None) -> Report:
    """Test a trained model on the test rows of the split that it was trained on.

    Under `new-items`, items without training rows are placed by their attributes.
    """
    scorer = scorer_wrapper(fitted.split)(fitted.model.scorer())
    return evaluate_scorer(scorer, fitted.split, k=k, progress=progress)


def compare(
    names: Sequence[str],
    split: Split,
    *,
    seeds: int = 1,
    k: int = 10,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    references: bool = True,
    progress: bool | None = None,
    results_folder: str | Path | None = None,
    resume: bool = True,
) -> Comparison:
    """Train and test models on one split, with the references (`REFERENCES`) beside them.

    Gradient models run with `seeds` seeds from that of their options on (0); `settings` maps a model to config or
    option fields. A reference that cannot run here (too little memory, no times) is skipped with its reason, and so is
    one that may take longer than ten minutes unless `names` holds it. With `references=False` the models of `names`
    alone are compared. Pairs are tested on NDCG@k, Holm-corrected.

    Every finished result is saved in `results_folder` at once. With `resume`, results of the very same runs that are
    saved there are loaded instead of training again: metrics, seconds and all.
    """
    if seeds < 1:
        raise OptionError(f"seeds is {seeds}, but at least 1 is expected")
    check_k(k, split.train.n_items)
    compared = list(dict.fromkeys([*names, *(REFERENCES if references else ())]))
    if not compared:
        raise OptionError("no model is named, and references=False leaves out all others; name at least one")
    for name in compared:
        models.get(name)  # raises for a misspelt name before anything is trained
    settings = settings or {}
    for name in settings:
        if name not in compared:
            raise OptionError(
                f"there are settings for {shown(name)}, which is not compared{did_you_mean(name, compared)}"
            )
    setups = {name: configure(name, settings.get(name, {})) for name in compared}
    runner = _Runner(split, k, progress, None if results_folder is None else Path(results_folder).expanduser(), resume)
    rows, skipped = [], {}
    for name, (config, options) in setups.items():
        try:
            rows.append(runner.row(name, config, options, seeds, None if name in names else _LONGEST_REFERENCE))
        except TooLittleDataError:
            raise
        except (MemoryLimitError, TimeLimitError, TrainingError, DataError) as error:
            if name not in REFERENCES or not references or (name in names and isinstance(error, TrainingError)):
                raise
            skipped[name] = str(error)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(runner.interrupted()) from None
    metric = f"ndcg@{k}"
    tests = compare_pairs({row.model: row.report.per_user[metric] for row in rows}, metric)
    return Comparison(split, k, seeds, tuple(rows), tuple(tests), skipped, references)


@dataclass
class _Runner:
    """Runs of a comparison: their shared settings, and the number of finished ones."""

    split: Split
    k: int
    progress: bool | None
    folder: Path | None
    resume: bool
    finished: int = 0

    def row(self, name: str, config: Any, options: Options, seeds: int, longest: float | None) -> Row:
        repeats = seeds if models.get(name).learns_by_gradient() else 1
        runs = [replace(options, seed=options.seed + number) for number in range(repeats)]
        results = tuple(self.result(name, config, run, longest) for run in runs)
        return Row(name, config, options, results, average([result.report for result in results]))

    def result(self, name: str, config: Any, options: Options, longest: float | None) -> Result:
        """Load the saved result of a run, or train and save it; `TimeLimitError` for more than `longest` seconds."""
        identity = identify(name, self.split, config, options, self.k) if self.folder is not None else {}
        result = load_result(self.folder, identity) if self.folder is not None and self.resume else None
        if result is None:
            result = self.run(name, config, options, longest)
            if self.folder is not None:
                save_result(self.folder, identity, result)
        self.finished += 1
        return result

    def run(self, name: str, config: Any, options: Options, longest: float | None) -> Result:
        check = None if longest is None else partial(_check_seconds, name, longest)
        fitted = fit(
            name,
            self.split,
            config=config,
            options=options,
            progress=self.progress,
            on_forecast=check,
            baselines=False,
        )
        return Result(
            seed=options.seed,
            report=evaluate(fitted, k=self.k, progress=self.progress),
            train_seconds=fitted.seconds,
            epochs=fitted.best_epoch,
            parameters=fitted.forecast.parameters if fitted.forecast is not None else 0,
            history=fitted.history,
            health=fitted.health,
        )

    def interrupted(self) -> str:
        saved = f", saved in {self.folder}" if self.folder is not None else ", not saved"
        return f"interrupted under protocol {self.split.protocol} with {self.finished} results finished{saved}"


def _check_seconds(name: str, longest: float, forecast: Forecast) -> None:
    if (forecast.seconds or 0.0) > longest:
        raise TimeLimitError(
            f"it may take longer than {longest / 60:.0f} minutes ({forecast}); "
            f"list {name} among the models to run it all the same"
        )
