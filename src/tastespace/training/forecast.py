"""Forecast of a training run: trained parameters, memory, and an upper bound on its seconds."""

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tastespace.data.interactions import Interactions
from tastespace.errors import MemoryLimitError
from tastespace.models.base import Model, Options, Shapes
from tastespace.models.parts.meta_device import shapes_only
from tastespace.training.memory import free_memory

_SMALL_MODEL = 1_000_000  # trained parameters
_SMALL_CLOSED_FORM = 3e11  # operations: a few seconds
_MARGIN = 2.0  # how much slower than a plain product a closed form may be


@dataclass(frozen=True)
class Forecast:
    """Resources that a run will need. `seconds` is an upper bound, None where it is unknown."""

    parameters: int
    memory_bytes: int
    seconds: float | None
    operations: float = 0.0  # of a closed form, floating-point

    @property
    def shares_threads(self) -> bool:
        """Whether its steps are long enough for several threads to share."""
        return self.parameters >= _SMALL_MODEL or self.operations >= _SMALL_CLOSED_FORM

    def __str__(self) -> str:
        duration = "" if self.seconds is None else f", at most {_duration(self.seconds)}"
        return f"{self.parameters:,} parameters, about {self.memory_bytes / 2**20:,.0f} MiB{duration}"


def forecast_run(
    cls: type[Model], name: str, config: Any, shapes: Shapes, rows: Interactions, batch_size: int
) -> Forecast:
    """Forecast parameters and memory of a run, and the seconds of a closed form that may take some.

    Raises `MemoryLimitError` where the machine has less memory free.
    """
    needed = cls.memory_bytes(config, shapes, len(rows), batch_size)
    free = free_memory()
    if free is not None and needed > free:
        raise MemoryLimitError(
            f"{name} on {shapes.n_users:,} users x {shapes.n_items:,} items would need about "
            f"{needed / 2**30:,.1f} GiB, but {free / 2**30:,.1f} GiB are free; choose a smaller model or less data"
        )
    with shapes_only():
        parameters = sum(parameter.numel() for parameter in cls(config, shapes).parameters())
    operations = cls.operations(config, shapes, len(rows))
    seconds = None
    if operations >= _SMALL_CLOSED_FORM:
        seconds = _MARGIN * operations / _operations_per_second()
    return Forecast(parameters, needed, seconds, operations)


def _operations_per_second() -> float:
    """Floating-point operations that a product of matrices in single precision does in a second, here and now."""
    matrix = torch.ones(2048, 2048)
    torch.mm(matrix[:256, :256], matrix[:256, :256])
    started = time.perf_counter()
    torch.mm(matrix, matrix)
    return float(2 * len(matrix) ** 3 / (time.perf_counter() - started))


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
