"""Training: the only gradient loop of the project.

fit("mf", split)            one call from a split to a trained model
  build, prepare            parameters, and what is derived from the training rows
  epochs on the inner split validation picks the best epoch
  refit                     all training rows, that many epochs
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tastespace import config as configs
from tastespace import models
from tastespace._messages import did_you_mean, shown
from tastespace._progress import Ticker, track
from tastespace.cold_start import scorer_wrapper
from tastespace.data.features import Features
from tastespace.data.interactions import Interactions
from tastespace.data.queries import Queries
from tastespace.data.split import Split
from tastespace.errors import MemoryLimitError, OptionError, TooLittleDataError, TrainingError
from tastespace.evaluation import Evaluator, Health, parse_metric
from tastespace.evaluation.ranking import Scorer
from tastespace.models.base import Model, Options, Shapes
from tastespace.models.parts.initialization import init_from_features, init_from_svd
from tastespace.models.parts.meta_device import shapes_only
from tastespace.training.checkpoint import Checkpoint, load_checkpoint, remove_checkpoint, save_checkpoint
from tastespace.training.health import check_health
from tastespace.training.memory import free_memory
from tastespace.training.optimizer import Adam

_DAMAGED = "the checkpoint is damaged; delete it and train anew"
_CHECKPOINT_EVERY = 10.0  # seconds
_SMALL_MODEL = 1_000_000  # trained parameters
_STALLED_AFTER = 3  # validations without a better value before the learning rate is halved
_STEADY = 5  # validations whose mean is judged where strangers are asked: few, so that one alone is chance


@dataclass(frozen=True)
class Epoch:
    """What one epoch did; `metric` is None where it was not validated."""

    epoch: int
    loss: float
    learning_rate: float
    metric: float | None
    seconds: float


@dataclass(frozen=True)
class Forecast:
    """What a run will need: trained parameters, bytes of memory, and at most how many seconds (None: unknown)."""

    parameters: int
    memory_bytes: int
    seconds: float | None

    def __str__(self) -> str:
        time_part = "" if self.seconds is None else f", at most {_duration(self.seconds)}"
        return f"{self.parameters:,} parameters, about {self.memory_bytes / 2**20:,.0f} MiB{time_part}"


@dataclass(frozen=True, eq=False)
class Fit:
    """A trained model with everything needed to judge, save or repeat it."""

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

    def queries(self, users: np.ndarray) -> Queries:
        """Questions of known users, with all that is known of them."""
        return self.split.queries(users)


def train(name: str, split: Split, **settings: Any) -> Fit:
    """Train a model by name; keywords set fields of its config (`dim=128`) or of `Options` (`epochs=40`)."""
    config, options = configure(name, settings)
    return fit(name, split, config=config, options=options)


def configure(name: str, settings: Mapping[str, Any]) -> tuple[Any, Options]:
    """A model's config and options with some fields set; texts are read as the field's type.

    An unknown field raises `OptionError` with the nearest one.
    """
    cls = models.get(name)
    own, general = configs.names(cls.Config), configs.names(Options)
    parts: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for key, value in settings.items():
        if key not in own and key not in general:
            raise OptionError(f"{name} has no option {shown(key)}{did_you_mean(key, [*own, *general])}")
        owner, part = (cls.Config, parts[0]) if key in own else (Options, parts[1])
        part[key] = configs.from_text(owner, key, value) if isinstance(value, str) else value
    return configs.from_mapping(cls.Config, parts[0]), replace(cls.OPTIONS, **parts[1])


def fit(
    name: str,
    split: Split,
    *,
    config: Any = None,
    options: Options | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    progress: bool | None = None,
    tell: Callable[[Forecast], None] | None = None,
) -> Fit:
    """Train a model on a split.

    Where the protocol brings validation rows, the best epoch's weights are kept; where it brings none, part of the
    training rows picks the epoch and (`options.refit`) the model is fitted again on all of them. With `checkpoint`
    the run can be resumed after an interruption and ends as if there had been none. `tell` is called once with the
    `Forecast` before the start. Raises `MemoryLimitError` for a run that would not fit, `TrainingError` for a loss
    that is not finite.
    """
    if not isinstance(split, Split):
        raise OptionError(f"a split is expected, not {type(split).__name__}: cut a log with tastespace.split first")
    cls = models.get(name)
    config = cls.resolve_config(cls.Config() if config is None else config, split)
    options = options or cls.OPTIONS
    _check_device(options.device)
    if len(split.train.positives()) == 0:
        raise TooLittleDataError(f"{split.dataset.name}: there is no positive row to train on")
    features = Features.of(split.dataset) if cls.reads_features or options.init == "features" else None
    shapes = shapes_of(cls, split, features)
    forecast = _check_memory(cls, name, config, shapes, split.train, options.batch_size)
    started = time.perf_counter()
    with torch.random.fork_rng(devices=[]), _threads(options.threads, forecast.parameters):
        if not cls.learns_by_gradient():
            if tell is not None:
                tell(forecast)
            model = build(name, config, shapes, options, split.train, features)
            seconds = time.perf_counter() - started
            health = check_health(model.eval(), split)
            return Fit(
                name, model, split, options, seconds=seconds, forecast=forecast, health=health, features=features
            )
        run = _Run(name, config, options, split, shapes, features, checkpoint, forecast, tell)
        if resume and checkpoint is not None:
            run.restore(load_checkpoint(checkpoint))
        model = run.execute(progress).eval()
        seconds = time.perf_counter() - started
        health = check_health(model, split)
    if checkpoint is not None:
        remove_checkpoint(checkpoint)
    done = tuple(run.epochs)
    return Fit(name, model, split, options, done, run.best_epoch, seconds, run.forecast, health, features)


def _check_device(name: str) -> None:
    try:
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise OptionError(f"device {shown(name)} cannot be used here ({reason}); cpu always can") from error


@contextmanager
def _threads(asked: int, parameters: int) -> Iterator[None]:
    """Torch threads while a model is trained.

    Steps of a small model are too short to share: on two idle cores a second thread brings nothing (MovieLens 100K,
    `mf`: 2.6 s with one, 2.8 s with two), and on busy ones the two wait for each other (4.9 s against 14 to 120 s).
    """
    before = torch.get_num_threads()
    torch.set_num_threads(asked or (1 if parameters < _SMALL_MODEL else before))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def shapes_of(cls: type[Model], split: Split, features: Features | None) -> Shapes:
    """What a model's tensors depend on: the vocabulary, and the features where it reads them."""
    shapes = Shapes(split.train.n_users, split.train.n_items)
    if not cls.reads_features or features is None:
        return shapes
    return replace(shapes, user_features=features.users.shape[1], item_features=features.items.shape[1])


