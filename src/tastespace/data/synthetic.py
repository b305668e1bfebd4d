"""Data with a known right answer, and large logs with the shape of real ones."""

import numpy as np

from tastespace.data.dataset import Dataset
from tastespace.data.interactions import Interactions
from tastespace.data.vocabulary import Vocabulary


def _dataset(name: str, user: np.ndarray, item: np.ndarray, n_users: int, n_items: int, timed: bool) -> Dataset:
    users = Vocabulary(np.arange(n_users, dtype=np.int64), "user")
    items = Vocabulary(np.arange(n_items, dtype=np.int64), "item")
    time = np.arange(len(user), dtype=np.float64) if timed else None
    return Dataset(name, Interactions.of(user, item, users, items, time=time), notes=("every row liked",))


def checkerboard(n_users: int = 80, n_items: int = 60, *, share: float = 0.6, seed: int = 0) -> Dataset:
    """Users of two kinds: even users like even items, odd users odd ones, and each has interacted with `share` of them.

    The right answer for anybody is an unseen item of their own colour.
    """
    rng = np.random.default_rng(seed)
    user, item = np.nonzero(
        (np.arange(n_users)[:, None] % 2 == np.arange(n_items)[None, :] % 2) & (rng.random((n_users, n_items)) < share)
    )
    order = rng.permutation(len(user))
    return _dataset("checkerboard", user[order], item[order], n_users, n_items, timed=False)


def ring_walk(n_users: int = 200, n_items: int = 50, *, length: int = 12, seed: int = 0) -> Dataset:
    """Each user starts at a random item of a ring and walks on, item by item.

    All items are equally popular, so the order alone tells the next one: right after the last.
    """
    rng = np.random.default_rng(seed)
    start = rng.integers(0, n_items, n_users)
    user = np.repeat(np.arange(n_users), length)
    item = (np.repeat(start, length) + np.tile(np.arange(length), n_users)) % n_items
    return _dataset("ring-walk", user, item, n_users, n_items, timed=True)


def power_law(
    n_users: int, n_items: int, n_rows: int, *, exponent: float = 0.8, n_tastes: int = 20, seed: int = 0
) -> Dataset:
    """A large log: popularity falls as rank**-exponent, and each user keeps to one of `n_tastes` shelves mostly.

    Pairs are distinct, so there may be fewer rows than requested.
    """
    rng = np.random.default_rng(seed)
    popularity = np.cumsum(np.arange(1, n_items + 1) ** -exponent)
    taste = rng.integers(0, n_tastes, n_users)
    user = rng.integers(0, n_users, n_rows)
    item = np.searchsorted(popularity, rng.random(n_rows) * popularity[-1])
    own_shelf = rng.random(n_rows) < 0.7
    item = np.where(own_shelf, item - item % n_tastes + taste[user], item)
    pairs = np.unique(user * n_items + np.minimum(item, n_items - 1))
    pairs = rng.permutation(pairs)
    return _dataset("power-law", pairs // n_items, pairs % n_items, n_users, n_items, timed=True)
