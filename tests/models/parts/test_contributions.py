"""Contributions add up to a score."""

import numpy as np
import pytest

from tastespace.models.parts.contributions import Contributions, weighted_mean


def test_the_total_is_the_sum_of_all_terms() -> None:
    assert Contributions(np.array([0.5, -1.0]), {"age": 0.25, "job": 0.5}, user=2.0, baseline=-0.75).total == 1.5


def test_an_empty_history_has_the_baseline_alone() -> None:
    assert Contributions(np.zeros(0), baseline=3.0).total == 3.0


def test_a_weighted_mean_weighs_every_term() -> None:
    first = Contributions(np.array([1.0, 2.0]), {"age": 4.0}, user=8.0, baseline=1.0)
    second = Contributions(np.array([3.0, 0.0]), {"job": 2.0}, user=0.0, baseline=5.0)
    mean = weighted_mean([first, second], [0.25, 0.75])
    assert mean.history.tolist() == [2.5, 0.5]
    assert mean.features == {"age": 1.0, "job": 1.5}
    assert (mean.user, mean.baseline) == (2.0, 4.0)
    assert mean.total == pytest.approx(0.25 * first.total + 0.75 * second.total)
