"""Commands that answer: filters, everybody, reasons, the index."""

import json
from pathlib import Path

import duckdb
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


def run(*words: object) -> Result:
    return runner.invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    board = checkerboard()
    n = board.interactions.n_items
    titles = np.array([f"Film {place}" for place in range(n)], dtype=object)
    data = Dataset("films", board.interactions, item_table=Table({"title": titles, "year": np.arange(n) + 1950.0}))
    path = tmp_path_factory.mktemp("models") / "films"
    Recommender.build(train("mf", whole(data), dim=8, epochs=3), path)
    return path


def test_a_condition_and_an_allow_list_narrow_the_answer(bundle: Path) -> None:
    found = json.loads(run("recommend", bundle, "--user", 3, "--where", "year >= 2000", "--json").stdout)
    assert all(item["year"] >= 2000 for item in found["items"])
    found = json.loads(run("recommend", bundle, "--allow", "3,4", "--where", "year > 1953", "--json").stdout)
    assert [item["item"] for item in found["items"]] == [4]
    answer = run("recommend", bundle, "--allow", "3,4")
    assert "only 2 items left: 2 of 60 items are in the allow-list" in answer.output


def test_a_wrong_condition_is_pointed_at(bundle: Path) -> None:
    wrong = run("recommend", bundle, "--where", "yeer >= 2000")
    assert wrong.exit_code == 2
    assert "did you mean 'year'?" in wrong.output
    assert "\n  ^" in wrong.output


def test_everybody_is_answered_into_a_file(bundle: Path, tmp_path: Path) -> None:
    done = run("recommend", bundle, "--all", "--out", tmp_path / "recs.parquet", "--k", 3, "--where", "year < 1952")
    assert done.exit_code == 0, done.output
    assert "users in" in done.output
    assert "users got fewer than 3 items" in done.output
    with duckdb.connect() as connection:
        found = connection.from_parquet(str(tmp_path / "recs.parquet"))
        assert found.columns == ["user", "rank", "item", "score", "route"]
        assert {row[2] for row in found.fetchall()} <= {0, 1}
    told = json.loads(run("recommend", bundle, "--all", "--out", tmp_path / "recs.csv", "--json").stdout)
    assert (told["users"], told["rows"], told["short"]) == (80, 800, 0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--all"], "--all and --out FILE belong together"),
        (["--out", "x.csv"], "--all and --out FILE belong together"),
        (["--all", "--out", "x.csv", "--user", "3"], "leave --user, --history, --feature, --rules and --reasons out"),
        (["--all", "--out", "x.txt"], "ends in none of .parquet, .csv, .jsonl"),
    ],
)
def test_a_batch_that_cannot_be_is_refused(bundle: Path, words: list[str], message: str) -> None:
    done = run("recommend", bundle, *words)
    assert done.exit_code == 2
    assert message in done.output


def test_a_score_is_explained(bundle: Path) -> None:
    answer = run("explain", bundle, "Film 20", "--history", "2,4", "--k", 1)
    assert answer.exit_code == 0, answer.output
    assert "Film 20 (1970): score" in answer.output
    assert "route session" in answer.output
    assert "because of" in answer.output
    found = json.loads(run("explain", bundle, "20", "--user", "3", "--json").stdout)
    assert (found["item"], found["route"], found["adds_up"]) == (20, "user", True)
    assert sum(reason["value"] for reason in found["reasons"]) == pytest.approx(found["score"], abs=1e-3)
    assert "number of users who like it" in run("explain", bundle, "20").output


def test_reasons_stand_beside_what_is_recommended(bundle: Path) -> None:
    found = json.loads(run("recommend", bundle, "--history", "2,8", "--k", 2, "--reasons", "--json").stdout)
    named = {reason["name"] for item in found["items"] for reason in item["reasons"] if reason["kind"] == "history"}
    assert named == {2, 8}
    told = run("recommend", bundle, "--history", "2,8", "--k", 2, "--reasons").output
    assert "because of" in told
    assert "Film 2" in told
    assert "only 2 likes are known, so popularity counts too" in told
    assert "because of" not in run("recommend", bundle, "--history", "2,8", "--k", 2).output


def test_an_index_tells_what_it_reaches(bundle: Path) -> None:
    told = json.loads(run("index", bundle, "--kind", "ivf", "--recall", "0.9", "--json").stdout)
    assert (told["kind"], told["n"], told["k"]) == ("ivf", 60, 10)
    assert told["recall"] >= 0.9
    assert "a search scans 3 of 3 lists" in run("index", bundle, "--kind", "ivf").output
    codes = run("index", bundle, "--kind", "pq").output
    assert "pq index of 60 items" in codes
    assert "and rescores 64 more candidates" in codes
    answer = run("index", bundle)
    assert "exact index of 60 items" in answer.output
    assert "recall@10 1.0000" in answer.output
    wrong = run("index", bundle, "--kind", "ivff")
    assert wrong.exit_code == 2
    assert "did you mean 'ivf'" in wrong.output


def test_rules_are_applied_and_judged(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("pin: [{item: 57, place: 1}]\nmmr: 0.5\n")
    found = json.loads(run("recommend", bundle, "--user", 3, "--rules", tmp_path / "rules.yaml", "--json").stdout)
    assert found["items"][0]["item"] == 57
    (tmp_path / "wrong.yaml").write_text("mmr: 0.5\npinn: 3\n")
    wrong = run("recommend", bundle, "--user", 3, "--rules", tmp_path / "wrong.yaml")
    assert wrong.exit_code == 2
    assert "wrong.yaml, line 2: 'pinn' is not a kind of rule" in wrong.output
    log = checkerboard().interactions
    rows = ["user,item,rating", *(f"{u},{i},5" for u, i in zip(log.user, log.item, strict=True))]
    (tmp_path / "log.csv").write_text("\n".join(rows))
    data = ("--data", tmp_path / "log.csv", "--protocol", "article")
    assert run("train", *data, "--out", tmp_path / "judged", "--set", "dim=8", "--set", "epochs=3").exit_code == 0
    told = run("evaluate", tmp_path / "judged", *data, "--rules", tmp_path / "rules.yaml")
    assert told.exit_code == 0, told.output
    assert all(word in told.output for word in ("none", "all", "pin", "mmr", "diversity"))
    rows = json.loads(run("evaluate", tmp_path / "judged", *data, "--rules", tmp_path / "rules.yaml", "--json").stdout)[
        "rows"
    ]
    assert [row["rules"] for row in rows] == ["none", "all", "pin", "mmr"]


def test_new_items_are_added_from_a_table(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("item,title,year\n3,known,1953\n500,A new one,1999\n501,Another,\n")
    refused = run("add-items", bundle, tmp_path / "new.csv")
    assert refused.exit_code != 0
    assert "--force" in refused.output
    told = json.loads(run("add-items", bundle, tmp_path / "new.csv", "--out", tmp_path / "grown", "--json").stdout)
    assert (told["added"], told["items"]) == (2, 62)
    found = json.loads(run("recommend", tmp_path / "grown", "--user", 3, "--allow", "500,501", "--json").stdout)
    assert {item["title"] for item in found["items"]} == {"A new one", "Another"}
    again = run("add-items", tmp_path / "grown", tmp_path / "new.csv", "--force")
    assert "0 items added" in again.output
    (tmp_path / "twice.csv").write_text("item,title\n700,a\n700,b\n")
    twice = run("add-items", bundle, tmp_path / "twice.csv", "--out", tmp_path / "other")
    assert "row 2 of the new items has an id that is missing or comes twice" in twice.output
    assert not (tmp_path / "other").exists()
