"""Comparison: several models, one protocol, the references always beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tastespace import models
from tastespace.data.queries import check_k
from tastespace.data.split import Split
from tastespace.errors import MemoryLimitError, OptionError
from tastespace.evaluation import Report, Test, average, compare_pairs
from tastespace.evaluation import evaluate as evaluate_scorer
from tastespace.models.base import Options
from tastespace.training import Fit, configure, fit

REFERENCES = ("popularity", "item_knn", "ease")


@dataclass(frozen=True, eq=False)
class Row:
    """One model's result: its report averaged over seeds, mean seconds, and the last seed's fit."""

    model: str
    report: Report
    train_seconds: float
    epochs: int
    fit: Fit


@dataclass(frozen=True, eq=False)
class Comparison:
    """Results of several models on one split, with paired tests between all of them."""

    split: Split
    k: int
    seeds: int
    rows: tuple[Row, ...]
    tests: tuple[Test, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)

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
    return {
        "model": row.model,
        **report_to_json(row.report),
        "train_seconds": row.train_seconds,
        "evaluate_seconds": row.report.seconds,
        "epochs": row.epochs,
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
    """Test a trained model on the test rows of the split that it was trained on."""
    return evaluate_scorer(fitted.model.scorer(), fitted.split, k=k, progress=progress)


def compare(
    names: Sequence[str],
    split: Split,
    *,
    seeds: int = 1,
    k: int = 10,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    progress: bool | None = None,
) -> Comparison:
    """Train and test models on one split; popularity, item_knn and ease are always in the table.

    Gradient models run with seeds 0 to `seeds` - 1; `settings` maps a model to config or option fields. A reference
    that does not fit the memory is skipped with its forecast. Pairs are tested on NDCG@k, Holm-corrected.
    """
    if seeds < 1:
        raise OptionError(f"seeds is {seeds}, but at least 1 is expected")
    check_k(k, split.train.n_items)
    asked = list(dict.fromkeys([*names, *REFERENCES]))
    for name in asked:
        models.get(name)  # a misspelt name is told before anything is trained
    rows, skipped = [], {}
    for name in asked:
        config, options = configure(name, (settings or {}).get(name, {}))
        try:
            rows.append(_run(name, split, config, options, seeds, k, progress))
        except MemoryLimitError as error:
            if name not in REFERENCES:
                raise
            skipped[name] = str(error)
    metric = f"ndcg@{k}"
    tests = compare_pairs({row.model: row.report.per_user[metric] for row in rows}, metric)
    return Comparison(split, k, seeds, tuple(rows), tuple(tests), skipped)


def _run(name: str, split: Split, config: Any, options: Options, seeds: int, k: int, progress: bool | None) -> Row:
    repeats = seeds if models.get(name).learns_by_gradient() else 1
    fits, reports = [], []
    for seed in range(repeats):
        fits.append(fit(name, split, config=config, options=replace(options, seed=seed), progress=progress))
        reports.append(evaluate(fits[-1], k=k, progress=progress))
    return Row(
        model=name,
        report=average(reports),
        train_seconds=sum(one.seconds for one in fits) / repeats,
        epochs=fits[-1].best_epoch,
        fit=fits[-1],
    )
