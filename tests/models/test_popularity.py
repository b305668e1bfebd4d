"""Popularity against counts by hand."""

import numpy as np
import pytest

import tastespace as ts
from tastespace.data.dataset import Dataset
from tastespace.data.interactions import Interactions
from tastespace.data.split import whole
from tastespace.errors import DataError
from tests.models.small import matrix, scores, small


def test_popularity_counts_likes() -> None:
    data = small()
    assert np.array_equal(scores("popularity", data)[3], matrix(data).sum(axis=0))


def test_a_window_counts_the_last_days_only() -> None:
    data = small()
    log = data.interactions
    recent = np.bincount(log.item[-3:], minlength=log.n_items)
    assert np.array_equal(scores("popularity", data, days=3.0)[0], recent)


def test_a_window_needs_times() -> None:
    log = small().interactions
    timeless = Interactions.of(log.user, log.item, log.users, log.items)
    with pytest.raises(DataError, match="needs a log with times"):
        ts.train("popularity", whole(Dataset("timeless", timeless)), days=3.0)
