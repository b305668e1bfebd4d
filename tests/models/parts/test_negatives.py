"""Negatives: never known positives unless allowed, drawn at the stated rate, for batches of any size."""

import numpy as np
import pytest
import scipy.sparse as sp

from tastespace.data.histories import Histories
from tastespace.models.parts.negatives import KnownPairs, Sampler

EVERY = ("uniform", "popularity", "in-batch", "mixed")
LIKES = np.array([8, 4, 2, 1, 1, 0])
NOTHING = np.zeros(0, np.int64)


@pytest.mark.parametrize("sampling", EVERY)
def test_negatives_are_never_known_positives(sampling: str) -> None:
    liked = Histories.of([[0, 1, 2, 3], [5]])
    sampler, rng = Sampler(sampling, LIKES), np.random.default_rng(0)
    users, items = np.array([0, 0, 1]), np.array([0, 1, 5])
    drawn = sampler.per_positive(users, items, 50, KnownPairs(liked.matrix(6)), rng)
    assert set(drawn[:2].ravel()) <= {4, 5}
    assert set(drawn[2]) <= {0, 1, 2, 3, 4}


@pytest.mark.parametrize("sampling", EVERY)
def test_known_positives_are_drawn_where_they_are_allowed(sampling: str) -> None:
    drawn = Sampler(sampling, LIKES).per_positive(
        np.zeros(4, np.int64), np.array([0, 1, 2, 0]), 50, None, np.random.default_rng(0)
    )
    assert (drawn == 0).any()


@pytest.mark.parametrize("exponent", [0.0, 1.0, 1000.0])
def test_any_exponent_gives_a_distribution(exponent: float) -> None:
    drawn, expected = Sampler("popularity", LIKES, exponent).shared(NOTHING, 50, np.random.default_rng(0))
    assert np.isfinite(expected).all()
    assert set(drawn) == {0} if exponent == 1000 else len(set(drawn)) > 2


@pytest.mark.parametrize("sampling", EVERY)
def test_a_user_with_the_whole_catalogue_still_gets_negatives(sampling: str) -> None:
    known = KnownPairs(Histories.of([[0, 1]]).matrix(2))
    drawn = Sampler(sampling, np.array([1, 1])).per_positive(
        np.array([0]), np.array([1]), 3, known, np.random.default_rng(0)
    )
    assert drawn.shape == (1, 3)


@pytest.mark.parametrize("sampling", EVERY)
@pytest.mark.parametrize("liked", [[], [2], [0, 0, 1, 4]])
def test_shared_negatives_never_exceed_the_requested_number(sampling: str, liked: list[int]) -> None:
    drawn, log_expected = Sampler(sampling, LIKES).shared(np.array(liked, np.int64), 5, np.random.default_rng(0))
    assert len(drawn) == len(log_expected) <= 5
    assert np.isfinite(log_expected).all()
    assert all(0 <= item < 6 for item in drawn)


@pytest.mark.parametrize("sampling", EVERY)
def test_the_logarithms_say_how_often_an_item_is_drawn(sampling: str) -> None:
    rng = np.random.default_rng(0)
    sampler = Sampler(sampling, LIKES, exponent=0.5)
    log_of_likes = np.repeat(np.arange(6), LIKES)
    counts, told, rounds = np.zeros(6), np.full(6, np.nan), 4000
    for _ in range(rounds):
        drawn, log_expected = sampler.shared(rng.choice(log_of_likes, 4), 4, rng)
        np.add.at(counts, drawn, 1)
        told[drawn] = np.exp(log_expected)
    seen = counts > 0
    np.testing.assert_allclose(counts[seen] / rounds, told[seen], atol=0.05)


def test_popularity_sampling_follows_the_exponent() -> None:
    rng = np.random.default_rng(0)
    drawn, _ = Sampler("popularity", LIKES, exponent=0.5).shared(NOTHING, 100_000, rng)
    expected = LIKES**0.5 / (LIKES**0.5).sum()
    np.testing.assert_allclose(np.bincount(drawn, minlength=6) / 100_000, expected, atol=0.01)


def test_a_log_without_positives_is_drawn_from_evenly() -> None:
    drawn, _ = Sampler("popularity", np.zeros(3, np.int64)).shared(NOTHING, 300, np.random.default_rng(0))
    assert set(drawn) == {0, 1, 2}


def test_a_grid_of_pairs_equals_single_look_ups() -> None:
    known = KnownPairs(sp.csr_matrix(([2.0, 0.5, 1.0], ([0, 0, 2], [1, 3, 0])), shape=(3, 4)))
    users, items = np.array([2, 0, 0]), np.array([3, 0, 3, 1])
    expected = known.contains(users[:, None], items[None, :])
    np.testing.assert_array_equal(known.grid(users, items), expected)
    assert expected.sum() == 7
