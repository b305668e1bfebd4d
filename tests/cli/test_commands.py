"""The command: answers, JSON shapes, and one clear sentence with an exit code for anything wrong."""

import html
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tastespace.cli import app
from tastespace.data.dataset import Dataset, Table
from tastespace.data.protocols import names
from tastespace.data.split import whole
from tastespace.data.synthetic import checkerboard
from tastespace.experiments import comparison
from tastespace.serving.recommender import Recommender
from tastespace.training.fit import train

runner = CliRunner()


def run(*words: object) -> Result:
    return runner.invoke(app, [str(word) for word in words])


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("TASTESPACE_CACHE", str(folder))
    return folder


def write_log(path: Path, data: Dataset, *, header: str = "user,item,rating,timestamp") -> Path:
    log = data.interactions
    rows = [f"u{u},{i},5,{1000 + n}" for n, (u, i) in enumerate(zip(log.user, log.item, strict=True))]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_log(tmp_path_factory.mktemp("log") / "log.csv", checkerboard())


@pytest.fixture(scope="module")
def bundle(log_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "board"
    done = run("train", "--data", log_file, "--out", path, "--protocol", "article", "--set", "dim=8", "--json")
    assert done.exit_code == 0, done.output
    return path


def test_help_lists_every_command_and_shows_an_example_in_each() -> None:
    listed = run("--help").output
    for command in app.registered_commands:
        name = str(command.name)
        assert name in listed
        assert "Example: tastespace " + name in run(name, "--help").output


def test_help_and_import_load_neither_torch_nor_duckdb() -> None:
    code = "import sys, tastespace.cli; assert not {'torch', 'duckdb', 'scipy', 'numpy', 'faiss'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_version() -> None:
    assert run("--version").output.startswith("tastespace ")


def test_train_then_answer(bundle: Path) -> None:
    answer = run("recommend", bundle, "--user", "u3", "--k", 4)
    assert answer.exit_code == 0
    assert "route: user" in answer.output
    found = json.loads(run("recommend", bundle, "--user", "u3", "--k", 4, "--json").stdout)
    assert (found["route"], found["user"], len(found["items"])) == ("user", "u3", 4)
    assert all(item["item"] % 2 == 1 for item in found["items"])
    history = json.loads(run("recommend", bundle, "--history", "2,4,6", "--exclude", "8", "--json").stdout)
    assert history["route"] == "session"
    assert not {2, 4, 6, 8} & {item["item"] for item in history["items"]}
    nobody = json.loads(run("recommend", bundle, "--json").stdout)
    assert (nobody["route"], len(nobody["items"])) == ("popular", 10)


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


def test_evaluate_reports_metrics_groups_and_findings(bundle: Path, log_file: Path) -> None:
    words = ("evaluate", bundle, "--data", log_file, "--protocol", "article")
    found = json.loads(run(*words, "--json").stdout)
    assert found["ndcg@10_ci"][0] <= found["ndcg@10"] <= found["ndcg@10_ci"][1]
    assert {"recall@10", "hit@10", "mrr@10", "map@10", "precision@10", "coverage@10", "gini@10"} <= found.keys()
    assert any(group.startswith("users:") for group in found["groups"])
    shown = run(*words).output
    assert "recall@10" in shown
    assert "least active third" in shown


def test_evaluate_refuses_rows_that_were_trained_on(log_file: Path, tmp_path: Path) -> None:
    run("train", "--data", log_file, "--out", tmp_path / "all", "--set", "epochs=2")
    refused = run("evaluate", tmp_path / "all", "--data", log_file, "--protocol", "article")
    assert refused.exit_code == 7
    assert "train one with --protocol article" in refused.stderr


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


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_the_help_names_every_protocol(command: str) -> None:
    told = "".join(run(command, "--help").output.replace("│", " ").split())  # names break at their hyphens
    for name in names():
        assert name in told, name


def test_a_protocol_of_times_on_a_log_without_them_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text("user,item\n" + "".join(f"u{n % 4},{n % 7}\n" for n in range(28)))
    failed = run("train", "--data", file, "--out", tmp_path / "out", "--protocol", "at-time")
    assert failed.exit_code == 3
    assert "needs times, but the log has none; name their column with --time-column" in failed.output


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


def test_train_tells_the_health_of_its_vectors(log_file: Path, tmp_path: Path) -> None:
    words = ("train", "--data", log_file, "--set", "epochs=2", "--set", "dim=8", "--out", tmp_path / "m")
    assert "item embeddings: effective rank " in run(*words).stdout
    found = json.loads(run(*words, "--force", "--json").stdout)
    assert found["health"] == json.loads((tmp_path / "m" / "manifest.json").read_text())["health"]
    assert found["health"]["users"]["rows"] == 80


def test_a_ready_split_is_compared_and_trained(tmp_path: Path) -> None:
    log = checkerboard().interactions
    lists: dict[int, list[int]] = {}
    for user, item in zip(log.user.tolist(), log.item.tolist(), strict=True):
        lists.setdefault(user, []).append(item)
    for name, part in (("train.txt", slice(3, None)), ("test.txt", slice(0, 3))):
        text = "\n".join(" ".join(map(str, [user, *items[part]])) for user, items in lists.items())
        (tmp_path / name).write_text(text)
    words = ("--train", tmp_path / "train.txt", "--test", tmp_path / "test.txt")
    found = json.loads(run("compare", *words, "--models", "spectral", "--json").stdout)
    assert (found["protocol"], found["users"]) == ("ready", 80)
    assert run("train", *words, "--model", "ease", "--out", tmp_path / "m").exit_code == 0
    assert "needs both" in run("compare", *words[:2]).stderr
    assert "its own protocol" in run("compare", *words, "--protocol", "article").stderr


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


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["recommend", "{bundle}", "--user", "u999"], 4, "no user 'u999'"),
        (["recommend", "{bundle}", "--user", "u3", "--k", "61"], 2, "catalogue has only 60 items"),
        (["recommend", "{bundle}", "--user", "u3", "--k", "0"], 2, "k is 0"),
        (["recommend", "{bundle}", "--feature", "age"], 2, "--feature 'age' is not of the form NAME=VALUE"),
        (["recommend", "{bundle}", "--feature", "age=3"], 2, "trained without any"),
        (["recommend", "{bundle}", "--history", "two"], 4, "'two' is no item id: ids here are whole numbers"),
        (["recommend", "{bundle}", "--history", " , "], 2, "--history names no item"),
        (["compare", "--data", "{log}", "--models", ","], 2, "--models names no model"),
        (["compare", "--data", "{log}", "--models", "ncf", "--set", "ncf.dim=2"], 2, "NCFConfig.dim is 2, but it must"),
        (["train", "--data", "{log}", "--out", "{tmp}/m", "--set", "device=tpu"], 2, "device 'tpu' cannot be used"),
        (["recommend", "{tmp}/nothing", "--user", "1"], 5, "no bundle at"),
        (["similar-items", "{bundle}", "999"], 4, "no item 999; nearest: 59"),
        (["similar-users", "{bundle}", "nobody"], 4, "no user 'nobody'"),
        (["train", "--data", "ml-100", "--out", "{tmp}/m"], 2, "did you mean 'ml-100k'"),
        (["train", "--data", "{tmp}/none.csv", "--out", "{tmp}/m"], 3, "there is no file"),
        (["train", "--out", "{tmp}/m"], 2, "name the data with --data"),
        (["train", "--data", "{log}", "--model", "mff", "--out", "{tmp}/m"], 2, "did you mean 'mf'"),
        (["train", "--data", "{log}", "--out", "{tmp}/m", "--set", "dims=3"], 2, "did you mean 'dim'"),
        (["train", "--data", "{log}", "--out", "{tmp}/m", "--set", "dim"], 2, "FIELD=VALUE"),
        (["train", "--data", "{log}", "--out", "{bundle}"], 5, "holds a model already"),
        (["train", "--data", "{log}", "--out", "{tmp}/m", "--protocol", "artcle"], 2, "did you mean 'article'"),
        (["train", "--data", "{log}", "--out", "{tmp}/m", "--resume"], 9, "no checkpoint at"),
        (["train", "--data", "{log}", "--out", "{tmp}/m", "--duplicates", "some"], 2, "duplicates is 'some'"),
        (["train", "--data", "{log}", "--out", "{tmp}/m", "--format", "xml"], 2, "format is 'xml'"),
        (["train", "--data", "{log}", "--out", "{tmp}/m", "--item-column", "itm"], 3, "did you mean 'item'"),
        (["evaluate", "{bundle}", "--data", "{log}"], 2, "--protocol article"),
        (["compare", "--data", "{log}", "--models", "mf,eas"], 2, "no model 'eas'; did you mean 'ease'"),
        (["compare", "--data", "{log}", "--seeds", "0"], 2, "seeds is 0"),
        (["compare", "--data", "{log}", "--k", "61"], 2, "k is 61, but the catalogue has only 60 items"),
        (["evaluate", "{bundle}", "--data", "{log}", "--protocol", "article", "--k", "99"], 2, "k is 99, but"),
        (["compare"], 2, "name the data"),
        (["compare", "--data", "{log}", "--protocol", "article,artcle"], 2, "did you mean 'article'"),
        (["compare", "--data", "{log}", "--set", "epochs=2"], 2, "does not say of which model"),
        (["compare", "--data", "{log}", "--set", "mff.epochs=2"], 2, "did you mean 'mf'"),
        (["compare", "--data", "{log}", "--set", "mf.epoch=2"], 2, "did you mean 'epochs'"),
        (["compare", "--data", "{log}", "found.json"], 2, "'found.json' is not expected here"),
        (["compare", "--data", "{log}", "--json", "{tmp}"], 2, "cannot be written"),
        (["compare", "--data", "{log}", "--json", "{log}/x.json"], 2, "cannot be written"),
        (["fetch", "ml-1m"], 2, "no public data set 'ml-1m'"),
        (["fetch", "ml-100k", "--from", "{tmp}/none.zip"], 3, "no file or folder"),
    ],
)
def test_anything_wrong_is_one_sentence_and_a_code(
    words: list[str], code: int, message: str, bundle: Path, log_file: Path, tmp_path: Path
) -> None:
    done = run(*(word.format(bundle=bundle, log=log_file, tmp=tmp_path) for word in words))
    assert done.exit_code == code, done.output
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr
    assert "Traceback" not in done.output
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


