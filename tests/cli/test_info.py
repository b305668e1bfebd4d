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
    assert found["mf"]["options"]["dim"]["default"] == "auto"
    assert "--set dim=auto" in run("models").output


def test_info_tells_a_model_and_its_figures(bundle: Path) -> None:
    told = run("info", bundle).stdout
    assert told.startswith("mf, trained on log.csv (80 users, 60 items, ")
    assert "protocol article\n  recall@10" in told
    found = json.loads(run("info", bundle, "--json").stdout)
    assert (found["model"], found["config"]["dim"], found["counts"]["items"]) == ("mf", 8, 60)
    assert found["baselines"]["values"].keys() == {"mf", "item_knn", "popularity"}


def test_info_of_a_forged_manifest_is_safe(bundle: Path, tmp_path: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    forged = {"data": {"name": "\x1b[2J"}, "counts": {"users": "many"}, "metrics": {"\x1b[2J": 1.0, "x": "y"}}
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, **forged}))
    told = run("info", tmp_path)
    assert told.exit_code == 0
    assert "\x1b" not in told.output
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "metrics": {"x": float("inf")}}))
    assert "holds numbers that are not finite" in run("info", tmp_path, "--json").stderr
    assert run("info", tmp_path / "nowhere").exit_code == 5


def test_doctor_tells_versions_and_where_data_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASTESPACE_CACHE", str(tmp_path / "cache"))
    found = json.loads(run("doctor", "--json").stdout)
    assert found["packages"]["torch"]
    assert found["cache"] == str(tmp_path / "cache")
    assert found["data"] == {"ml-100k": False, "ml-latest-small": False}
    assert "not fetched: tastespace fetch ml-100k" in run("doctor").output
