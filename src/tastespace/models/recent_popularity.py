"""Recent popularity: the most liked items of the last days. The baseline of every log with timestamps."""

from dataclasses import dataclass

import torch

from tastespace.config import check, option
from tastespace.data.interactions import Interactions
from tastespace.models.base import Model
from tastespace.models.popularity import Popularity, count_likes


@dataclass(frozen=True)
class RecentPopularityConfig:
    """Length of the window."""

    days: float = option(30.0, "window in days before the end of the log", usual=(1, 365), above=0)

    def __post_init__(self) -> None:
        check(self)


class RecentPopularity(Popularity):
    """Score of an item: its likes of the last days; ties in the order of all-time likes."""

    about = "most liked items of the last days"
    pick = "the baseline where popularity changes with time"
    Config = RecentPopularityConfig

    def prepare(self, train: Interactions) -> None:
        """Count likes; the window ends with the log's last like."""
        recent, ever = count_likes(train, self.config.days), count_likes(train)
        self.counts = torch.from_numpy(recent + 0.5 * ever / max(1.0, float(ever.max(initial=0.0))))


MODEL: type[Model] = RecentPopularity
