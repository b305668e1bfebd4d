"""Commands about the program itself and its public data."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tastespace.cli import app
from tastespace.data.dataset import Dataset
from tastespace.data.sources import cache_folder
from tests.cli.conftest import run


@pytest.mark.films
def test_fetch_says_what_served_the_data_and_where_they_are(films: Dataset) -> None:
    folder = cache_folder() / films.name
    said = CliRunner().invoke(app, ["fetch", "ml-100k"]).stdout
    assert said.startswith("ml-100k: served by the cache")
    assert films.name in said
    found = json.loads(CliRunner().invoke(app, ["fetch", "ml-100k", "--json"]).stdout)
    assert found == {"name": "ml-100k", "folder": str(folder), "served_by": "the cache", "tried": []}


def test_models_lists_every_model_with_its_options() -> None:
    found = json.loads(run("models", "--json").stdout)
    assert {"mf", "ease", "popularity", "item_knn", "spectral"} <= found.keys()
    assert found["mf"]["options"]["dim"]["default"] == 64
    assert "--set dim=64" in run("models").output


def test_doctor_tells_versions_and_where_data_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASTESPACE_CACHE", str(tmp_path / "cache"))
    found = json.loads(run("doctor", "--json").stdout)
    assert found["packages"]["torch"]
    assert found["cache"] == str(tmp_path / "cache")
    assert found["data"] == {"ml-100k": False, "ml-latest-small": False}
    assert "not fetched: tastespace fetch ml-100k" in run("doctor").output
