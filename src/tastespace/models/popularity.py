"""Popularity: the most liked items, equal for every user. The baseline that every model must beat."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tastespace.config import check, option
from tastespace.data.interactions import Interactions
from tastespace.data.queries import Queries
from tastespace.errors import DataError
from tastespace.models.base import Model, Shapes
from tastespace.models.parts.contributions import Contributions

_DAY = 86_400.0  # seconds


@dataclass(frozen=True)
class PopularityConfig:
    """Counts over all time, or over a recent window."""

    days: float | None = option(
        None, "window in days before the end of the log; none: all time", usual=(1, 365), above=0
    )

    def __post_init__(self) -> None:
        check(self)


class Popularity(Model):
    """Score of an item: the number of its likes."""

    about = "most liked items, all time or of the last days"
    pick = "the baseline that every model must beat"
    Config: ClassVar[type[Any]] = PopularityConfig
    counts: Tensor

    def __init__(self, config: Any, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        self.register_buffer("counts", torch.zeros(shapes.n_items))  # (N,)

    def prepare(self, train: Interactions) -> None:
        """Count likes; the window ends with the log's last row."""
        self.counts = torch.from_numpy(count_likes(train, self.config.days))

    def score(self, queries: Queries) -> Tensor:
        """(B, N) counts, equal for every query."""
        return self.counts.expand(len(queries), -1).clone()

    def contributions(self, query: Queries, item: int) -> Contributions:
        """The count, as the baseline of every user."""
        return Contributions(np.zeros(len(query.history.items)), baseline=float(self.counts[item]))


def count_likes(train: Interactions, days: float | None = None) -> NDArray[np.float32]:
    """(N,) likes of each item; with `days`, those of the last `days` days before the log's last positive."""
    liked = train.positives()
    if days is not None:
        if liked.time is None:
            raise DataError("popularity of recent days needs a log with times, and this one has none")
        liked = liked.take(liked.time > liked.time.max(initial=0.0) - days * _DAY)
    return np.bincount(liked.item, minlength=train.n_items).astype(np.float32)


MODEL = Popularity
