"""The commands `recommend`, `explain`, `similar-items` and `similar-users`."""

import json
from pathlib import Path

import duckdb
import numpy as np
import pytest

from tastespace.data.dataset import Dataset, Table
from tastespace.data.split import whole
from tastespace.data.synthetic import checkerboard
from tastespace.serving.recommender import Recommender
from tastespace.training.fit import train
from tests.cli.conftest import run

pytestmark = pytest.mark.usefixtures("cache")


def test_recommend_takes_features(tmp_path: Path) -> None:
    board = checkerboard()
    log = board.interactions
    moods = np.array(["calm", "wild"], dtype=object)[np.arange(log.n_users) % 2]
    data = Dataset("moods", log, user_table=Table({"mood": moods}))
    Recommender.build(train("two_tower", whole(data), dim=8, epochs=10), tmp_path / "moods")
    told = run("recommend", tmp_path / "moods", "--feature", "mood=wild", "--k", 3)
    assert told.stdout.startswith("route: features")
    found = run("recommend", tmp_path / "moods", "--feature", "mood=blue", "--json")
    assert "never had 'blue' as mood" in found.stderr
    assert json.loads(found.stdout)["notes"] == ["the training data never had 'blue' as mood: it counts as missing"]
    twice = run("recommend", tmp_path / "moods", "--feature", "mood=blue", "--feature", "mood=calm")
    assert "feature mood is ['blue', 'calm'], but a text is expected" in twice.stderr


def test_similar_items_and_users(bundle: Path) -> None:
    items = json.loads(run("similar-items", bundle, "4", "--k", 3, "--json").stdout)
    assert [set(item) >= {"item", "score"} for item in items["items"]] == [True] * 3
    users = json.loads(run("similar-users", bundle, "u4", "--k", 3, "--json").stdout)
    assert len(users["users"]) == 3
    assert "cosine" in run("similar-users", bundle, "u4").output
    assert "most similar to 4:" in run("similar-items", bundle, "4").output


def test_a_condition_and_an_allow_list_narrow_the_answer(film_model: Path) -> None:
    found = json.loads(run("recommend", film_model, "--user", 3, "--where", "year >= 2000", "--json").stdout)
    assert all(item["year"] >= 2000 for item in found["items"])
    found = json.loads(run("recommend", film_model, "--allow", "3,4", "--where", "year > 1953", "--json").stdout)
    assert [item["item"] for item in found["items"]] == [4]
    answer = run("recommend", film_model, "--allow", "3,4")
    assert "only 2 items left: 2 of 60 items are in the allow-list" in answer.output


def test_a_wrong_condition_is_pointed_at(film_model: Path) -> None:
    wrong = run("recommend", film_model, "--where", "yeer >= 2000")
    assert wrong.exit_code == 2
    assert "did you mean 'year'?" in wrong.output
    assert "\n  ^" in wrong.output


def test_everybody_is_answered_into_a_file(film_model: Path, tmp_path: Path) -> None:
    done = run("recommend", film_model, "--all", "--out", tmp_path / "recs.parquet", "--k", 3, "--where", "year < 1952")
    assert done.exit_code == 0, done.output
    assert "users in" in done.output
    assert "users got fewer than 3 items" in done.output
    with duckdb.connect() as connection:
        found = connection.from_parquet(str(tmp_path / "recs.parquet"))
        assert found.columns == ["user", "rank", "item", "score", "route"]
        assert {row[2] for row in found.fetchall()} <= {0, 1}
    told = json.loads(run("recommend", film_model, "--all", "--out", tmp_path / "recs.csv", "--json").stdout)
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
def test_a_batch_that_cannot_be_is_refused(film_model: Path, words: list[str], message: str) -> None:
    done = run("recommend", film_model, *words)
    assert done.exit_code == 2
    assert message in done.output


def test_a_score_is_explained(film_model: Path) -> None:
    answer = run("explain", film_model, "Film 20", "--history", "2,4", "--k", 1)
    assert answer.exit_code == 0, answer.output
    assert "Film 20 (1970): score" in answer.output
    assert "route session" in answer.output
    assert "because of" in answer.output
    found = json.loads(run("explain", film_model, "20", "--user", "3", "--json").stdout)
    assert (found["item"], found["route"], found["adds_up"]) == (20, "user", True)
    assert sum(reason["value"] for reason in found["reasons"]) == pytest.approx(found["score"], abs=1e-3)
    assert "number of users who like it" in run("explain", film_model, "20").output


def test_reasons_stand_beside_what_is_recommended(film_model: Path) -> None:
    found = json.loads(run("recommend", film_model, "--history", "2,8", "--k", 2, "--reasons", "--json").stdout)
    named = {reason["name"] for item in found["items"] for reason in item["reasons"] if reason["kind"] == "history"}
    assert named == {2, 8}
    told = run("recommend", film_model, "--history", "2,8", "--k", 2, "--reasons").output
    assert "because of" in told
    assert "Film 2" in told
    assert "only 2 likes are known, so popularity counts too" in told
    assert "because of" not in run("recommend", film_model, "--history", "2,8", "--k", 2).output
