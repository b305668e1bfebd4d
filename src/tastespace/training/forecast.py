"""Forecast of a training run: trained parameters, memory, and an upper bound on its seconds."""

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from tastespace.data.interactions import Interactions
from tastespace.errors import MemoryLimitError
from tastespace.models.base import Model, Options, Shapes
from tastespace.models.parts.meta_device import shapes_only
from tastespace.training.memory import free_memory


@dataclass(frozen=True)
class Forecast:
    """Resources that a run will need. `seconds` is an upper bound, None where it is unknown."""

    parameters: int
    memory_bytes: int
    seconds: float | None

    def __str__(self) -> str:
        duration = "" if self.seconds is None else f", at most {_duration(self.seconds)}"
        return f"{self.parameters:,} parameters, about {self.memory_bytes / 2**20:,.0f} MiB{duration}"


def forecast_memory(
    cls: type[Model], name: str, config: Any, shapes: Shapes, rows: Interactions, batch_size: int
) -> Forecast:
    """Forecast parameters and memory of a run; raise `MemoryLimitError` where the machine has less memory free."""
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


def longest_seconds(model: Model, rows: Interactions, options: Options) -> float:
    """Upper bound on the training time, extrapolated from one batch that changes no weight."""
    batch = next(iter(model.batches(rows, np.random.default_rng(options.seed), options.batch_size)), None)
    if batch is None:
        return 0.0
    started = time.perf_counter()
    model.loss(batch).backward()
    model.zero_grad()
    batches = math.ceil(len(rows.positives()) / options.batch_size)
    return (time.perf_counter() - started) * batches * options.epochs * (2 if options.refit else 1)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
