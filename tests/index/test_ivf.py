"""Inverted lists of vectors: the number of lists that a search scans."""

import numpy as np

from tastespace.index import InvertedIndex
from tastespace.index.ivf import is_number
from tests.index.planted import planted


def test_widening_doubles_the_lists_up_to_all_of_them() -> None:
    index = InvertedIndex.build(planted(2000), n_clusters=4, nprobe=5)
    assert (index.settings.n_lists, index.settings.nprobe) == (12, 5)
    assert (index.widen(), index.nprobe) == (True, 10)
    assert (index.widen(), index.nprobe) == (True, 12)
    assert (index.widen(), index.nprobe) == (False, 12)


def test_a_search_of_all_lists_is_exact() -> None:
    vectors, queries = planted(2000), planted(5, seed=1)
    index = InvertedIndex.build(vectors, n_clusters=4, nprobe=100)
    assert index.nprobe == index.n_lists
    scores = queries @ vectors.T
    np.testing.assert_array_equal(index.search(queries, 3).indices, np.argsort(-scores, axis=1)[:, :3])


def test_a_number_is_one_int64_in_range() -> None:
    assert is_number(np.array([3]), 3)
    for table in (None, np.array([0]), np.array([4]), np.array([1, 2]), np.array([1.0]), np.array(1)):
        assert not is_number(table, 3)
