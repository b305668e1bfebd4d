"""The commands `index` and `add-items`."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import run

pytestmark = pytest.mark.usefixtures("cache")


def test_an_index_tells_what_it_reaches(film_model: Path) -> None:
    told = json.loads(run("index", film_model, "--kind", "ivf", "--recall", "0.9", "--json").stdout)
    assert (told["kind"], told["n"], told["k"]) == ("ivf", 60, 10)
    assert told["recall"] >= 0.9
    assert "a search scans 3 of 3 lists" in run("index", film_model, "--kind", "ivf").output
    codes = run("index", film_model, "--kind", "pq").output
    assert "pq index of 60 items" in codes
    assert "and rescores 64 more candidates" in codes
    answer = run("index", film_model)
    assert "exact index of 60 items" in answer.output
    assert "recall@10 1.0000" in answer.output
    wrong = run("index", film_model, "--kind", "ivff")
    assert wrong.exit_code == 2
    assert "did you mean 'ivf'" in wrong.output


def test_new_items_are_added_from_a_table(film_model: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("item,title,year\n3,known,1953\n500,A new one,1999\n501,Another,\n")
    refused = run("add-items", film_model, tmp_path / "new.csv")
    assert refused.exit_code != 0
    assert "--force" in refused.output
    told = json.loads(run("add-items", film_model, tmp_path / "new.csv", "--out", tmp_path / "grown", "--json").stdout)
    assert (told["added"], told["items"]) == (2, 62)
    found = json.loads(run("recommend", tmp_path / "grown", "--user", 3, "--allow", "500,501", "--json").stdout)
    assert {item["title"] for item in found["items"]} == {"A new one", "Another"}
    again = run("add-items", tmp_path / "grown", tmp_path / "new.csv", "--force")
    assert "0 items added" in again.output
    (tmp_path / "twice.csv").write_text("item,title\n700,a\n700,b\n")
    twice = run("add-items", film_model, tmp_path / "twice.csv", "--out", tmp_path / "other")
    assert "row 2 of the new items has an id that is missing or comes twice" in twice.output
    assert not (tmp_path / "other").exists()