def build(
    name: str, config: Any, shapes: Shapes, options: Options, rows: Interactions, features: Features | None
) -> Model:
    """A model before its first epoch, prepared from `rows`."""
    torch.manual_seed(options.seed)
    model = models.get(name)(config, shapes)
    if model.reads_features and features is not None:
        model.set_features(features)
    model.prepare(rows)
    if options.init == "features" and features is not None:
        init_from_features(model, name, features)
    if options.init == "svd":
        init_from_svd(model, name, rows)
    return model.to(options.device) if model.learns_by_gradient() else model  # the others are numpy and scipy


@dataclass
class _Run:
    """One training run: the stage, the epochs done, and how to go on."""

    name: str
    config: Any
    options: Options
    split: Split
    shapes: Shapes
    features: Features | None
    checkpoint: Path | None
    forecast: Forecast
    tell: Callable[[Forecast], None] | None
    epochs: list[Epoch] = field(default_factory=list)  # of the search; the refit repeats its learning rates
    best_epoch: int = 0
    best_value: float = -math.inf
    refitted: int = 0  # epochs of the refit that are done
    _restored: Checkpoint | None = None
    _best: dict[str, Tensor] = field(default_factory=dict)
    _snapshot: Checkpoint | None = None
    _saved_at: float = field(default_factory=time.monotonic)

    def execute(self, progress: bool | None) -> Model:
        inner = self.split.for_validation()
        can_validate = len(inner.targets()) > 0 and len(inner.train.positives()) > 0
        with track(f"training {self.name}", total=self.options.epochs, enabled=progress) as tick:
            try:
                if not can_validate:
                    self.best_epoch = self.options.epochs
                    return self._refit(tick)
                model = self._search(inner, tick)
                if self.split.validation is not None or not self.options.refit:
                    return model
                return self._refit(tick)
            except KeyboardInterrupt:
                self._save()
                raise

    def _search(self, inner: Split, tick: Ticker) -> Model:
        """Epochs on the inner training rows until validation stops improving; the best epoch's weights."""
        metric, k = parse_metric(self.options.metric)
        evaluator = Evaluator(inner, k)
        model, optimizer = self._start(inner.train, "search")
        stale = self._stale()
        while len(self.epochs) < self.options.epochs and stale < self.options.patience and not self.refitted:
            number = len(self.epochs) + 1
            rate = self._rate(number, halvings=self._halvings())
            began = time.perf_counter()
            loss = _one_epoch(self.name, model, optimizer, inner.train, rate, self.options, number)
            value = None
            if number % self.options.validate_every == 0 or number == self.options.epochs:
                value = self._validate(model.eval(), evaluator, metric)
                judged = self._judged([*(epoch.metric for epoch in self._validated()), value])[-1]
                nothing_yet = judged == 0 and self.best_value <= 0  # then no epoch is better than the last
                if judged > self.best_value or nothing_yet:
                    self.best_value, self.best_epoch = judged, number
                    self._best = _cloned(model.state_dict())
            self.epochs.append(Epoch(number, loss, rate, value, time.perf_counter() - began))
            stale = self._stale()
            note = f"loss {loss:.4f}  {self.options.metric} {self.best_value:.4f} at {self.best_epoch}  rate {rate:.2g}"
            tick(number, note)
            self._remember("search", model, optimizer)
        if self._best:
            model.load_state_dict(self._best)
        model.on_train_end(inner.train)
        return model

    @torch.no_grad()
    def _validate(self, model: Model, evaluator: Evaluator, metric: str) -> float:
        if evaluator.split.given is not None:  # strangers are asked, whom only a finished model folds in
            model.on_train_end(evaluator.split.train)
        return evaluator.mean(self._answered(model.scorer()), metric)

    @cached_property
    def _answered(self) -> Callable[[Scorer], Scorer]:
        """What makes of the model's scorer the one that validation rows test."""
        return scorer_wrapper(self.split.for_validation())

    def _refit(self, tick: Ticker) -> Model:
        """All training rows, for the number of epochs that was best, at the same learning rates."""
        model, optimizer = self._start(self.split.train, "refit")
        for number in range(self.refitted + 1, self.best_epoch + 1):
            rate = self.epochs[number - 1].learning_rate if self.epochs else self._rate(number, halvings=0)
            loss = _one_epoch(self.name, model, optimizer, self.split.train, rate, self.options, number)
            self.refitted = number
            tick(number * self.options.epochs / self.best_epoch, f"refit on all rows, loss {loss:.4f}")
            self._remember("refit", model, optimizer)
        model.on_train_end(self.split.train)
        return model

    def _start(self, rows: Interactions, stage: str) -> tuple[Model, Adam]:
        model = build(self.name, self.config, self.shapes, self.options, rows, self.features)
        optimizer = Adam(model.parameters(), self.options.weight_decay)
        restored = self._restored
        if restored is not None and restored.state["stage"] == stage:
            try:
                model.load_state_dict(_part(restored.tensors, "model."))
                optimizer.restore(_part(restored.tensors, "optimizer."))
            except (KeyError, ValueError, RuntimeError) as error:
                raise TrainingError(_DAMAGED) from error
        if self.tell is not None and self.forecast.seconds is None:
            self.forecast = replace(self.forecast, seconds=_most_seconds(model, rows, self.options))
            self.tell(self.forecast)
        return model, optimizer

    def _rate(self, epoch: int, *, halvings: int) -> float:
        done = (epoch - 1) / max(1, self.options.epochs - 1)
        share = self.options.final_lr_fraction + (1 - self.options.final_lr_fraction) * 0.5 * (
            1 + math.cos(math.pi * done)
        )
        return self.options.learning_rate * share * 0.5**halvings

    def _judged(self, values: Sequence[float | None]) -> list[float]:
        """What each validation counts: itself, or where strangers are asked the mean of the last ones up to it."""
        found = [value for value in values if value is not None]
        steady = _STEADY if self.split.given is not None else 1
        return [float(np.mean(found[max(0, last - steady) : last])) for last in range(1, len(found) + 1)]

    def _validated(self) -> list[Epoch]:
        return [epoch for epoch in self.epochs if epoch.metric is not None]

    def _stale(self) -> int:
        """Epochs from the best to the last that was validated."""
        validated = self._validated()
        return validated[-1].epoch - self.best_epoch if validated else 0

    def _halvings(self) -> int:
        """How often validation stalled: each `_STALLED_AFTER` validations in a row that bring nothing better."""
        halvings, since, best = 0, 0, -math.inf
        for value in self._judged([epoch.metric for epoch in self._validated()]):
            since = 0 if value > best else since + 1
            best = max(best, value)
            if since == _STALLED_AFTER:
                halvings, since = halvings + 1, 0
        return halvings

    def _remember(self, stage: str, model: Model, optimizer: Adam) -> None:
        """Keep this epoch's end in memory, and on disk every few seconds."""
        if self.checkpoint is None:
            return
        tensors = {
            **{f"model.{key}": value for key, value in _cloned(model.state_dict()).items()},
            **{f"optimizer.{key}": value for key, value in _cloned(optimizer.tensors()).items()},
            **({f"best.{key}": value for key, value in self._best.items()} if stage == "search" else {}),
        }
        state = {
            "stage": stage,
            "run": self._identity,
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "best_epoch": self.best_epoch,
            "best_value": self.best_value,
            "refitted": self.refitted,
        }
        self._snapshot = Checkpoint(tensors, state)
        if time.monotonic() - self._saved_at > _CHECKPOINT_EVERY:
            self._save()

    def _save(self) -> None:
        if self.checkpoint is not None and self._snapshot is not None:
            save_checkpoint(self.checkpoint, self._snapshot)
            self._saved_at = time.monotonic()

    @cached_property
    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must agree with; made once, as it reads every row."""
        return {
            "model": self.name,
            "config": configs.to_mapping(self.config),
            "options": configs.to_mapping(self.options),
            "protocol": self.split.protocol,
            "version": version("tastespace"),
            "data": self.split.fingerprint(),
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of the very same run; any other raises `OptionError`."""
        try:
            differing = [key for key, value in self._identity.items() if checkpoint.state["run"][key] != value]
            if differing:
                raise OptionError(
                    f"the checkpoint belongs to another run (its {', '.join(differing)} differ); "
                    "resume with the same data and options, or train anew without --resume"
                )
            self.epochs = [Epoch(**epoch) for epoch in checkpoint.state["epochs"]]
            self.best_epoch = int(checkpoint.state["best_epoch"])
            self.best_value = float(checkpoint.state["best_value"])
            self.refitted = int(checkpoint.state["refitted"])
        except (KeyError, TypeError, ValueError) as error:
            raise TrainingError(_DAMAGED) from error
        self._best = _part(checkpoint.tensors, "best.")
        self._restored = checkpoint


