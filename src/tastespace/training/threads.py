"""Threads of a training run."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tastespace.training.forecast import Forecast


@contextmanager
def threads_for(requested: int, forecast: Forecast) -> Iterator[None]:
    """Set the number of torch threads for the training of a model.

    Steps of a small model are too short to share: on two idle cores a second thread brings nothing (MovieLens 100K,
    `mf`: 2.6 s with one, 2.8 s with two), and on busy ones the two wait for each other (4.9 s against 14 to 120 s).
    """
    before = torch.get_num_threads()
    torch.set_num_threads(requested or (before if forecast.shares_threads else 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)
