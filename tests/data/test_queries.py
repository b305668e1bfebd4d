import numpy as np
import pytest

from tastespace.data.histories import Histories
from tastespace.data.queries import Queries
from tastespace.errors import DataError

HISTORIES = Histories.of([[0, 1], [], [2]])


def test_known_users_bring_their_own_histories() -> None:
    queries = Queries.of_users(np.array([2, 0]), HISTORIES)
    assert queries.users.tolist() == [2, 0]
    assert queries.history.items.tolist() == [2, 0, 1]


def test_bare_histories_have_no_user_row() -> None:
    queries = Queries.of_histories(HISTORIES)
    assert queries.users.tolist() == [-1, -1, -1]
    assert len(queries) == 3


@pytest.mark.parametrize("rows", [[], [1], [2, 0]])
def test_take_keeps_users_histories_and_features_together(rows: list[int]) -> None:
    features = np.arange(6, dtype=np.float32).reshape(3, 2)
    taken = Queries(np.arange(3), HISTORIES, features).take(np.array(rows, dtype=np.int64))
    assert taken.users.tolist() == rows
    assert taken.history.lengths.tolist() == [[2, 0, 1][row] for row in rows]
    assert taken.features is not None
    assert taken.features.tolist() == features[rows].tolist()


def test_other_numbers_of_users_and_histories_are_refused() -> None:
    with pytest.raises(DataError, match="2 users, but 3 histories in one batch of queries"):
        Queries(np.arange(2), HISTORIES)


def test_other_numbers_of_users_and_features_are_refused() -> None:
    with pytest.raises(DataError, match="3 users, but 1 feature rows in one batch"):
        Queries(np.arange(3), HISTORIES, np.zeros((1, 2), np.float32))
