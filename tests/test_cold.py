"""People alike: who counts, and for how much."""

import numpy as np
import pytest
import scipy.sparse as sp

from tastespace import cold
from tastespace.cold import People, unit
from tastespace.data.histories import Histories


@pytest.fixture
def people() -> People:
    """Ten people of two kinds (even ones like item 0, odd ones item 1, all item 2), and one who liked nothing."""
    features = np.array([[1, 0] if user % 2 == 0 else [0, 1] for user in range(11)], dtype=np.float32)
    lists = [[user % 2, 2] for user in range(10)] + [[0]]
    weights = [[1.0, 3.0]] * 10 + [[-1.0]]
    return People.of(sp.csr_matrix(features), Histories.of(lists, weights), 3)


def test_all_count_where_they_are_few(people: People) -> None:
    asked = np.array([[1, 0]], dtype=np.float32)
    assert people.likes_of_the_nearest(asked).tolist() == [5, 5, 10]


def test_the_nearest_count_and_those_as_near_as_the_last_share(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = np.array([[1, 0]], dtype=np.float32)
    monkeypatch.setattr(cold, "LIKE_THEM", 5)
    assert people.likes_of_the_nearest(asked).tolist() == [5, 0, 5]
    monkeypatch.setattr(cold, "LIKE_THEM", 2)
    np.testing.assert_allclose(people.likes_of_the_nearest(asked), [2, 0, 2])
    monkeypatch.setattr(cold, "LIKE_THEM", 7)
    np.testing.assert_allclose(people.likes_of_the_nearest(asked), [5, 2, 7])


def test_rows_have_length_one_and_zeros_stay() -> None:
    found = unit(sp.csr_matrix(np.array([[3, 4], [0, 0]], dtype=np.float32))).toarray()
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0]], rtol=1e-6)
