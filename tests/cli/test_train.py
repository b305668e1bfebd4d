"""The command `train`."""

import json
import shlex
import signal
import time
from pathlib import Path

import pytest

from tastespace.data.synthetic import checkerboard, planted_taste
from tests.cli.conftest import run, start, write_log

pytestmark = pytest.mark.usefixtures("cache")


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


def test_train_tells_the_health_of_its_vectors(log_file: Path, tmp_path: Path) -> None:
    words = ("train", "--data", log_file, "--set", "epochs=2", "--set", "dim=8", "--out", tmp_path / "m")
    assert "item embeddings: effective rank " in run(*words).stdout
    found = json.loads(run(*words, "--force", "--json").stdout)
    assert found["health"] == json.loads((tmp_path / "m" / "manifest.json").read_text())["health"]
    assert found["health"]["users"]["rows"] == 80


def test_a_model_that_loses_to_counting_ends_with_the_command_that_trains_the_better_one(
    tmp_path: Path,
) -> None:
    log, out = write_log(tmp_path / "my log.csv", planted_taste(300, 200, 20, n_tastes=10, skew=0.3)), tmp_path / "m"
    words = ("train", "--data", log, "--protocol", "article", "--model", "popularity", "--out", out)
    (tmp_path / "c.toml").write_text('model = "popularity"')
    done = run(*words, "--set", "days=9", "--config", tmp_path / "c.toml")
    assert "  validation NDCG@10: popularity 0." in done.stdout
    better = f"tastespace train --model item_knn --data '{log}' --out {out} --protocol article --force"
    assert done.stderr.strip().endswith(f"train it with: {better}")
    found = json.loads(run(*words, "--force", "--json").stdout)["baselines"]
    assert found["better"] == "item_knn"
    assert found == json.loads((out / "manifest.json").read_text())["baselines"]
    told = run("info", out)
    assert told.stdout.startswith("popularity, trained on my log.csv (300 users, 200 items, ")
    assert "validation NDCG@10: popularity" in told.stdout
    evaluated = run("evaluate", out, "--data", log, "--protocol", "article")
    explained = run("explain", out, "3", "--user", "u1")
    for repeated in (told, evaluated, explained):
        assert "warning: item_knn, which only counts co-occurrences, is significantly better" in repeated.stderr
    for command in (("info", out), ("evaluate", out, *words[1:5]), ("explain", out, "3", "--user", "u1")):
        assert json.loads(run(*command, "--json").stdout)["baselines"] == found
    repaired = shlex.split(better)[1:]
    assert run(*repaired).exit_code == 0
    assert "warning" not in run("info", out).stderr


def test_no_baselines_no_comparison(log_file: Path, tmp_path: Path) -> None:
    words = ("train", "--data", log_file, "--out", tmp_path / "m", "--model", "popularity", "--no-baselines", "--json")
    assert json.loads(run(*words).stdout)["baselines"] is None
    assert run("info", tmp_path / "m").stderr == ""


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


def test_latin_1_is_named_and_read_when_stated(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    rows = "".join(f"u{n % 5},caf\xe9{n},5\n" for n in range(50))
    path.write_bytes(("user,item,rating\n" + rows).encode("latin-1"))
    assert "--encoding latin-1" in run("compare", "--data", path).stderr
    assert run("compare", "--data", path, "--encoding", "latin-1", "--models", "ease").exit_code == 0


@pytest.mark.parametrize("delay", [0.3, pytest.param(1.0, marks=pytest.mark.release)])
def test_ctrl_c_in_training_leaves_nothing_half_written(log_file: Path, tmp_path: Path, delay: float) -> None:
    words = ["train", "--data", log_file, "--out", tmp_path / "m", "--set", "epochs=100000", "--set", "patience=100000"]
    process = start(*words)
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
