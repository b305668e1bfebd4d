"""Shared by the tests of serving: a shop with awkward ids, users with attributes, and their bundles."""

from pathlib import Path

import numpy as np
import pytest

import tastespace as ts
from tastespace.data.dataset import Dataset, Table
from tastespace.data.interactions import Interactions
from tastespace.data.split import whole
from tastespace.data.vocabulary import Vocabulary
from tastespace.serving import bundle as bundles


@pytest.fixture(scope="session")
def shop(board: Dataset) -> Dataset:
    """The checkerboard with text ids, awkward ones too, and titles of which two are equal."""
    log = board.interactions
    odd = ["a b", 'quote"d', "it's", "comma,d", "😀", "x" * 10_000]
    names = sorted([*odd, *(f"item-{n:02}" for n in range(log.n_items - len(odd)))])
    items = Vocabulary(np.array(names, dtype=object), "item")
    titles = np.array([f"Title {n}" for n in range(log.n_items)], dtype=object)
    titles[1] = titles[3] = "Twin"
    titles[7] = None
    years = np.where(np.arange(log.n_items) % 2 == 0, 1990.0, np.nan)
    kinds = np.empty(log.n_items, dtype=object)
    kinds[:] = [["even"] if n % 2 == 0 else [] for n in range(log.n_items)]
    table = Table({"title": titles, "year": years, "genres": kinds, "nothing": np.full(log.n_items, None, object)})
    rows = Interactions.of(log.user, log.item, log.users, items, weight=log.weight)
    return Dataset("shop", rows, item_table=table)


@pytest.fixture(scope="session")
def recommender(shop: Dataset, tmp_path_factory: pytest.TempPathFactory) -> ts.Recommender:
    fit = ts.train("mf", whole(shop), baselines=False, search=False, dim=8, epochs=10)
    return ts.Recommender.build(fit, tmp_path_factory.mktemp("shop") / "bundle")


@pytest.fixture(scope="session")
def described(board: Dataset, tmp_path_factory: pytest.TempPathFactory) -> ts.Recommender:
    """Users of two moods, who like the items of their colour; one user's mood is missing."""
    log = board.interactions
    moods = np.array(["calm", "wild"], dtype=object)[np.arange(log.n_users) % 2]
    moods[4] = None
    colours = np.array(["white", "black"], dtype=object)[np.arange(log.n_items) % 2]
    data = Dataset("moods", log, Table({"colour": colours}), Table({"mood": moods, "age": np.arange(log.n_users) % 9}))
    fit = ts.train("two_tower", whole(data), baselines=False, search=False, dim=8, epochs=20)
    return ts.Recommender.build(fit, tmp_path_factory.mktemp("moods") / "bundle")


@pytest.fixture
def copy(recommender: ts.Recommender, tmp_path: Path) -> Path:
    path = tmp_path / "copy"
    bundles.write_bundle(path, recommender.bundle)
    return path
