"""Contributions: the terms that the score of an item for one query is the sum of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Contributions:
    """Terms of one score.

    `history` (T,): one term for each item of the history; `features`: one for each given attribute, by name; `user`:
    the rest that the model learnt of the user; `baseline`: the part that is equal for every user.
    """

    history: NDArray[np.float64]
    features: Mapping[str, float] = field(default_factory=dict)
    user: float = 0.0
    baseline: float = 0.0

    @property
    def total(self) -> float:
        """The score."""
        return float(self.history.sum()) + sum(self.features.values()) + self.user + self.baseline


def weighted_mean(contributions: Sequence[Contributions], weights: Sequence[float]) -> Contributions:
    """Return the contributions to a weighted mean of scores for one query."""
    pairs = list(zip(weights, contributions, strict=True))
    names = dict.fromkeys(name for terms in contributions for name in terms.features)
    return Contributions(
        np.sum([weight * terms.history for weight, terms in pairs], axis=0),
        {name: sum(weight * terms.features.get(name, 0.0) for weight, terms in pairs) for name in names},
        sum(weight * terms.user for weight, terms in pairs),
        sum(weight * terms.baseline for weight, terms in pairs),
    )
