"""The command `tune`, and `train --config`."""

import json
import signal
import tomllib
from pathlib import Path

import pytest

from tastespace.cli.tune import parse_duration
from tastespace.errors import OptionError
from tests.cli.conftest import run, start

pytestmark = pytest.mark.usefixtures("cache")
FAST = ("--model", "ials", "--set", "dim=8", "--set", "iterations=2")


def test_a_tuned_config_is_trained(log_file: Path, tmp_path: Path) -> None:
    words = ("tune", "--data", log_file, "--protocol", "article", *FAST, "--study", tmp_path / "s.db")
    out, html = tmp_path / "best.toml", tmp_path / "page.html"
    done = run(*words, "--trials", 10, "--out", out, "--html", html)
    assert done.exit_code == 0, done.output
    assert "trial 0: ndcg@10" in done.stdout
    assert "trial 9: ndcg@10" in done.stdout
    assert "importance" in done.stdout
    assert "quality against training time" in done.stdout
    assert f"next: tastespace train --data {log_file} --protocol article --config {out}" in done.stdout
    assert html.read_text().startswith("<!DOCTYPE html>")
    written = tomllib.loads(out.read_text())
    again = run(*words, "--trials", 10, "--json")
    found = json.loads(again.stdout)
    assert (len(found["trials"]), found["study"]) == (10, str(tmp_path / "s.db"))
    assert written == {"model": "ials", "settings": {**found["fixed"], **found["best"]["settings"]}}
    trained = run("train", "--data", log_file, "--config", out, "--out", tmp_path / "m", "--set", "iterations=3")
    assert trained.exit_code == 0, trained.output
    config = json.loads((tmp_path / "m" / "manifest.json").read_text())["config"]
    assert {**written["settings"], "iterations": 3}.items() <= config.items()


def test_without_out_the_words_to_train_with_are_printed(log_file: Path, tmp_path: Path) -> None:
    done = run("tune", "--data", log_file, *FAST, "--only", "l2", "--trials", 2, "--study", tmp_path / "s.db")
    assert f"next: tastespace train --data {log_file} --model ials --set dim=8 --set iterations=2" in done.stdout
    assert "importance needs 10 trials" in done.stdout


def test_the_study_lies_in_a_folder_of_its_own(log_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "study: studies/ials.db, 0 trials so far" in run("tune", "--data", log_file, *FAST, "--trials", 1).stdout
    assert "study: studies/ials.db, 1 trials so far" in run("tune", "--data", log_file, *FAST, "--trials", 1).stdout
    refused = run("tune", "--data", log_file, *FAST, "--metric", "recall@5", "--trials", 1)
    assert refused.exit_code == 2
    assert "the study of another search (its metric differ)" in refused.stderr


def test_ctrl_c_tells_the_best_so_far_and_how_to_go_on(log_file: Path, tmp_path: Path) -> None:
    words = ["tune", "--data", log_file, "--set", "dim=8", "--set", "epochs=3", "--trials", 1000]
    words += ["--study", tmp_path / "s.db", "--out", tmp_path / "best.toml"]
    process = start(*words)
    assert process.stdout is not None
    while not process.stdout.readline().startswith("trial 2:"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "ndcg@10 on validation rows: " in output
    assert "the same command goes on from the" in errors
    assert "Traceback" not in errors
    assert tomllib.loads((tmp_path / "best.toml").read_text())["model"] == "mf"
    kept = json.loads(run(*words[:7], "--trials", 1, "--study", tmp_path / "s.db", "--json").stdout)
    assert [trial["number"] for trial in kept["trials"]] == list(range(len(kept["trials"])))
    assert len(kept["trials"]) >= 3


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("2h", 7200), ("0.5m", 30), (" 1s ", 1)])
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "10", "m", "-1s", "0s", "0.0h", "1d", "1e3s", "nan", "infs", "10 m", "१s", "9" * 50 + "s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="is no duration; 90s, 10m or 2h is expected"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--only", "dimm"), "did you mean 'dim'"),
        (("--set", "dimm=3"), "did you mean 'dim'"),
        (("--trials", "0"), "trials is 0"),
        (("--budget", "soon"), "is no duration"),
        (("--out", "/"), "/ cannot be written"),
        (("--model", "mff"), "did you mean 'mf'"),
    ],
)
def test_wrong_options_end_before_any_training(
    words: tuple[str, ...], message: str, log_file: Path, tmp_path: Path
) -> None:
    done = run("tune", "--data", log_file, "--study", tmp_path / "s.db", *words)
    assert (done.exit_code, message in done.stderr) == (2, True), done.output
    assert "trial 0" not in done.stdout


def test_a_config_file_of_another_model_is_refused(log_file: Path, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('model = "ials"\n[settings]\ndim = 8\n')
    words = ("train", "--data", log_file, "--config", tmp_path / "c.toml", "--out", tmp_path / "m")
    assert "is for ials, not for mf; leave --model out" in run(*words, "--model", "mf").stderr
    assert run(*words, "--model", "ials").exit_code == 0
    (tmp_path / "c.toml").write_text('model = "ials"\n[settings]\ndimm = 8\n')
    refused = run(*words, "--force")
    assert refused.exit_code == 2
    assert "c.toml: ials has no option 'dimm'; did you mean 'dim'" in refused.stderr