def _one_epoch(
    name: str,
    model: Model,
    optimizer: Adam,
    rows: Interactions,
    rate: float,
    options: Options,
    number: int,
) -> float:
    """One pass over the rows; the mean loss of its batches. Randomness depends on seed and epoch alone."""
    rng = np.random.default_rng([options.seed, number])
    torch.manual_seed(int(rng.integers(2**62)))
    model.train()
    losses = []
    for place, batch in enumerate(model.batches(rows, rng, options.batch_size), 1):
        loss = model.loss(batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss of {name} became {value} in epoch {number}, batch {place}, at learning rate {rate:g}; "
                "try a learning rate ten times lower (--set learning_rate=...)"
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(rate)
        losses.append(value)
    return float(np.mean(losses)) if losses else 0.0


def _check_memory(
    cls: type[Model], name: str, config: Any, shapes: Shapes, rows: Interactions, batch_size: int
) -> Forecast:
    """What the run needs, or `MemoryLimitError` where that is more than the machine has free."""
    needed = cls.memory_bytes(config, shapes, len(rows), batch_size)
    free = free_memory()
    if free is not None and needed > free:
        raise MemoryLimitError(
            f"{name} on {shapes.n_users:,} users x {shapes.n_items:,} items would need about "
            f"{needed / 2**30:,.1f} GiB, but {free / 2**30:,.1f} GiB are free; choose a smaller model or less data"
        )
    with shapes_only():
        parameters = sum(parameter.numel() for parameter in cls(config, shapes).parameters())
    return Forecast(parameters, needed, None)


def _most_seconds(model: Model, rows: Interactions, options: Options) -> float:
    """An upper bound on training time, from one batch that changes no weight."""
    batch = next(iter(model.batches(rows, np.random.default_rng(options.seed), options.batch_size)), None)
    if batch is None:
        return 0.0
    began = time.perf_counter()
    model.loss(batch).backward()
    model.zero_grad()
    batches = math.ceil(len(rows.positives()) / options.batch_size)
    return (time.perf_counter() - began) * batches * options.epochs * (2 if options.refit else 1)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _cloned(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in tensors.items()}


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
