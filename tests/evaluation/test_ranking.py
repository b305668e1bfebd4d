import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from tastespace.data.histories import Histories
from tastespace.data.queries import Queries
from tastespace.errors import OptionError, TrainingError
from tastespace.evaluation import ranking
from tastespace.evaluation.ranking import rank, top_k
from tests.build import examples

modest = settings(max_examples=examples(80))
_score = st.sampled_from([-float("inf"), -1.0, -0.0, 0.0, 0.0, 0.5, 2.0, float("inf")])


@modest
@given(st.integers(1, 5), st.integers(1, 12), st.integers(1, 15), st.data())
def test_top_k_is_a_stable_sort_that_drops_minus_infinity(b: int, n: int, k: int, data: st.DataObject) -> None:
    cells = data.draw(st.lists(_score, min_size=b * n, max_size=b * n))
    scores = np.array(cells, dtype=np.float32).reshape(b, n)
    values, columns = top_k(torch.from_numpy(scores.copy()), k)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(scores, order, axis=1)
    np.testing.assert_array_equal(values.numpy(), best)
    np.testing.assert_array_equal(columns.numpy(), np.where(best == -np.inf, -1, order))


@modest
@given(st.integers(1, 4), st.integers(1, 90), st.integers(1, 4), st.integers(0, 2**31 - 1))
def test_strips_of_long_rows_change_nothing(b: int, n: int, k: int, seed: int) -> None:
    scores = np.random.default_rng(seed).integers(-4, 3, (b, n)).astype(np.float32)
    scores[scores == -4] = -np.inf
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "_SHORTEST", 2)
        short = top_k(torch.from_numpy(scores), k)
        patch.setattr(ranking, "_SHORTEST", n + 1)
        whole = top_k(torch.from_numpy(scores), k)
    for one, other in zip(short, whole, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("n", [100, 3000])
def test_a_tie_across_the_cut_goes_to_the_lower_columns(n: int) -> None:
    scores = torch.zeros(2, n)
    scores[1, n - 1] = 1
    assert top_k(scores, 5)[1].tolist() == [[0, 1, 2, 3, 4], [n - 1, 0, 1, 2, 3]]


def test_more_than_there_are_gives_all() -> None:
    values, columns = top_k(torch.tensor([[1.0, 3.0, -torch.inf]]), 9)
    assert values.tolist() == [[3, 1, -torch.inf]]
    assert columns.tolist() == [[1, 0, -1]]


@pytest.mark.parametrize("k", [1, 3, 9])
def test_a_score_that_is_no_number_is_an_error(k: int) -> None:
    scores = torch.tensor([[1.0, 2.0, 3.0, 4.0], [4.0, 3.0, torch.nan, 1.0]])
    with pytest.raises(TrainingError, match="a model scored some item NaN: its vectors are not finite"):
        top_k(scores, k)


TABLE = torch.from_numpy(np.random.default_rng(0).integers(0, 4, (9, 7)).astype(np.float32))


def _by_row(queries: Queries) -> Tensor:
    return TABLE[torch.from_numpy(queries.users)].clone()


def _nothing(n: int) -> Histories:
    return Histories.of([[]] * n)


def _asked(users: NDArray[np.int64]) -> Queries:
    return Queries.of_users(users, _nothing(9))


@pytest.mark.parametrize("k", [1, 3, 7, 10])
def test_rank_is_the_users_own_best_unhidden_items(k: int) -> None:
    hidden = Histories.of([[item for item in range(user) if item < 7] for user in range(9)])  # users 7, 8: everything
    users = np.array([8, 2, 0, 5])
    found = rank(_by_row, _asked(users), hidden.take(users), n_items=7, k=k)
    expected = []
    for user in users:
        best = sorted(range(min(user, 7), 7), key=lambda item: (-float(TABLE[user, item]), item))
        expected.append((best + [-1] * k)[:k])
    assert found.tolist() == expected


def test_a_scorer_is_given_each_users_own_history() -> None:
    histories = Histories.of([[1, 2], [], [0]])
    asked = []

    def score(queries: Queries) -> Tensor:
        asked.append((queries.users.tolist(), queries.history.items.tolist(), queries.history.lengths.tolist()))
        return torch.zeros(len(queries), 3)

    rank(score, Queries.of_users(np.array([2, 0]), histories), _nothing(2), n_items=3, k=1)
    assert asked == [([2, 0], [0, 1, 2], [1, 2])]


@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_chunks_of_users_equal_one_chunk(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = Histories.of([[user % 7, 3] for user in range(9)])
    whole = rank(_by_row, _asked(np.arange(9)), hidden, n_items=7, k=3)
    monkeypatch.setattr(ranking, "_CHUNK_BYTES", at_once * 4 * 7)
    done: list[float] = []
    parts = rank(_by_row, _asked(np.arange(9)), hidden, n_items=7, k=3, tick=done.append)
    assert parts.tolist() == whole.tolist()
    assert done == [min(9, start + at_once) for start in range(0, 9, at_once)]


def test_an_item_larger_than_a_chunk_still_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "_CHUNK_BYTES", 1)
    assert rank(_by_row, _asked(np.arange(2)), _nothing(2), n_items=7, k=2).shape == (2, 2)


def test_nobody_to_rank_for_gives_no_list() -> None:
    found = rank(_by_row, _asked(np.array([], dtype=np.int64)), _nothing(0), n_items=7, k=2)
    assert found.shape == (0, 2)


def test_a_list_of_no_items_is_refused() -> None:
    with pytest.raises(OptionError, match="k is 0, but at least 1 is expected"):
        rank(_by_row, _asked(np.arange(2)), _nothing(2), n_items=7, k=0)
