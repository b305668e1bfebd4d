from collections.abc import Callable

import numpy as np
import pytest

from tastespace.data.dataset import Dataset
from tastespace.data.synthetic import checkerboard, planted_taste, power_law, ring_walk
from tests.build import pairs


@pytest.mark.parametrize(("n_users", "n_items"), [(1, 1), (2, 2), (9, 14)])
def test_checkerboard_users_meet_all_items_of_their_colour_and_no_other(n_users: int, n_items: int) -> None:
    made = checkerboard(n_users, n_items, share=1.0).interactions
    expected = {(user, item) for user in range(n_users) for item in range(n_items) if (user + item) % 2 == 0}
    assert set(pairs(made)) == expected
    assert [made.n_users, made.n_items, len(made)] == [n_users, n_items, len(expected)]


def test_checkerboard_leaves_unseen_items_of_the_own_colour() -> None:
    made = checkerboard(80, 60, share=0.6).interactions
    assert bool((made.user % 2 == made.item % 2).all())
    assert len(set(pairs(made))) == len(made)
    assert np.bincount(made.user, minlength=80).max() < 30
    assert len(made) / (80 * 30) == pytest.approx(0.6, abs=0.05)


@pytest.mark.parametrize("length", [1, 2, 12])
def test_ring_walk_goes_on_item_by_item(length: int) -> None:
    made = ring_walk(20, 15, length=length)
    histories = made.interactions.histories()
    walks = histories.items.reshape(20, length)
    assert histories.lengths.tolist() == [length] * 20
    assert bool(((walks[:, 1:] - walks[:, :-1]) % 15 == 1).all())
    assert [made.interactions.n_users, made.interactions.n_items] == [20, 15]


def test_ring_walk_items_are_about_equally_popular() -> None:
    made = ring_walk(2000, 10, length=5).interactions
    counts = np.bincount(made.item, minlength=10)
    assert counts.min() > 0.85 * counts.mean()
    assert counts.max() < 1.15 * counts.mean()


def test_power_law_pairs_are_distinct_and_within_the_sizes() -> None:
    made = power_law(50, 37, 1000).interactions
    assert [made.n_users, made.n_items] == [50, 37]
    assert len(set(pairs(made))) == len(made)
    assert 200 < len(made) < 1000


def test_power_law_popularity_falls_as_stated() -> None:
    made = power_law(100_000, 400, 200_000, exponent=0.8).interactions
    counts = np.bincount(made.item, minlength=400)
    shelves = counts[:400].reshape(20, 20).sum(axis=1)  # places 0-19, 20-39, ...: one item of every taste in each
    expected = (np.arange(1, 401) ** -0.8).reshape(20, 20).sum(axis=1)
    np.testing.assert_allclose(shelves[1:] / shelves[1:].sum(), expected[1:] / expected[1:].sum(), rtol=0.1)


def test_power_law_users_mostly_keep_to_one_shelf() -> None:
    made = power_law(200, 20_000, 10_000, n_tastes=20).interactions
    shelves = np.zeros((200, 20))
    np.add.at(shelves, (made.user, made.item % 20), 1)
    share = shelves.max(axis=1).sum() / shelves.sum()
    assert 0.6 < share < 0.8
    assert len(np.unique(shelves.argmax(axis=1))) == 20


@pytest.mark.parametrize("make", [checkerboard, ring_walk, lambda seed: power_law(30, 40, 500, seed=seed)])
def test_equal_seeds_make_equal_logs_and_others_do_not(make: Callable[..., Dataset]) -> None:
    assert make(seed=1).interactions.fingerprint() == make(seed=1).interactions.fingerprint()
    assert make(seed=1).interactions.fingerprint() != make(seed=2).interactions.fingerprint()


@pytest.mark.parametrize(
    ("n_users", "n_items", "rows"), [(1, 1, 2.0), (3, 500, 4.0), (400, 30, 12.0), (300, 4000, 60.0)]
)
def test_planted_taste_makes_distinct_pairs_the_same_for_a_seed(n_users: int, n_items: int, rows: float) -> None:
    made, again, other = (planted_taste(n_users, n_items, rows, order=0.3, seed=seed) for seed in (1, 1, 2))
    assert made.interactions.fingerprint() == again.interactions.fingerprint()
    assert len(set(pairs(made.interactions))) == len(made.interactions)
    assert [made.interactions.n_users, made.interactions.n_items] == [n_users, n_items]
    if n_users > 1:
        assert made.interactions.fingerprint() != other.interactions.fingerprint()


def test_planted_taste_has_about_the_rows_that_were_asked_for() -> None:
    made = planted_taste(2000, 20_000, 40.0, skew=0.0, n_tastes=200).interactions
    assert len(made) / 2000 == pytest.approx(38, rel=0.1)


def _largest_share(made: Dataset) -> float:
    counts = np.bincount(made.interactions.item, minlength=made.interactions.n_items)
    return float(counts.max() / counts.sum())


def test_planted_taste_is_more_skewed_the_steeper_popularity_falls() -> None:
    flat, steep = (_largest_share(planted_taste(1000, 1000, 10.0, skew=skew)) for skew in (0.0, 1.2))
    assert steep > 10 * flat


def _repeated_steps(made: Dataset) -> float:
    """Share of the steps from a row to the next of its user that some other user takes too."""
    rows = made.interactions
    steps = (rows.item[:-1] * rows.n_items + rows.item[1:])[rows.user[:-1] == rows.user[1:]]
    _, place, counts = np.unique(steps, return_inverse=True, return_counts=True)
    return float((counts > 1)[place].mean())


def test_planted_taste_repeats_steps_where_order_is_planted() -> None:
    settings = {"n_tastes": 20, "skew": 0.2}
    without, planted = (
        _repeated_steps(planted_taste(800, 3000, 15.0, order=order, **settings)) for order in (0.0, 0.6)
    )
    assert without < 0.05
    assert planted > 0.3


def _overlap(made: Dataset) -> float:
    """Mean cosine of the histories of users with their nearest other user."""
    liked = made.interactions.matrix().astype(np.float64)
    lengths = np.sqrt(np.asarray(liked.sum(axis=1)).ravel())
    cosine = (liked @ liked.T).toarray() / np.maximum(lengths[:, None] * lengths[None, :], 1e-9)
    np.fill_diagonal(cosine, 0.0)
    return float(cosine.max(axis=1).mean())


def test_planted_taste_makes_users_alike_and_noise_hides_it() -> None:
    clear, noisy = (_overlap(planted_taste(500, 2000, 30.0, n_tastes=40, noise=noise)) for noise in (0.0, 0.9))
    assert clear > 1.5 * noisy
