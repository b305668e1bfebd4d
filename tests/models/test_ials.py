"""Alternating least squares: each half is an exact minimiser of what the docstring states."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tastespace as ts
from tastespace.data.histories import Histories
from tastespace.data.queries import Queries
from tastespace.data.split import whole
from tastespace.errors import OptionError, TrainingError
from tastespace.models import ials
from tastespace.models.base import Shapes
from tastespace.models.ials import IALS, IALSConfig
from tests.build import dataset

ROWS = [(0, 0), (0, 1), (0, 2, -1), (1, 1), (1, 3), (2, 0), (2, 3), (2, 4, 0), (3, 2), (3, 5, -2), (4, 5, 3)]
LIKED = [(*row, 1) if len(row) == 2 else row for row in ROWS]


def made(**settings: float) -> IALS:
    torch.manual_seed(0)
    model = IALS(IALSConfig(dim=3, **settings), Shapes(6, 6))  # type: ignore[arg-type]
    model.prepare(dataset(LIKED, n_users=6, n_items=6).interactions)
    return model


def slow_solve(weights: np.ndarray, others: np.ndarray, c: IALSConfig) -> np.ndarray:
    """One list's exact solution, cell after cell; `weights` (M,) signed, 0 for what is not in it."""
    matrix, wanted = np.zeros((c.dim, c.dim)), np.zeros(c.dim)
    for weight, vector in zip(weights, others, strict=True):
        certain = c.unobserved_weight + (weight if weight > 0 else -c.disliked_weight * weight)
        matrix += certain * np.outer(vector, vector)
        wanted += max(weight, 0) * vector
    penalty = c.l2 * (np.maximum(weights, 0).sum() + c.unobserved_weight * len(weights)) ** c.l2_exponent
    return np.linalg.solve(matrix + penalty * np.eye(c.dim), wanted)


@pytest.mark.parametrize(
    "settings", [{}, {"disliked_weight": 0.7}, {"l2_exponent": 0.0}, {"unobserved_weight": 0.9, "l2": 0.5}]
)
def test_a_side_is_solved_exactly(settings: dict[str, float]) -> None:
    model = made(**settings)
    lists = dataset(LIKED, n_users=6, n_items=6).interactions.histories()
    if "disliked_weight" not in settings:
        lists = lists.positives()
    actual = model.solve(lists, model.items).numpy()
    for user, weights in enumerate(lists.matrix(6).toarray()):
        expected = slow_solve(weights, model.items.numpy().astype(np.float64), model.config)
        np.testing.assert_allclose(actual[user], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("n_items", "largest"), [(900, 64), (4_000, 128), (12_000, 256), (100_000, 512), (1_000_000, 128)]
)
def test_larger_catalogues_have_more_dimensions_as_long_as_tables_are_affordable(n_items: int, largest: int) -> None:
    dims = IALS.ranges(Shapes(50_000, n_items))["dim"]
    assert dims.start == max(dims.values) == largest


@pytest.mark.parametrize("disliked", [0.0, 0.7])
def test_lists_shorter_than_the_dimension_are_solved_as_exactly(disliked: float) -> None:
    torch.manual_seed(0)
    config = IALSConfig(dim=24, disliked_weight=disliked, unobserved_weight=0.1, l2=0.3)
    model, items = IALS(config, Shapes(6, 40)), torch.randn(40, 24)
    model.has_dislikes = torch.tensor(True)
    rng = np.random.default_rng(0)
    lengths = [1, 3, 12, 13, 40, 0]  # up to half of the dimension by the cells of the list, beyond by its coordinates
    weights = np.zeros((6, 40))
    for row, length in enumerate(lengths):
        drawn = rng.choice([-1.0, 0.5, 1.0, 3.0], size=length) if disliked else rng.choice([0.5, 1.0, 3.0], size=length)
        weights[row, rng.permutation(40)[:length]] = drawn
    cells = [(row, int(item), float(weights[row, item])) for row, item in zip(*np.nonzero(weights), strict=True)]
    lists = dataset(cells, n_users=6, n_items=40).interactions.histories()
    expected = [slow_solve(row, items.numpy().astype(np.float64), config) for row in weights]
    np.testing.assert_allclose(model.solve(lists, items).numpy(), expected, rtol=1e-3, atol=1e-5)


