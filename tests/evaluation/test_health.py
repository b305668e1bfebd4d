"""Laws of embedding health: what spreads has full rank, what is alike has collapsed and is named so."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tastespace as ts
from tastespace.data.dataset import Dataset
from tastespace.evaluation import health
from tastespace.evaluation.health import Health, choose_rows, effective_rank, measure, neighbourhood_overlap
from tests.build import examples


def drawn(n: int, dim: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def space(vectors: np.ndarray, counts: np.ndarray | None = None) -> health.Space:
    counts = np.arange(1, len(vectors) + 1) if counts is None else counts
    rows = choose_rows(counts)
    return measure(vectors[rows], counts, rows)


@pytest.mark.parametrize("dim", [1, 2, 5, 64])
def test_orthogonal_directions_of_equal_length_have_the_rank_of_their_space(dim: int) -> None:
    turned = np.linalg.qr(drawn(dim, dim))[0]
    assert effective_rank(np.concatenate([turned, -turned])) == pytest.approx(dim)


def test_rank_is_exp_of_the_entropy_of_singular_values() -> None:
    vectors = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    share = np.array([0.75, 0.25])
    assert effective_rank(vectors) == pytest.approx(np.exp(-(share * np.log(share)).sum()))


@settings(deadline=None, max_examples=examples(30))
@given(st.integers(2, 20), st.integers(1, 12), st.floats(0.01, 100), st.integers(0, 99))
def test_rank_knows_no_scale_shift_or_turn(n: int, dim: int, scale: float, seed: int) -> None:
    vectors = drawn(n, dim, seed).astype(np.float64)
    turn = np.linalg.qr(drawn(dim, dim, seed + 1).astype(np.float64))[0]
    found = effective_rank(vectors)
    assert effective_rank(scale * vectors @ turn + 1.0) == pytest.approx(found, rel=1e-3)
    assert 1 <= found <= min(dim, n - 1) + 1e-6


@pytest.mark.parametrize("n", [2, 50])
def test_equal_vectors_have_rank_one_and_are_named_collapsed(n: int) -> None:
    found = space(np.ones((n, 64), np.float32))
    assert (found.effective_rank, found.collapsed) == (1.0, True)
    assert Health(found).warnings() == ["the item vectors have collapsed: they are all nearly the same"]


def test_vectors_along_one_line_are_named_collapsed() -> None:
    line = drawn(200, 1) * drawn(1, 64) + 1e-4 * drawn(200, 64)
    found = Health(space(drawn(200, 64)), space(line))
    assert not found.items.collapsed
    (sentence,) = found.warnings()
    assert sentence.startswith("the user vectors have collapsed: effective rank 1.")


def test_vectors_that_differ_by_a_trifle_are_named_collapsed() -> None:
    found = space(np.ones((200, 64), np.float32) + 1e-3 * drawn(200, 64))
    assert found.effective_rank > 50
    assert "nearly the same" in Health(found).warnings()[0]


def test_few_dimensions_of_many_are_told() -> None:
    found = space(drawn(300, 4) @ drawn(4, 64))
    assert not found.collapsed
    assert "of 64, so a smaller dim" in Health(found).warnings()[0]


@pytest.mark.parametrize("n", [1, 2])
def test_the_smallest_tables_have_a_health(n: int) -> None:
    found = space(drawn(n, 8))
    assert not found.collapsed
    assert 0 < found.effective_rank_share <= 1 + 1e-9


def test_an_empty_table_has_a_health() -> None:
    found = space(drawn(3, 8), np.zeros(3, np.int64))
    assert (found.rows, found.used_rows, found.dead_rows, found.norm_popularity) == (3, 0, 0, None)


def test_dead_rows_are_counted_among_used_ones() -> None:
    vectors, counts = drawn(100, 16), np.full(100, 5)
    vectors[:3] = 0.0
    vectors[3] *= 1e-6
    vectors[4] = np.nan
    vectors[5], counts[5] = 0.0, 0  # nobody liked it: not moved, and not counted
    found = space(vectors, counts)
    assert (found.dead_rows, found.used_rows) == (5, 99)
    assert Health(found).warnings() == ["5 of 99 item vectors are dead (norm near 0)"]


def test_all_dead_is_collapsed_and_dead() -> None:
    found = space(np.zeros((50, 16), np.float32))
    assert (found.dead_rows, found.collapsed) == (50, True)


@pytest.mark.parametrize("sign", [1, -1])
def test_length_against_popularity_is_spearmans(sign: int) -> None:
    counts = np.arange(1, 101)
    vectors = drawn(100, 16)
    vectors *= (counts[:, None] ** (2.0 * sign)) / np.linalg.norm(vectors, axis=1, keepdims=True)
    found = space(vectors, counts)
    assert found.norm_popularity == pytest.approx(sign)
    assert any("is mostly popularity" in sentence for sentence in Health(found).warnings())


def test_a_large_table_is_sampled_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_MOST_ROWS", 40)
    found = space(drawn(100, 8))
    assert (found.rows, found.used_rows, found.sampled_rows) == (100, 100, 40)


def test_health_survives_json() -> None:
    found = Health(space(drawn(30, 8)), space(drawn(20, 8)))
    assert Health.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found
    alone = Health(found.items)
    assert Health.from_json(alone.to_json()) == alone


def test_neighbourhoods_overlap_wholly_with_themselves_and_little_with_strangers() -> None:
    vectors = drawn(400, 16)
    turn = np.linalg.qr(drawn(16, 16, 1))[0]
    assert neighbourhood_overlap(vectors, vectors) == 1.0
    assert neighbourhood_overlap(vectors, 3 * vectors @ turn) > 0.99
    assert neighbourhood_overlap(vectors, drawn(400, 24, 2)) < 0.1


def test_overlap_by_hand() -> None:
    old = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]], np.float32)
    new = old[[0, 2, 1, 3]]  # 1 and 2 change places: nearest of 0 was 1, is 2
    assert neighbourhood_overlap(old, new, k=1) == 0.0
    assert neighbourhood_overlap(old, new, k=3) == 1.0
    assert neighbourhood_overlap(old[:1], new[:1]) == 1.0


def test_every_training_measures_health_of_its_vectors(board: Dataset) -> None:
    split = ts.split(board, "article")
    found = ts.train("mf", split, dim=8, epochs=2).health
    assert found is not None
    assert (found.items.rows, found.items.dim) == (60, 8)
    assert found.users is not None
    assert found.users.rows == 80
    assert ts.train("spectral", split, dim=8).health is not None
    assert ts.train("ease", split).health is None
    assert ts.train("popularity", split).health is None