BAD_LOGS = {
    "missing column": ("who,item\na,1\n", "no column with a usual name for the user (its columns: 'who', 'item')"),
    "unparsable row": ("user,item,rating\na,1,5\nb,2,lots\n", "line 3, has 'lots' in column 'rating'"),
    "not a number": ("user,item,rating\na,1,nan\n", "line 2, has 'nan' in column 'rating'"),
    "negative time": ("user,item,timestamp\na,1,-5\n", "line 2, has a time before 1970"),
    "empty": ("", "is empty"),
    "header alone": ("user,item\n", "has a header, but no rows"),
    "one row": ("user,item\na,1\n", "protocol article leaves no positive row to test on"),
    "repeats": ("user,item\na,1\na,1\nb,2\n", "repeats a (user, item) pair in 1 rows"),
    "too few cells": ("user,item\na,1\nb\n", "line 3, has 1 columns, but the header has 2"),
}


@pytest.mark.parametrize("name", BAD_LOGS)
def test_a_bad_log_is_one_sentence(name: str, tmp_path: Path) -> None:
    text, message = BAD_LOGS[name]
    (tmp_path / "log.csv").write_text(text)
    done = run("compare", "--data", tmp_path / "log.csv")
    assert done.exit_code == 3, done.output
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_latin_1_is_named_and_read_when_stated(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    rows = "".join(f"u{n % 5},caf\xe9{n},5\n" for n in range(50))
    path.write_bytes(("user,item,rating\n" + rows).encode("latin-1"))
    assert "--encoding latin-1" in run("compare", "--data", path).stderr
    assert run("compare", "--data", path, "--encoding", "latin-1", "--models", "ease").exit_code == 0


def test_every_error_has_an_exit_code_of_its_own() -> None:
    from tastespace import errors
    from tastespace.cli.errors import _code

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert {_code(kind("x")) for kind in kinds} == {1, 2, 3, 4, 5, 6, 7, 8, 9}


@pytest.mark.parametrize("delay", [0.3, 1.0])
def test_ctrl_c_in_training_leaves_nothing_half_written(log_file: Path, tmp_path: Path, delay: float) -> None:
    words = ["train", "--data", log_file, "--out", tmp_path / "m", "--set", "epochs=100000", "--set", "patience=100000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tastespace", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    while "parameters" not in process.stdout.readline():  # the forecast is told right before the first epoch
        assert process.poll() is None
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.startswith("Error: interrupted; no model was written")
    assert "Traceback" not in errors
    assert not (tmp_path / "m").exists()
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= {".m.checkpoint"}
    assert ("--resume" in errors) == bool(left)


def test_a_protocol_under_both_its_names_is_run_once(log_file: Path) -> None:
    words = ["compare", "--data", log_file, "--models", "item_knn", "--k", 5, "--json"]
    figures = json.loads(run(*words, "--protocol", "article,random-80-20").stdout)
    assert figures["protocol"] == "article"
