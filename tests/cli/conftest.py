"""Logs, saved models and a runner for the tests of the commands."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tastespace.cli import app
from tastespace.data.dataset import Dataset, Table
from tastespace.data.split import whole
from tastespace.data.synthetic import checkerboard
from tastespace.serving.recommender import Recommender
from tastespace.training.fit import train

runner = CliRunner()


def start(*words: object) -> subprocess.Popen[str]:
    """A command in a process of its own, whose output comes line by line: to be interrupted."""
    return subprocess.Popen(
        [sys.executable, "-m", "tastespace", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def run(*words: object) -> Result:
    return runner.invoke(app, [str(word) for word in words])


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("TASTESPACE_CACHE", str(folder))
    return folder


def write_log(path: Path, data: Dataset, *, header: str = "user,item,rating,timestamp") -> Path:
    log = data.interactions
    rows = [f"u{u},{i},5,{1000 + n}" for n, (u, i) in enumerate(zip(log.user, log.item, strict=True))]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture(scope="session")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_log(tmp_path_factory.mktemp("log") / "log.csv", checkerboard())


@pytest.fixture(scope="session")
def bundle(log_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "board"
    done = run(
        "train",
        "--data",
        log_file,
        "--out",
        path,
        "--protocol",
        "article",
        "--set",
        "dim=8",
        "--set",
        "search=false",
        "--json",
    )
    assert done.exit_code == 0, done.output
    return path


@pytest.fixture(scope="module")
def film_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    board = checkerboard()
    n = board.interactions.n_items
    titles = np.array([f"Film {place}" for place in range(n)], dtype=object)
    data = Dataset("films", board.interactions, item_table=Table({"title": titles, "year": np.arange(n) + 1950.0}))
    path = tmp_path_factory.mktemp("models") / "films"
    Recommender.build(train("mf", whole(data), baselines=False, search=False, dim=8, epochs=3), path)
    return path
