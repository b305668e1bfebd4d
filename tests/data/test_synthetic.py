from collections.abc import Callable

import numpy as np
import pytest

from tastespace.data.dataset import Dataset
from tastespace.data.synthetic import checkerboard, power_law, ring_walk
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
