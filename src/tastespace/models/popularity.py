"""Popularity: what most people like, for everybody. The floor of every comparison."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tastespace.config import check, option
from tastespace.data.interactions import Interactions
from tastespace.data.queries import Queries
from tastespace.errors import DataError
from tastespace.models.base import Model, Shapes

_DAY = 86_400.0  # seconds


@dataclass(frozen=True)
class PopularityConfig:
    """Counts over all time, or over a recent window."""

    days: float | None = option(None, "count only the last so many days of the log", usual=(1, 365), above=0)

    def __post_init__(self) -> None:
        check(self)


class Popularity(Model):
    """Score of an item: the number of its likes."""

    about = "most liked items, all time or of the last days; the floor of every comparison"
    Config = PopularityConfig
    counts: Tensor

    def __init__(self, config: PopularityConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        self.register_buffer("counts", torch.zeros(shapes.n_items))  # (N,)

    def prepare(self, train: Interactions) -> None:
        """Count likes; the window ends with the log's last row."""
        liked = train.positives()
        if self.config.days is not None:
            if liked.time is None:
                raise DataError("popularity of recent days needs a log with times; leave `days` unset")
            liked = liked.take(liked.time > liked.time.max(initial=0.0) - self.config.days * _DAY)
        counts = np.bincount(liked.item, minlength=train.n_items).astype(np.float32)
        self.counts = torch.from_numpy(counts)

    def score(self, queries: Queries) -> Tensor:
        """(B, N) the same counts for every query."""
        return self.counts.expand(len(queries), -1).clone()


MODEL = Popularity
