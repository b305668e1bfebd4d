"""The command `compare`."""

import html
import json
import re
import sys
from pathlib import Path

import pytest

from tastespace.experiments import comparison
from tests.cli.conftest import run

pytestmark = pytest.mark.usefixtures("cache")


def test_compare_has_the_documented_shape(log_file: Path) -> None:
    done = run("compare", "--data", log_file, "--protocol", "article", "--models", "mf,ease,popularity", "--json")
    found = json.loads(done.stdout)
    assert {"data", "protocol", "k", "users", "items", "rows", "tests"} <= found.keys()
    assert {row["model"] for row in found["rows"]} == {"mf", "ease", "popularity", "recent_popularity", "item_knn"}
    for row in found["rows"]:
        for key in ("recall@10", "ndcg@10"):
            low, high = row[f"{key}_ci"]
            assert low <= row[key] <= high
        assert row["coverage@10"] > 0
        assert row["train_seconds"] >= 0
        assert row["evaluate_seconds"] > 0
        assert row["epochs"] >= 0
    assert {"a", "b", "metric", "p", "p_corrected"} <= found["tests"][0].keys()
    assert len(found["tests"]) == 10
    assert all(test["p"] <= test["p_corrected"] <= 1 for test in found["tests"])


def test_compare_shows_a_table_sorted_by_quality(log_file: Path) -> None:
    lines = run("compare", "--data", log_file, "--models", "ease", "--k", 5).output.splitlines()
    assert "protocol article" in lines[0]
    order = [line.split()[0] for line in lines[3:7]]
    assert order[0] != "popularity"
    assert {"popularity", "recent_popularity"} == set(order[-2:])
    assert "Holm" in lines[-1]


def test_compare_over_several_protocols_writes_one_document(log_file: Path, tmp_path: Path) -> None:
    words = ("compare", "--data", log_file, "--protocol", "article, random-811", "--models", "ease")
    printed = json.loads(run(*words, "--json").stdout)
    assert [one["protocol"] for one in printed["comparisons"]] == ["article", "random-811"]
    file = tmp_path / "new" / "found.json"
    done = run(*words, "--resume", "--json", file)
    assert done.exit_code == 0, done.output
    assert json.loads(file.read_text()) == printed
    assert done.stdout.count("Holm") == 2
    assert [path.name for path in file.parent.iterdir()] == ["found.json"]


def test_compare_takes_settings_of_each_model(log_file: Path) -> None:
    words = ("--set", "mf.epochs=2", "--set", "mf.dim=8", "--set", "ease.l2=7")
    done = run("compare", "--data", log_file, *words, "--json")
    rows = {row["model"]: row for row in json.loads(done.stdout)["rows"]}
    assert (rows["mf"]["options"]["epochs"], rows["mf"]["config"]["dim"]) == (2, 8)
    assert rows["ease"]["config"]["l2"] == 7.0


def test_compare_without_references_runs_the_named_models_alone(log_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    words = ("compare", "--data", log_file, "--models", "item_knn,ease", "--no-references")
    done = run(*words, "--json", "--html", file)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert ([row["model"] for row in found["rows"]], found["references"]) == (["item_knn", "ease"], [])
    page = file.read_text()
    assert re.search(r"--models (ease,item_knn|item_knn,ease) --no-references --seeds", page)
    assert "settings=settings, references=False)" in page
    one = run(*words[:4], "ease", "--no-references")
    assert one.exit_code == 0, one.output
    assert "item_knn" not in one.stdout
    assert "Holm" not in one.stdout


def test_compare_writes_a_page(log_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "new" / "page.html"
    words = ("compare", "--data", log_file, "--protocol", "article,random-811", "--set", "mf.epochs=2", "--html", file)
    done = run(*words, "--json")
    assert done.exit_code == 0, done.output
    page = file.read_text()
    for found in json.loads(done.stdout)["comparisons"]:
        assert html.escape(found["protocol_line"]) in page
        for row in found["rows"]:
            assert f"{row['ndcg@10']:.4f}" in page
        assert found["references"] == ["popularity", "recent_popularity", "item_knn", "ease"]
    assert page.count("<svg ") == 12
    assert [path.name for path in file.parent.iterdir()] == ["page.html"]


def test_compare_refuses_a_page_that_cannot_be_drawn_before_any_training(
    log_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_svg", None)
    monkeypatch.setattr(comparison, "fit", None)
    refused = run("compare", "--data", log_file, "--models", "ease", "--html", tmp_path / "page.html")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: a page needs matplotlib")
    assert "pip install 'tastespace[plots]'" in refused.stderr


def test_an_interrupted_compare_says_how_to_go_on(log_file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, trained = comparison.fit, []

    def fit(name: str, *args: object, **more: object) -> object:
        trained.append(name)
        if trained[-2:] == ["mf", "popularity"]:
            raise KeyboardInterrupt
        return real(name, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(comparison, "fit", fit)
    words = ("compare", "--data", log_file, "--set", "mf.epochs=2", "--json")
    stopped = run(*words)
    assert stopped.exit_code == 130
    assert stopped.stderr == (
        f"Error: interrupted under protocol article with 1 results finished, saved in {cache / 'comparisons'}; "
        "the same command with --resume goes on from there\n"
    )
    trained.clear()
    assert json.loads(run(*words, "--resume").stdout)["rows"][0]["model"] == "mf"
    assert trained == ["popularity", "recent_popularity", "item_knn", "ease"]
    trained.clear()
    run(*words)
    assert trained[0] == "mf"


def test_a_protocol_under_both_its_names_is_run_once(log_file: Path) -> None:
    words = ["compare", "--data", log_file, "--models", "item_knn", "--k", 5, "--json"]
    figures = json.loads(run(*words, "--protocol", "article,random-80-20").stdout)
    assert figures["protocol"] == "article"
