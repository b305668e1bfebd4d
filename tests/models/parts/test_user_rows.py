"""A user's row answers for the history that it was trained on."""

import numpy as np
import torch

import tastespace as ts
from tastespace.data.dataset import Dataset
from tastespace.data.histories import Histories
from tastespace.data.queries import Queries
from tastespace.data.split import whole
from tastespace.models.parts.user_rows import UserRows


def test_a_user_with_newer_events_is_folded_in(board: Dataset) -> None:
    fit = ts.train("mf", whole(board), dim=8, epochs=5, recency=1.0)
    queries = fit.queries(np.array([4, 4]))
    extended = Histories.of([queries.history.items[: queries.history.offsets[1]].tolist()] * 2)
    longer = Histories.of([extended.items[: extended.offsets[1]].tolist(), [*extended.items[: extended.offsets[1]], 1]])
    queries = Queries(np.array([4, 4]), longer)
    assert fit.model.user_rows.answers(queries, 1.0).tolist() == [True, False]
    with torch.no_grad():
        rows = fit.model.encode_queries(queries)
        folded = fit.model.encode_queries(Queries.of_histories(longer))
    assert not torch.allclose(rows[0], folded[0])
    torch.testing.assert_close(rows[1][:-1], folded[1][:-1])
    assert rows[1][-1] == 1 < folded[1][-1]  # popularity counts more for a new user


def test_rows_without_positives_and_new_users_are_folded_in() -> None:
    rows = UserRows(n_users=3, n_items=4, dim=2)
    rows.prepare(np.array([2, 0, 1]))
    histories = Histories.of([[0, 1], [], [2], [0, 1]], [[1.0, 1.0], [], [1.0], [1.0, 1.0]])
    assert rows.answers(Queries(np.array([0, 1, 2, -1]), histories), 1.0).tolist() == [True, False, True, False]
    assert not rows.answers(Queries(np.array([0, 1, 2, -1]), histories), 0.9).any()  # a row knows no order


def test_neutral_and_disliked_rows_are_not_counted() -> None:
    rows = UserRows(n_users=1, n_items=4, dim=2)
    rows.prepare(np.array([1]))
    histories = Histories.of([[0, 1, 2], [0, 1]], [[1.0, 0.0, -1.0], [1.0, 1.0]])
    assert rows.answers(Queries(np.array([0, 0]), histories), 1.0).tolist() == [True, False]


def test_state_is_saved_with_the_weights() -> None:
    rows = UserRows(n_users=2, n_items=3, dim=2)
    assert {name: tuple(tensor.shape) for name, tensor in rows.state_dict().items()} == {
        "n_positives": (2,),
        "fold": (3, 2),
    }
