"""Shared by all tests: small data with a known answer, and the real films where a test asks for them."""

from pathlib import Path

import pytest

import tastespace as ts
from tastespace.data.dataset import Dataset
from tastespace.data.synthetic import checkerboard, ring_walk


@pytest.fixture(scope="session")
def board() -> Dataset:
    """Even users like even items, odd users odd ones."""
    return checkerboard()


@pytest.fixture(scope="session")
def ring() -> Dataset:
    """Every user walks along a ring of items."""
    return ring_walk()


@pytest.fixture(scope="session")
def films() -> Dataset:
    """MovieLens 100K, fetched into the cache on first use."""
    return ts.load_dataset("ml-100k")


@pytest.fixture(scope="session")
def film_bundle(films: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of MovieLens 100K trained under the article's protocol."""
    path = tmp_path_factory.mktemp("models") / "films"
    ts.Recommender.build(ts.train("mf", ts.split(films, "article"), epochs=6), path)
    return path
