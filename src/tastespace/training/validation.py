"""Compare a model with the baselines on validation rows, so that nobody deploys one that loses to counting."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from tastespace import models
from tastespace.cold_start import scorer_wrapper
from tastespace.config import names
from tastespace.data.split import Split
from tastespace.errors import MemoryLimitError
from tastespace.evaluation import Evaluator, parse_metric
from tastespace.evaluation.significance import holm, wilcoxon
from tastespace.models.base import Model, Options
from tastespace.training.baselines import BASELINES, METRICS, BaselineComparison
from tastespace.training.build import build_model, shapes_of
from tastespace.training.forecast import forecast_run

_MOST_USERS = 5_000
_MOST_SECONDS = 40.0  # of item_knn; Gowalla takes 5
_SECONDS_PER_PRODUCT, _SECONDS_PER_PAIR = 1e-8, 6e-8  # of item_knn, on one x86-64 core


def can_validate(inner: Split) -> bool:
    """Whether a split to tune on (`Split.for_validation`) has rows to train on and users to validate on."""
    return len(inner.targets()) > 0 and len(inner.train.positives()) > 0


def has_known_targets(inner: Split) -> bool:
    """Whether any target is an item with training positives; no factorisation can rank the others."""
    return bool(np.isin(inner.targets().item, inner.train.positives().item).any())


def not_compared(model: str, reason: str) -> BaselineComparison:
    """Return a comparison with nothing in it but the reason."""
    return BaselineComparison(model, 0, {}, skipped={name: reason for name in BASELINES if name != model})


@torch.no_grad()
def compare_with_baselines(name: str, model: Model, inner: Split) -> BaselineComparison:
    """Compare a model that was trained on `inner.train` with the baselines fitted to the same rows.

    `inner` is the split to tune on (`Split.for_validation`). Of more than 5,000 users, a fixed random 5,000 are ranked
    for; `item_knn` weighs newer rows as much more as the model does. A baseline that would need too much memory, or
    more than 40 s, is left out with the reason.
    """
    if not can_validate(inner):
        return not_compared(name, "there are no validation rows")
    evaluator, wrap = Evaluator(sample_users(inner, _MOST_USERS), parse_metric(METRICS[0])[1]), scorer_wrapper(inner)

    def measure(candidate: Model) -> dict[str, NDArray[np.float64]]:
        found = evaluator.rank(wrap(candidate.eval().scorer()))
        return {metric: evaluator.values(found, parse_metric(metric)[0]) for metric in METRICS}

    per_user, skipped = {name: measure(model)}, {}
    for baseline in BASELINES:
        if baseline == name:
            continue
        if baseline == "item_knn" and (seconds := _seconds_of_counting(inner)) > _MOST_SECONDS:
            skipped[baseline] = f"it would take about {seconds:.0f} s; tastespace compare waits for it"
            continue
        try:
            per_user[baseline] = measure(_fit_baseline(baseline, inner, model.recency))
        except MemoryLimitError as error:
            skipped[baseline] = str(error)
    p_corrected = _p_of_better({model: metrics[METRICS[0]] for model, metrics in per_user.items()}, name)
    values = {
        model: {metric: float(values.mean()) for metric, values in metrics.items()}
        for model, metrics in per_user.items()
    }
    return BaselineComparison(name, len(evaluator.users), values, p_corrected, skipped)


def _p_of_better(per_user: Mapping[str, NDArray[np.float64]], name: str) -> dict[str, float]:
    """Holm-corrected p of each model with a higher mean than that of `name`; the tests of the others count as 1."""
    others = [other for other in per_user if other != name]
    ahead = {other: per_user[other].mean() > per_user[name].mean() for other in others}
    p_values = [wilcoxon(per_user[other], per_user[name]) if ahead[other] else 1.0 for other in others]
    return {other: p for other, p in zip(others, holm(p_values), strict=True) if ahead[other]}


def _seconds_of_counting(inner: Split) -> float:
    """Forecast the seconds of item_knn: every pair of likes of a user is a product, distinct pairs are compared."""
    per_user = np.bincount(inner.train.positives().user).astype(np.float64)
    products = float((per_user**2).sum())
    return _SECONDS_PER_PRODUCT * products + _SECONDS_PER_PAIR * min(products, float(inner.train.n_items) ** 2)


def _fit_baseline(name: str, inner: Split, recency: float) -> Model:
    """Fit a baseline by rule, with a `recency`; `MemoryLimitError` where it would not fit this machine."""
    cls, options = models.get(name), Options()
    shapes = shapes_of(cls, inner, None)
    own = cls.Config(recency=recency) if "recency" in names(cls.Config) else cls.Config()
    config = cls.settle_config(cls.resolve_config(own, inner), shapes)
    forecast_run(cls, name, config, shapes, inner.train, options.batch_size)
    return build_model(name, config, shapes, options, inner.train, None)


def sample_users(inner: Split, most: int) -> Split:
    """Leave out the test rows of all but a fixed random sample of `most` users."""
    users = np.unique(inner.targets().user)
    if len(users) <= most:
        return inner
    drawn = np.random.default_rng(0).choice(users, most, replace=False)
    return replace(inner, test=inner.test.take(np.isin(inner.test.user, drawn)))


CERTAIN = 2.0
"""Standard errors by which a difference in the mean over users is no noise."""


def is_better(values: NDArray[np.float64], reference: NDArray[np.float64], errors: float = 1.0) -> bool:
    """Whether the mean over users (B,) is higher than that of the `reference` by more than so many standard errors."""
    gain = values - reference
    return float(gain.mean()) > errors * float(gain.std()) / len(gain) ** 0.5
