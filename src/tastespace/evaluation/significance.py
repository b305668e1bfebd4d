"""Intervals and paired tests over users."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from tastespace.errors import OptionError

_RESAMPLES = 2000
_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True)
class Test:
    """A paired test of models `a` and `b` on one metric; `p_corrected` holds for all tests of a comparison."""

    a: str
    b: str
    metric: str
    difference: float  # mean of a minus mean of b
    p: float
    p_corrected: float


def bootstrap(values: NDArray[np.float64], *, seed: int = 0) -> Estimate:
    """Mean over users with its 95 % percentile-bootstrap interval (2,000 resamples of users)."""
    n = len(values)
    rng = np.random.default_rng(seed)
    at_once = max(1, _CELLS_AT_ONCE // n)
    means = np.concatenate(
        [
            values[rng.integers(0, n, (min(at_once, _RESAMPLES - start), n))].mean(axis=1)
            for start in range(0, _RESAMPLES, at_once)
        ]
    )
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(float(values.mean()), float(low), float(high))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm 1979); each at least as large as before, order kept.

    >>> [round(p, 4) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def wilcoxon(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Two-sided p of the Wilcoxon signed-rank test over users; 1 where the two never differ."""
    from scipy.stats import wilcoxon as signed_rank

    differences = a - b
    if not np.any(differences):
        return 1.0
    return float(signed_rank(differences, zero_method="wilcox", method="approx").pvalue)


def compare_pairs(per_user: Mapping[str, NDArray[np.float64]], metric: str) -> list[Test]:
    """Every pair of models on the same users, Holm-corrected; `per_user` maps a model to its values."""
    if len({len(values) for values in per_user.values()}) > 1:
        raise OptionError("models can only be compared on the same users")
    pairs = list(combinations(per_user, 2))
    p_values = [wilcoxon(per_user[a], per_user[b]) for a, b in pairs]
    return [
        Test(a, b, metric, float((per_user[a] - per_user[b]).mean()), p, corrected)
        for (a, b), p, corrected in zip(pairs, p_values, holm(p_values), strict=True)
    ]
