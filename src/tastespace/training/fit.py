"""Training: from a split to a trained model.

fit("mf", split)            one call from a split to a trained model
  choose_settings           options that are "auto", on validation rows (`search`)
  build_model               parameters, and everything derived from the training rows (`build`)
  TrainingRun               gradient models: epochs, validation, refit (`loop`)
  check_health              health of the embeddings (`health`)
  compare_with_baselines    item_knn and popularity on the validation rows (`validation`)
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tastespace import config as configs
from tastespace import models
from tastespace._messages import did_you_mean, shown
from tastespace.data.features import Features
from tastespace.data.queries import Queries
from tastespace.data.split import Split
from tastespace.errors import OptionError, TooLittleDataError
from tastespace.evaluation import Health
from tastespace.models.base import Model, Options
from tastespace.training.baselines import BaselineComparison
from tastespace.training.build import build_model, settle_options, shapes_of
from tastespace.training.checkpoint import load_checkpoint, remove_checkpoint
from tastespace.training.forecast import Forecast, forecast_run
from tastespace.training.health import check_health
from tastespace.training.loop import Epoch, TrainingRun
from tastespace.training.search import Search, choose_settings
from tastespace.training.threads import threads_for
from tastespace.training.validation import can_validate, compare_with_baselines, not_compared

_log = logging.getLogger("tastespace")
_LONG = 30.0  # seconds that a second fit, for the comparison with the baselines, may take


@dataclass(frozen=True, eq=False)
class Fit:
    """A trained model with everything needed to evaluate, save or reproduce it."""

    name: str
    model: Model
    split: Split
    options: Options
    history: tuple[Epoch, ...] = ()
    best_epoch: int = 0
    seconds: float = 0.0
    forecast: Forecast | None = None
    health: Health | None = None
    features: Features | None = None
    baselines: BaselineComparison | None = None  # None where it was not requested
    search: Search | None = None  # None where no option was "auto"

    def queries(self, users: np.ndarray) -> Queries:
        """Queries of known users, with their histories."""
        return self.split.queries(users)


def train(name: str, split: Split, *, baselines: bool = True, **settings: Any) -> Fit:
    """Train a model by name; keywords set fields of its config (`dim=128`) or of `Options` (`epochs=40`).

    A model that loses to one of the baselines (see `fit`) is warned of by the logger "tastespace".
    """
    config, options = configure(name, settings)
    fitted = fit(name, split, config=config, options=options, baselines=baselines)
    warning = None if fitted.baselines is None else fitted.baselines.warning()
    if warning is not None:
        _log.warning("%s", warning)
    return fitted


def configure(name: str, settings: Mapping[str, Any]) -> tuple[Any, Options]:
    """A model's config and options with some fields set; texts are read as the field's type.

    An unknown field raises `OptionError` with the nearest one.
    """
    cls = models.get(name)
    own, shared = configs.names(cls.Config), configs.names(Options)
    given: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for key, value in settings.items():
        if key not in own and key not in shared:
            raise OptionError(f"{name} has no option {shown(key)}{did_you_mean(key, [*own, *shared])}")
        owner, target = (cls.Config, given[0]) if key in own else (Options, given[1])
        target[key] = configs.from_text(owner, key, value) if isinstance(value, str) else value
    return configs.from_mapping(cls.Config, given[0]), replace(cls.OPTIONS, **given[1])


def fit(
    name: str,
    split: Split,
    *,
    config: Any = None,
    options: Options | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    progress: bool | None = None,
    on_forecast: Callable[[Forecast], None] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    baselines: bool = True,
) -> Fit:
    """Train a model on a split.

    Where the protocol brings validation rows, the best epoch's weights are kept; where it brings none, part of the
    training rows picks the epoch and (`options.refit`) the model is fitted again on all of them. With
    `options.train_on_validation`, which published figures leave off, the protocol's validation rows are fitted too once
    they have picked the epoch. With `checkpoint` the run can be resumed after an interruption and ends as if there had
    been none. `on_forecast` is called once with the `Forecast` before the start, `on_epoch` after each epoch but those
    of the refit; an exception that it raises ends the training. Raises `MemoryLimitError` for a run that would not fit,
    `TrainingError` for a loss that is not finite.

    Options that are "auto" are settled first, by rule or by a short search on the validation rows (`Fit.search`).
    With `baselines`, the model is compared with `item_knn` and `popularity` on the validation rows, all fitted without
    them (`Fit.baselines`); `Fit.seconds` leave that out. A closed-form model is fitted once more for it where the
    final one has seen them, unless its fit took more than 30 s.
    """
    if not isinstance(split, Split):
        raise OptionError(f"a split is expected, not {type(split).__name__}: cut a log with tastespace.split first")
    cls = models.get(name)
    config = cls.resolve_config(cls.Config() if config is None else config, split)
    options = settle_options(options or cls.OPTIONS, split.train)
    _check_device(options.device)
    if len(split.train.positives()) == 0:
        raise TooLittleDataError(f"{split.dataset.name}: there is no positive row to train on")
    features = Features.of(split.dataset) if cls.reads_features or options.init == "features" else None
    shapes = shapes_of(cls, split, features)
    started = time.perf_counter()
    config, search = choose_settings(name, config, options, split, shapes, features)
    forecast = forecast_run(cls, name, config, shapes, split.train, options.batch_size)
    with torch.random.fork_rng(devices=[]), threads_for(options.threads, forecast):
        if not cls.learns_by_gradient():
            if on_forecast is not None:
                on_forecast(forecast)
            rows = split.fitted_rows(options.train_on_validation)
            model = build_model(name, config, shapes, options, rows, features)
            seconds = time.perf_counter() - started
            health = check_health(model.eval(), split)
            once = seconds - (0.0 if search is None else search.seconds)
            compared = _compare_closed_form(name, model, options, split, features, once) if baselines else None
            return Fit(
                name,
                model,
                split,
                options,
                seconds=seconds,
                forecast=forecast,
                health=health,
                features=features,
                baselines=compared,
                search=search,
            )
        run = TrainingRun(
            name,
            config,
            options,
            split,
            shapes,
            features,
            checkpoint,
            forecast,
            on_forecast,
            on_epoch=on_epoch,
            with_baselines=baselines,
        )
        if resume and checkpoint is not None:
            run.restore(load_checkpoint(checkpoint))
        model = run.execute(progress).eval()
        seconds = time.perf_counter() - started - run.comparison_seconds
        health = check_health(model, split)
    if checkpoint is not None:
        remove_checkpoint(checkpoint)
    return Fit(
        name,
        model,
        split,
        options,
        history=tuple(run.epochs),
        best_epoch=run.best_epoch,
        seconds=seconds,
        forecast=run.forecast,
        health=health,
        features=features,
        baselines=run.baselines,
        search=search,
    )


def _compare_closed_form(
    name: str, model: Model, options: Options, split: Split, features: Features | None, seconds: float
) -> BaselineComparison:
    """Compare a closed-form model, or where it has seen the validation rows one fitted without them, with baselines."""
    inner = split.for_validation()
    if (split.validation is None or options.train_on_validation) and can_validate(inner):
        if seconds > _LONG:
            return not_compared(
                name, f"a second fit, without the validation rows, would take {seconds:.0f} s; see tastespace compare"
            )
        model = build_model(name, model.config, model.shapes, options, inner.train, features)
    return compare_with_baselines(name, model, inner)


def _check_device(name: str) -> None:
    try:
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise OptionError(f"device {shown(name)} cannot be used here ({reason}); cpu always can") from error
