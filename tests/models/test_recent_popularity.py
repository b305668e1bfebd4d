"""Recent popularity against counts by hand."""

import numpy as np
import pytest

import tastespace as ts
from tastespace.data.dataset import Dataset
from tastespace.data.interactions import Interactions
from tastespace.data.split import whole
from tastespace.errors import DataError
from tests.models.small import scores, small


def test_recent_popularity_counts_recent_likes_then_all() -> None:
    data = small()
    log = data.interactions
    recent, ever = (np.bincount(items, minlength=log.n_items) for items in (log.item[-3:], log.item))
    counts = scores("recent_popularity", data, days=3.0)[5]
    assert np.array_equal(np.floor(counts), recent)
    assert np.array_equal(np.argsort(-counts, kind="stable"), np.lexsort((np.arange(len(ever)), -ever, -recent)))


def test_a_window_of_the_whole_log_is_popularity() -> None:
    data = small()
    assert np.array_equal(np.floor(scores("recent_popularity", data, days=1e6)), scores("popularity", data))


def test_recent_popularity_of_a_log_without_times_is_refused() -> None:
    log = small().interactions
    timeless = Interactions.of(log.user, log.item, log.users, log.items)
    with pytest.raises(DataError, match="needs a log with times"):
        ts.train("recent_popularity", whole(Dataset("timeless", timeless)))