def cost(model: IALS, users: np.ndarray, likes: np.ndarray) -> float:
    """What both halves of a sweep minimise, with penalties scaled by frequency (Rendle et al. 2022)."""
    c, items = model.config, model.items.numpy().astype(np.float64)
    scores = users @ items.T
    actual = (likes * ((1 - scores) ** 2)).sum() + c.unobserved_weight * (scores**2).sum()
    for table, known, others in ((users, likes.sum(axis=1), len(items)), (items, likes.sum(axis=0), len(users))):
        actual += (c.l2 * (known + c.unobserved_weight * others) ** c.l2_exponent * (table**2).sum(axis=1)).sum()
    return float(actual)


@pytest.mark.parametrize("l2_exponent", [0.0, 0.5, 1.0])
def test_more_sweeps_never_fit_worse(l2_exponent: float) -> None:
    likes = np.maximum(dataset(LIKED, n_users=6, n_items=6).interactions.matrix().toarray(), 0)
    lists = dataset(LIKED, n_users=6, n_items=6).interactions.histories().positives()
    costs = []
    for iterations in (1, 2, 4, 8, 16):
        model = made(iterations=iterations, l2_exponent=l2_exponent)
        users = model.solve(lists, model.items).numpy().astype(np.float64)
        costs.append(cost(model, users, likes))
    assert all(later <= earlier * (1 + 1e-4) for earlier, later in itertools.pairwise(costs))
    assert costs[-1] < costs[0]


@pytest.mark.parametrize("disliked", [0.0, 0.7])
def test_a_sweep_is_users_then_items_solved_exactly(disliked: float) -> None:
    model = made(disliked_weight=disliked, iterations=1)
    weights = dataset(LIKED, n_users=6, n_items=6).interactions.matrix().toarray()
    torch.manual_seed(0)
    start = (torch.randn(6, 3) * 0.1 / 3**0.5).numpy().astype(np.float64)
    users = np.array([slow_solve(row, start, model.config) for row in weights])
    items = [slow_solve(column, users, model.config) for column in weights.T]
    np.testing.assert_allclose(model.items.numpy(), items, rtol=1e-3, atol=1e-5)


def test_a_half_sweep_more_changes_nothing_at_the_end() -> None:
    model = made(iterations=600)
    by_user = dataset(LIKED, n_users=6, n_items=6).interactions.histories().positives()
    again = model.solve(ials._transposed(by_user, 6), model.solve(by_user, model.items))
    torch.testing.assert_close(again, model.items, rtol=1e-3, atol=1e-5)


def test_a_like_of_weight_two_is_two_likes() -> None:
    actual = []
    for rows in ([(0, 0, 2), (1, 0, 1), (1, 1, 1)], [(0, 0, 1), (0, 0, 1), (1, 0, 1), (1, 1, 1)]):
        torch.manual_seed(0)
        model = IALS(IALSConfig(dim=2), Shapes(2, 2))
        model.prepare(dataset(rows).interactions)
        actual.append(model.items)
    torch.testing.assert_close(*actual)


@given(lengths=st.lists(st.integers(0, 50), max_size=30), dim=st.integers(1, 9), cells=st.integers(1, 500))
def test_chunks_hold_every_list_once_and_stay_small(lengths: list[int], dim: int, cells: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ials, "_CELLS", cells)
        chunks = list(ials._chunks(np.array(lengths, dtype=np.int64), dim))
    assert sorted(index for chunk in chunks for index in chunk.tolist()) == list(range(len(lengths)))
    for chunk in chunks:
        longest = max(lengths[place] for place in chunk)
        assert len(chunk) == 1 or len(chunk) * dim * max(longest, dim) <= cells


