"""Recency: newer rows of a history weigh more than older ones.

What comes next depends on what was used last. Each row weighs `recency` times as much as the one after it, in place of
the equal weights of a set; under protocols that test the newest rows this is worth more than most choices of a model
(`equal rows` in benchmarks/defaults.py). The order of a history is all that it needs.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tastespace.config import option
from tastespace.data.histories import Histories

RECENCIES = (0.2, 0.35, 0.5, 0.7, 0.9, 1.0)
"""Values that are tried on validation rows."""
_LEAST = 1e-6  # weight of a row relative to the newest one; no positive of a long history vanishes


def recency_option() -> Any:
    """Return the field of a model's config."""
    return option(
        "auto",
        "weight of each row of a history relative to the next newer one, at prediction; 1: all equal",
        usual=(0.2, 1),
        above=0,
        at_most=1,
    )


def recency_factors(history: Histories, recency: float) -> NDArray[np.float32]:
    """(total,) factor of each row's weight; their mean over each list is 1."""
    lengths = history.lengths
    factors = np.maximum(float(recency) ** history.from_end, _LEAST)
    totals = np.bincount(history.rows, factors, minlength=len(history))
    return (factors * np.repeat(lengths / np.maximum(totals, 1e-12), lengths)).astype(np.float32)


def weighted_by_recency(history: Histories, recency: float) -> Histories:
    """The lists with their weights multiplied by `recency_factors`."""
    if recency == 1:
        return history
    return replace(history, weights=history.weights * recency_factors(history, recency))
