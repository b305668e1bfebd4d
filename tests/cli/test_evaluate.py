"""The command `evaluate`."""

import json
from pathlib import Path

import pytest

from tastespace.data.synthetic import checkerboard
from tests.cli.conftest import run

pytestmark = pytest.mark.usefixtures("cache")


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


def test_a_protocol_of_times_on_a_log_without_them_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text("user,item\n" + "".join(f"u{n % 4},{n % 7}\n" for n in range(28)))
    failed = run("train", "--data", file, "--out", tmp_path / "out", "--protocol", "at-time")
    assert failed.exit_code == 3
    assert "needs times, but the log has none; name their column with --time-column" in failed.output


def test_rules_are_applied_and_judged(film_model: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("pin: [{item: 57, place: 1}]\nmmr: 0.5\n")
    found = json.loads(run("recommend", film_model, "--user", 3, "--rules", tmp_path / "rules.yaml", "--json").stdout)
    assert found["items"][0]["item"] == 57
    (tmp_path / "wrong.yaml").write_text("mmr: 0.5\npinn: 3\n")
    wrong = run("recommend", film_model, "--user", 3, "--rules", tmp_path / "wrong.yaml")
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