@pytest.mark.parametrize(
    "setting", [{"unobserved_weight": 0.0}, {"l2": 0.0}, {"disliked_weight": -1.0}, {"iterations": 0}]
)
def test_what_cannot_be_solved_is_refused(setting: dict[str, float]) -> None:
    with pytest.raises(OptionError, match=next(iter(setting))):
        IALSConfig(**setting)  # type: ignore[arg-type]


def test_equations_that_cannot_be_solved_say_so() -> None:
    with pytest.raises(TrainingError, match=r"ials cannot solve for its vectors with l2=1e-12.*raise l2"):
        made(l2=1e-12, unobserved_weight=1e-12)


def test_known_and_new_users_of_one_history_have_one_vector() -> None:
    model = made()
    lists = dataset(LIKED, n_users=6, n_items=6).interactions.histories()
    users = np.arange(6)
    known = model.encode_queries(Queries.of_users(users, lists))
    new_users = model.encode_queries(Queries.of_histories(lists))
    torch.testing.assert_close(known[:, :-1], new_users[:, :-1])
    assert known[:, -1].tolist() == (lists.positives().lengths == 0).tolist()  # how much popularity counts
    assert bool((new_users[:, -1] > 0).all())


def test_dislikes_push_down_where_they_count() -> None:
    history = Queries.of_histories(Histories.of([[0, 1, 3]], [[1, 1, -1]]))
    ignored, counted = (made(disliked_weight=weight).score(history)[0, 3] for weight in (0.0, 5.0))
    assert counted < ignored


def test_of_nothing_known_popularity_is_left() -> None:
    assert made().encode_queries(Queries.of_histories(Histories.of([[]])))[0].tolist() == [0.0] * made().config.dim + [
        1
    ]


@pytest.mark.parametrize("cells", [1, 40, 10**6])
def test_the_size_of_a_chunk_changes_nothing(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = made().items
    monkeypatch.setattr(ials, "_CELLS", cells)
    torch.testing.assert_close(made().items, expected, rtol=1e-4, atol=1e-5)


def test_an_item_seen_once_and_a_user_without_likes() -> None:
    data = dataset([(0, 0, 1), (0, 1, 1), (1, 1, 1), (2, 2, -1)])
    fit = ts.train("ials", whole(data), dim=2)
    scores = fit.model.score(fit.queries(np.arange(3)))
    assert torch.isfinite(scores).all()
    assert scores[0, 0] > scores[0, 2]


def test_recency_raises_the_targets_of_newer_rows_and_lowers_the_weights_of_older_ones() -> None:
    model = made(recency=0.5, unobserved_weight=0.1, l2=0.3)
    history = Histories(np.array([1, 3, 4], np.int32), np.array([0, 3]), np.ones(3, np.float32))
    factors = np.array([1, 2, 4]) * 3 / 7  # oldest first, 1 in the mean
    items, c = model.items.numpy().astype(np.float64), model.config
    matrix, wanted = c.unobserved_weight * items.T @ items, np.zeros(c.dim)
    for item, factor in zip(history.items, factors, strict=True):
        matrix += min(factor, 1) * np.outer(items[item], items[item])
        wanted += factor * items[item]
    penalty = c.l2 * (3 + c.unobserved_weight * len(items)) ** c.l2_exponent
    expected = np.linalg.solve(matrix + penalty * np.eye(c.dim), wanted)
    query = Queries.of_histories(history)
    vector = model.encode_queries(query).numpy()[0, : c.dim]
    np.testing.assert_allclose(vector, expected, rtol=1e-3, atol=1e-5)
    terms = model.contributions(query, 2)
    assert float(terms.history.sum()) == pytest.approx(float(expected @ items[2]), rel=1e-3, abs=1e-5)
