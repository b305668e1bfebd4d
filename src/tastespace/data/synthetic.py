"""Data with a known right answer, and large logs with the shape of real ones."""

import numpy as np

from tastespace.data.dataset import Dataset
from tastespace.data.interactions import Interactions
from tastespace.data.vocabulary import Vocabulary

_MOST_TASTES = 8  # of a user


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


def planted_taste(
    n_users: int,
    n_items: int,
    rows_per_user: float,
    *,
    n_tastes: int = 50,
    tastes_per_user: float = 3.0,
    skew: float = 0.8,
    noise: float = 0.2,
    order: float = 0.0,
    seed: int = 0,
) -> Dataset:
    """Each item belongs to one of `n_tastes`, and each user draws from a few of these, in shares of their own.

    Popularity falls as rank**-`skew` within each taste, and half as steeply from taste to taste. A share `noise` of
    the rows comes from the whole catalogue instead, by popularity, and a share `order` is one of three fixed
    successors, of the same taste, of the user's row before it. The number of rows varies from user to user
    (log-normal, two at least) around `rows_per_user`; pairs are distinct, so there are somewhat fewer.
    """
    rng = np.random.default_rng(seed)
    wanted = np.maximum(2, rng.lognormal(np.log(rows_per_user) - 0.18, 0.6, n_users)).astype(np.int64)
    user = np.repeat(np.arange(n_users), wanted)
    taste_of_item = rng.integers(0, n_tastes, n_items)
    members = np.argsort(taste_of_item, kind="stable")  # items taste by taste, the most popular of each first
    first = np.searchsorted(taste_of_item[members], np.arange(n_tastes + 1))
    sizes = np.diff(first)
    popularity = (np.arange(n_items) - np.repeat(first[:-1], sizes) + 1.0) ** -skew
    attraction = np.arange(1, n_tastes + 1) ** (-skew / 2) * (sizes > 0)
    popularity *= np.repeat(attraction / np.maximum(_sums(popularity, first), 1e-12), sizes)
    cumulative = np.concatenate([[0.0], np.cumsum(popularity)])
    own = rng.choice(n_tastes, (n_users, _MOST_TASTES), p=attraction / attraction.sum())
    shares = np.cumsum(rng.dirichlet(np.full(_MOST_TASTES, tastes_per_user / _MOST_TASTES), n_users), axis=1)
    taste = own[user, np.minimum((rng.random(len(user))[:, None] > shares[user]).sum(axis=1), _MOST_TASTES - 1)]
    anywhere = rng.random(len(user)) < noise
    low = np.where(anywhere, 0.0, cumulative[first[taste]])
    high = np.where(anywhere, cumulative[-1], cumulative[first[taste + 1]])
    place = np.searchsorted(cumulative, low + rng.random(len(user)) * (high - low), side="right") - 1
    place = np.clip(place, 0, n_items - 1)
    if order > 0:
        offset = rng.integers(0, 1 << 40, (n_items, 3)) % np.repeat(sizes, sizes)[:, None]
        successors = np.repeat(first[:-1], sizes)[:, None] + offset
        _follow(place, wanted, successors, order, rng)
    item = members[place]
    _, kept = np.unique(user * n_items + item, return_index=True)
    kept.sort()
    return _dataset("planted-taste", user[kept], item[kept], n_users, n_items, timed=True)


def _sums(values: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Sums of `values` between consecutive positions `first`."""
    return np.diff(np.concatenate([[0.0], np.cumsum(values)])[first])


def _follow(
    place: np.ndarray, lengths: np.ndarray, successors: np.ndarray, share: float, rng: np.random.Generator
) -> None:
    """Replace, in place, a share of the rows of each user by a successor of the row before."""
    start = np.cumsum(lengths) - lengths
    for step in range(1, int(lengths.max())):
        rows = start[lengths > step] + step
        rows = rows[rng.random(len(rows)) < share]
        place[rows] = successors[place[rows - 1], rng.integers(0, successors.shape[1], len(rows))]
