"""The gradient loop, the only one of the project.

TrainingRun.execute
  search    epochs on the inner training rows, until the validation metric stops improving
  refit     all training rows, for the number of epochs that was best
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tastespace import config as configs
from tastespace._progress import Ticker, track
from tastespace.cold_start import scorer_wrapper
from tastespace.data.features import Features
from tastespace.data.interactions import Interactions
from tastespace.data.split import Split
from tastespace.errors import OptionError, TrainingError
from tastespace.evaluation import Evaluator, parse_metric
from tastespace.evaluation.ranking import Scorer
from tastespace.models.base import Model, Options, Shapes
from tastespace.training.baselines import BaselineComparison
from tastespace.training.build import build_model, seed_torch
from tastespace.training.checkpoint import Checkpoint, save_checkpoint
from tastespace.training.forecast import Forecast, longest_seconds
from tastespace.training.optimizer import Adam
from tastespace.training.validation import (
    CERTAIN,
    can_validate,
    compare_with_baselines,
    is_better,
    not_compared,
    sample_users,
)

_DAMAGED = "the checkpoint is damaged; delete it and train again"
_CHECKPOINT_EVERY = 10.0  # seconds
_STALLED_AFTER = 3  # validations without improvement before the learning rate is halved
_SMOOTHED_OVER = 5  # validations averaged where new users are validated: they are few, so a single value is noise
_MOST_USERS = 5_000  # that an epoch is validated on, by row


@dataclass(frozen=True)
class Epoch:
    """Loss, learning rate and duration of one epoch; `metric` is None where it was not validated."""

    epoch: int
    loss: float
    learning_rate: float
    metric: float | None
    seconds: float


@dataclass
class TrainingRun:
    """One training run: epochs with validation, then a refit on all rows; it can be resumed after any epoch."""

    name: str
    config: Any
    options: Options
    split: Split
    shapes: Shapes
    features: Features | None
    checkpoint: Path | None
    forecast: Forecast
    on_forecast: Callable[[Forecast], None] | None
    with_baselines: bool = False
    on_epoch: Callable[[Epoch], None] | None = None
    baselines: BaselineComparison | None = None  # of the search, if `with_baselines`
    comparison_seconds: float = 0.0
    epochs: list[Epoch] = field(default_factory=list)  # of the search; the refit repeats its learning rates
    best_epoch: int = 0
    best_value: float = -math.inf
    improved_epoch: int = 0  # the last epoch that was better than the one before by more than a standard error
    refitted: int = 0  # epochs of the refit that are done
    _restored: Checkpoint | None = None
    _best: dict[str, Tensor] = field(default_factory=dict)
    _recent: list[NDArray[np.float64]] = field(default_factory=list)  # metric of each user, of the last validations
    _reference: NDArray[np.float64] | None = None  # metric of each user at `improved_epoch`
    _initial: NDArray[np.float64] | None = None  # metric of each user by initial vectors
    _snapshot: Checkpoint | None = None
    _last_saved: float = field(default_factory=time.monotonic)

    def execute(self, progress: bool | None) -> Model:
        inner = self.split.for_validation()
        with track(f"training {self.name}", total=self.options.epochs, enabled=progress) as tick:
            try:
                if not can_validate(inner):
                    self.best_epoch = self.options.epochs
                    if self.with_baselines:
                        self.baselines = not_compared(self.name, "there are no validation rows")
                    return self._refit(tick)
                model = self._search(inner, tick)
                self._compare_with_baselines(model, inner)
                own = self.split.validation is not None  # rows of the protocol; else training rows were held out
                again = self.options.train_on_validation if own else self.options.refit
                return self._refit(tick) if again else model
            except KeyboardInterrupt:
                self._save_checkpoint()
                raise

    def _search(self, inner: Split, tick: Ticker) -> Model:
        """Epochs on the inner training rows until the validation metric is flat; the best epoch's weights."""
        metric, k = parse_metric(self.options.metric)
        model, optimizer = self._start_stage(inner.train, "search")
        most = _MOST_USERS if model.recency == 1 else _most_folded_in(inner.train.n_items)
        evaluator = Evaluator(sample_users(inner, most), k)
        if not self.epochs and not self.refitted:  # the initial vectors may be better than any epoch
            self._validate(model.eval(), evaluator, metric, 0)
        while len(self.epochs) < self.options.epochs and not self._is_flat() and not self.refitted:
            number = len(self.epochs) + 1
            rate = self._learning_rate(number, halvings=self._halvings())
            started = time.perf_counter()
            loss = train_epoch(self.name, model, optimizer, inner.train, rate, self.options, number)
            value = None
            if number % self.options.validate_every == 0 or number == self.options.epochs:
                value = self._validate(model.eval(), evaluator, metric, number)
            self.epochs.append(Epoch(number, loss, rate, value, time.perf_counter() - started))
            note = f"loss {loss:.4f}  {self.options.metric} {self.best_value:.4f} at {self.best_epoch}  rate {rate:.2g}"
            tick(number, note)
            self._take_snapshot("search", model, optimizer)
            if self.on_epoch is not None:
                self.on_epoch(self.epochs[-1])
        if self._best:
            model.load_state_dict(self._best)
        model.on_train_end(inner.train)
        return model

    def _compare_with_baselines(self, model: Model, inner: Split) -> None:
        if not self.with_baselines or self.refitted:  # a resumed refit has the comparison of the run before
            return
        started = time.perf_counter()
        self.baselines = compare_with_baselines(self.name, model, inner)
        self.comparison_seconds = time.perf_counter() - started

    @torch.no_grad()
    def _validate(self, model: Model, evaluator: Evaluator, metric: str, epoch: int) -> float:
        """Measure the model, and note whether it is the best so far; returns the mean over users."""
        if evaluator.split.given is not None or model.recency < 1:  # then histories are folded in
            model.on_train_end(evaluator.split.train)
        per_user = evaluator.values(evaluator.rank(self._wrapped(model.scorer())), metric)
        recent = [*self._recent, per_user][-self._window :]
        self._recent = recent if epoch else []
        smoothed = np.mean(recent, axis=0)
        if epoch == 0:
            self._initial = per_user
        all_zero = smoothed.mean() == 0 and self.best_value <= 0  # then the last epoch is as good as any
        if smoothed.mean() > self.best_value or all_zero:
            self.best_value, self.best_epoch = float(smoothed.mean()), epoch
            self._best = _cloned(model.state_dict())
        if epoch and (self._reference is None or all_zero or is_better(smoothed, self._reference)):
            self.improved_epoch, self._reference = epoch, smoothed
        return float(per_user.mean())

    def _is_flat(self) -> bool:
        """Whether the metric has not improved beyond its noise for as many epochs as `patience` allows.

        Half as many are allowed for training that has only made initial vectors worse.
        """
        validated = self._validated()
        if not validated:
            return False
        only_worse = (
            self.best_epoch == 0
            and self._initial is not None
            and 2 * validated[-1].epoch >= self.options.patience
            and is_better(self._initial, np.mean(self._recent, axis=0), CERTAIN)
        )
        return only_worse or validated[-1].epoch - self.improved_epoch >= self.options.patience

    @cached_property
    def _wrapped(self) -> Callable[[Scorer], Scorer]:
        """Wrapper of a scorer that answers validation queries as a recommender does, cold items included."""
        return scorer_wrapper(self.split.for_validation())

    def _refit(self, tick: Ticker) -> Model:
        """All rows to be fitted, for the number of epochs that was best, at the same learning rates."""
        rows = self.split.fitted_rows(self.options.train_on_validation)
        model, optimizer = self._start_stage(rows, "refit")
        for number in range(self.refitted + 1, self.best_epoch + 1):
            rate = self.epochs[number - 1].learning_rate if self.epochs else self._learning_rate(number, halvings=0)
            loss = train_epoch(self.name, model, optimizer, rows, rate, self.options, number)
            self.refitted = number
            tick(number * self.options.epochs / self.best_epoch, f"refit on all rows, loss {loss:.4f}")
            self._take_snapshot("refit", model, optimizer)
        model.on_train_end(rows)
        return model

    def _start_stage(self, rows: Interactions, stage: str) -> tuple[Model, Adam]:
        model = build_model(self.name, self.config, self.shapes, self.options, rows, self.features)
        optimizer = Adam(model.parameters(), self.options.weight_decay)
        restored = self._restored
        if restored is not None and restored.state["stage"] == stage:
            try:
                model.load_state_dict(_with_prefix(restored.tensors, "model."))
                optimizer.restore(_with_prefix(restored.tensors, "optimizer."))
            except (KeyError, ValueError, RuntimeError) as error:
                raise TrainingError(_DAMAGED) from error
        if self.on_forecast is not None and self.forecast.seconds is None:
            self.forecast = replace(self.forecast, seconds=longest_seconds(model, rows, self.options))
            self.on_forecast(self.forecast)
        return model, optimizer

    def _learning_rate(self, epoch: int, *, halvings: int) -> float:
        done = (epoch - 1) / max(1, self.options.epochs - 1)
        share = self.options.final_lr_fraction + (1 - self.options.final_lr_fraction) * 0.5 * (
            1 + math.cos(math.pi * done)
        )
        return self.options.learning_rate * share * 0.5**halvings

    @property
    def _window(self) -> int:
        """Number of validations that are averaged."""
        return _SMOOTHED_OVER if self.split.given is not None else 1

    def _smoothed(self, values: Sequence[float | None]) -> list[float]:
        """Validation metrics that choose the epoch: as measured, or their moving average where users are new."""
        measured = [value for value in values if value is not None]
        return [float(np.mean(measured[max(0, last - self._window) : last])) for last in range(1, len(measured) + 1)]

    def _validated(self) -> list[Epoch]:
        return [epoch for epoch in self.epochs if epoch.metric is not None]

    def _halvings(self) -> int:
        """Number of times that `_STALLED_AFTER` validations in a row brought no improvement."""
        halvings, since, best = 0, 0, -math.inf
        for value in self._smoothed([epoch.metric for epoch in self._validated()]):
            since = 0 if value > best else since + 1
            best = max(best, value)
            if since == _STALLED_AFTER:
                halvings, since = halvings + 1, 0
        return halvings

    def _take_snapshot(self, stage: str, model: Model, optimizer: Adam) -> None:
        """Hold the state after this epoch in memory, and write it to disk every few seconds."""
        if self.checkpoint is None:
            return
        tensors = {
            **{f"model.{key}": value for key, value in _cloned(model.state_dict()).items()},
            **{f"optimizer.{key}": value for key, value in _cloned(optimizer.tensors()).items()},
            **({f"best.{key}": value for key, value in self._best.items()} if stage == "search" else {}),
            **{f"recent.{place}": torch.from_numpy(values) for place, values in enumerate(self._recent)},
            **{key: torch.from_numpy(values) for key, values in self._per_user().items() if values is not None},
        }
        state = {
            "stage": stage,
            "run": self._identity,
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "best_epoch": self.best_epoch,
            "best_value": self.best_value,
            "improved_epoch": self.improved_epoch,
            "refitted": self.refitted,
            "baselines": None if self.baselines is None else self.baselines.to_json(),
        }
        self._snapshot = Checkpoint(tensors, state)
        if time.monotonic() - self._last_saved > _CHECKPOINT_EVERY:
            self._save_checkpoint()

    def _per_user(self) -> dict[str, NDArray[np.float64] | None]:
        """Metrics of each user that a resumed run needs, by the names of their tensors."""
        return {"reference": self._reference, "initial": self._initial}

    def _save_checkpoint(self) -> None:
        if self.checkpoint is not None and self._snapshot is not None:
            save_checkpoint(self.checkpoint, self._snapshot)
            self._last_saved = time.monotonic()

    @cached_property
    def _identity(self) -> dict[str, Any]:
        """Everything that a checkpoint must agree with; computed once, as it reads every row."""
        return {
            "model": self.name,
            "config": configs.to_mapping(self.config),
            "options": configs.to_mapping(self.options),
            "protocol": self.split.protocol,
            "version": version("tastespace"),
            "data": self.split.fingerprint(),
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint of this very run; any other raises `OptionError`."""
        try:
            differing = [key for key, value in self._identity.items() if checkpoint.state["run"][key] != value]
            if differing:
                raise OptionError(
                    f"the checkpoint belongs to another run (its {', '.join(differing)} differ); "
                    "resume with the same data and options, or train again without --resume"
                )
            self.epochs = [Epoch(**epoch) for epoch in checkpoint.state["epochs"]]
            self.best_epoch = int(checkpoint.state["best_epoch"])
            self.best_value = float(checkpoint.state["best_value"])
            self.improved_epoch = int(checkpoint.state["improved_epoch"])
            self.refitted = int(checkpoint.state["refitted"])
            compared = checkpoint.state["baselines"]
            self.baselines = None if compared is None else BaselineComparison.from_json(compared)
            recent = _with_prefix(checkpoint.tensors, "recent.")
            self._recent = [recent[place].numpy() for place in sorted(recent, key=int)]
        except (KeyError, TypeError, ValueError) as error:
            raise TrainingError(_DAMAGED) from error
        self._best = _with_prefix(checkpoint.tensors, "best.")
        saved = {key: checkpoint.tensors[key].numpy() for key in self._per_user() if key in checkpoint.tensors}
        self._reference, self._initial = saved.get("reference"), saved.get("initial")
        self._restored = checkpoint


def train_epoch(
    name: str,
    model: Model,
    optimizer: Adam,
    rows: Interactions,
    rate: float,
    options: Options,
    epoch: int,
) -> float:
    """Train one epoch and return the mean loss of its batches. Randomness depends on seed and epoch alone."""
    rng = np.random.default_rng([options.seed, epoch])
    seed_torch(int(rng.integers(2**62)), options.device)
    model.train()
    losses = []
    for step, batch in enumerate(model.batches(rows, rng, options.batch_size), 1):
        loss = model.loss(batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss of {name} became {value} in epoch {epoch}, batch {step}, at learning rate {rate:g}; "
                "try a learning rate ten times lower (--set learning_rate=...)"
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(rate)
        losses.append(value)
    return float(np.mean(losses)) if losses else 0.0


def _most_folded_in(n_items: int) -> int:
    """Users that an epoch is validated on by fold-in: 1,000, or more while they have less than 12 million scores."""
    return min(2_000, max(1_000, 12_000_000 // max(1, n_items)))


def _with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _cloned(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in tensors.items()}
