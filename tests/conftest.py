"""Shared by all tests: small data with a known answer, and the real films where a test asks for them."""

import gc
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded: several workers share the cores

import pytest
from filelock import FileLock
from hypothesis import settings

import tastespace as ts
from tastespace.data.dataset import Dataset
from tastespace.data.sources import cache_folder
from tastespace.data.synthetic import checkerboard, ring_walk

# `make test-all` runs with --hypothesis-profile=release; see also `examples` in tests/build.py.
settings.register_profile("fast", max_examples=25)
settings.register_profile("release", max_examples=100)
settings.load_profile("fast")


def pytest_collection_finish() -> None:
    """What was imported stays, so the garbage collector need not walk through it: a tenth of the time of all tests."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    gc.unfreeze()


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
    """MovieLens 100K, fetched into the cache on first use, by one worker alone."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".tests.lock"):
        return ts.load_dataset("ml-100k")


@pytest.fixture(scope="session")
def film_bundle(films: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of MovieLens 100K trained under the article's protocol."""
    path = tmp_path_factory.mktemp("models") / "films"
    fit = ts.train("mf", ts.split(films, "article"), baselines=False, search=False, epochs=6)
    ts.Recommender.build(fit, path)
    return path
