"""Tuning: what is searched, on which rows, and what a study keeps."""

import builtins
import multiprocessing
import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

import tastespace as ts
from tastespace.data.dataset import Dataset
from tastespace.data.split import Split, split, whole
from tastespace.errors import MemoryLimitError, OptionError, TooLittleDataError, TrainingError
from tastespace.evaluation import Evaluator
from tastespace.experiments.tuning import tuner as tuning_module
from tastespace.experiments.tuning.tuner import Tuner, _pack, _unpack
from tests.build import dataset

SHORT = {"epochs": 3, "loss": "softmax", "dim": 8}
SMALL = {"dim": 8, "iterations": 2}


@pytest.fixture(scope="module")
def on(board: Dataset) -> Split:
    return split(board, "article")


def figures(tuning: ts.Tuning) -> list[tuple[int, Mapping[str, Any], str, float | None]]:
    return [(trial.number, trial.settings, trial.state, trial.value) for trial in tuning.trials]


def test_the_first_trial_has_the_defaults_and_its_value_is_that_of_train(on: Split) -> None:
    default = ts.tune("mf", on, trials=1, settings={"epochs": 3}).trials[0]
    fit = ts.train("mf", on, epochs=3, refit=False)
    at_best = Evaluator(on.for_validation()).mean(fit.model.scorer(), "ndcg")
    assert (default.is_default, default.settings) == (True, {})
    assert default.value == pytest.approx(at_best)


def test_a_model_in_closed_form_is_judged_on_the_validation_rows(on: Split) -> None:
    default = ts.tune("spectral", on, trials=1).trials[0]
    inner = on.for_validation()
    assert default.value == Evaluator(inner).mean(ts.train("spectral", inner).model.scorer(), "ndcg")


@pytest.mark.parametrize(("model", "settings"), [("mf", SHORT), ("ials", SMALL)])
def test_test_rows_change_nothing(model: str, settings: Mapping[str, Any], on: Split) -> None:
    moved = replace(on.test, item=(on.test.item + 1) % on.test.n_items)
    other = replace(on, test=moved)
    assert other.fingerprint() != on.fingerprint()
    found = [ts.tune(model, rows, trials=3, settings=settings) for rows in (on, other)]
    assert figures(found[0]) == figures(found[1])


def test_drawn_options_lie_in_their_ranges_and_reach_the_model(on: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []
    monkeypatch.setattr(tuning_module, "fit", lambda *args, **kw: trained.append(kw) or ts.fit(*args, **kw))
    tuning = ts.tune("mf", on, trials=6, settings={"epochs": 1})
    assert trained[0]["options"].epochs == 1
    for trial, call in zip(tuning.trials[1:], trained[1:], strict=True):
        for name, value in trial.settings.items():
            assert tuning.searched[name].contains(value)
            assert value == getattr(call["config"], name, getattr(call["options"], name, None))
        loss = trial.settings["loss"]
        assert ("negatives" in trial.settings) == (loss in ("bpr", "bce", "gbce"))
        assert ("temperature" in trial.settings) == (loss in ("softmax", "sampled-softmax"))
        assert not trial.settings["dim"] & (trial.settings["dim"] - 1)


def test_what_the_defaults_settled_is_not_settled_again(on: Split) -> None:
    tuning = ts.tune("mf", on, trials=2, only=["dim"], settings={"epochs": 1})
    default = ts.train("mf", on, epochs=1, baselines=False).model.config
    assert tuning.trials[0].settings == {}
    assert tuning.trials[1].settings == {
        "learning_rate": 0.02,
        "recency": default.recency,
        "temperature": default.temperature,
        "degree_exponent": default.degree_exponent,
        "dim": tuning.trials[1].settings["dim"],
    }


def test_the_sampler_knows_where_the_defaults_are(on: Split) -> None:
    only = ["dim", "batch_size", "learning_rate", "negatives", "loss"]
    tuner = Tuner.open("mf", on, metric="ndcg@10", only=only, settings={"epochs": 1})
    tuner.run(trials=1)
    (trial,) = tuner.study._study.trials
    assert trial.params == {"log2(dim)": 6, "log2(batch_size)": 12, "learning_rate": 0.02, "loss": "softmax"}


def test_heads_always_divide_the_dimension(ring: Dataset) -> None:
    rows = split(ring, "leave-last-out")
    only = ["dim", "heads"]
    tuning = ts.tune("sasrec", rows, trials=5, only=only, settings={"epochs": 1, "validate_every": 1, "max_length": 20})
    assert not tuning.failed
    assert len({trial.settings["heads"] for trial in tuning.trials[1:]}) > 1


def test_equal_seeds_give_equal_trials_and_other_seeds_others(on: Split) -> None:
    first, same, other = (ts.tune("ials", on, trials=3, seed=seed, settings=SMALL) for seed in (0, 0, 1))
    assert figures(first) == figures(same)
    assert figures(first)[1:] != figures(other)[1:]
    assert figures(first)[0] == figures(other)[0]


def test_a_resumed_study_is_that_of_one_run(on: Split, tmp_path: Path) -> None:
    at_once = ts.tune("ials", on, trials=13, settings=SMALL)
    ran = []
    for trials in (2, 5, 13):
        tuning = ts.tune("ials", on, trials=trials, study=tmp_path / "s.db", on_trial=ran.append, settings=SMALL)
        assert len(tuning.trials) == trials
    assert [trial.number for trial in ran] == list(range(13))
    assert figures(tuning) == figures(at_once)
    assert (tuning.difference, tuning.importance) == (at_once.difference, at_once.importance)
    assert ts.tune("ials", on, trials=13, study=tmp_path / "s.db", settings=SMALL).trials == tuning.trials


def test_the_best_is_compared_with_the_defaults_user_by_user(on: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    names = iter(["popularity", *["ials"] * 7])  # so the defaults are not the best
    monkeypatch.setattr(tuning_module, "fit", lambda _, rows, **__: ts.train(next(names), rows, baselines=False))
    tuning = ts.tune("ials", on, trials=8, settings=SMALL)
    best, default, gain = tuning.best, tuning.default, tuning.difference
    assert best is not None and default is not None and gain is not None  # noqa: PT018
    assert best.value == max(trial.value for trial in tuning.trials if trial.value is not None)
    assert gain.value == pytest.approx(best.value - default.value, abs=1e-6)
    assert gain.low <= gain.value <= gain.high
    assert f"{best.value:.4f} in trial {best.number} of 8, defaults {default.value:.4f}" in tuning.describe()


def test_the_chosen_settings_train_to_the_same_validation_value(on: Split) -> None:
    tuning = ts.tune("mf", on, trials=4, metric="recall@10", settings=SHORT)
    assert {**SHORT, "metric": "recall@10"}.items() <= tuning.settings.items()
    fit = ts.train("mf", on, **{**tuning.settings, "refit": False})
    assert tuning.best is not None
    assert max(epoch.metric for epoch in fit.history if epoch.metric is not None) == tuning.best.value


def test_slow_starters_are_stopped_early(on: Split) -> None:
    tuning = ts.tune("mf", on, trials=12, only=["learning_rate"], settings={"epochs": 8, "dim": 8})
    stopped = [trial for trial in tuning.trials if trial.state == "stopped early"]
    assert stopped
    assert all(4 <= trial.epochs < 8 for trial in stopped)
    assert tuning.best is not None
    assert tuning.best.state == "finished"
    assert not {trial.number for trial in stopped} & {trial.number for trial in tuning.front()}


def test_importance_needs_ten_trials_and_finds_what_matters(on: Split) -> None:
    assert ts.tune("ials", on, trials=9, settings=SMALL).importance == {}
    settings = {"epochs": 3, "loss": "softmax", "dim": 8}
    found = ts.tune("mf", on, trials=16, only=["learning_rate", "weight_decay"], settings=settings)
    assert found.importance["learning_rate"] > found.importance["weight_decay"]
    assert sum(found.importance.values()) == pytest.approx(1)


@pytest.mark.parametrize("error", [TrainingError("the loss became nan"), MemoryLimitError("too large"), MemoryError()])
def test_a_failed_trial_is_recorded_and_the_search_goes_on(
    error: Exception, on: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def fails_once(*args: Any, **keywords: Any) -> ts.Fit:
        calls.append(1)
        if len(calls) == 2:
            raise error
        return ts.fit(*args, **keywords)

    monkeypatch.setattr(tuning_module, "fit", fails_once)
    tuning = ts.tune("ials", on, trials=4, settings=SMALL)
    assert [trial.state for trial in tuning.trials] == ["finished", "failed", "finished", "finished"]
    (failed,) = tuning.failed
    assert (failed.number, failed.value) == (1, None)
    assert failed.error == (str(error) or "this machine has not enough free memory for that")


def test_fixed_options_that_no_trial_could_do_with_end_the_search(on: Split) -> None:
    with pytest.raises(OptionError, match="device 'cuda:77' cannot be used here"):
        ts.tune("mf", on, trials=2, settings={"device": "cuda:77"})


def test_a_search_of_failures_says_so(on: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise TrainingError("no")

    monkeypatch.setattr(tuning_module, "fit", fails)
    tuning = ts.tune("ials", on, trials=2, settings=SMALL)
    assert (tuning.best, tuning.default, tuning.front(), tuning.settings) == (None, None, [], SMALL)
    assert "none of 2 trials has finished" in tuning.describe()


def test_a_bug_is_not_a_recorded_trial(on: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(tuning_module, "fit", breaks)
    with pytest.raises(ZeroDivisionError):
        ts.tune("ials", on, trials=2, settings=SMALL)


def test_an_interruption_loses_the_trial_in_hand_alone(
    on: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def interrupted_in_the_first_and_the_fourth(*args: Any, **keywords: Any) -> ts.Fit:
        calls.append(1)
        if len(calls) in (1, 4):
            raise KeyboardInterrupt
        return ts.fit(*args, **keywords)

    monkeypatch.setattr(tuning_module, "fit", interrupted_in_the_first_and_the_fourth)
    for kept in (0, 2):
        tuner = Tuner.open("ials", on, metric="ndcg@10", settings=SMALL, study=tmp_path / "s.db")
        with pytest.raises(KeyboardInterrupt):
            tuner.run(trials=5)
        assert len(tuner.result().trials) == kept
    tuning = ts.tune("ials", on, trials=5, study=tmp_path / "s.db", settings=SMALL)
    assert [trial.state for trial in tuning.trials] == ["finished"] * 5
    assert tuning.trials[0].is_default  # the defaults were run again
    assert [trial.is_default for trial in tuning.trials[1:]] == [False] * 4


def test_a_budget_ends_the_search_but_not_before_the_defaults(on: Split) -> None:
    tuning = ts.tune("mf", on, budget=1e-9, settings=SHORT)
    assert tuning.trials == ()
    tuner = Tuner.open("mf", on, metric="ndcg@10", settings=SHORT)
    clock = iter([0.0, 0.0, *[100.0] * 1000])
    tuning_module_time = tuning_module.time
    try:
        tuning_module.time = type("Clock", (), {"monotonic": lambda: next(clock), "perf_counter": lambda: 0.0})
        tuner.run(budget=10)
    finally:
        tuning_module.time = tuning_module_time
    assert [(trial.state, trial.epochs) for trial in tuner.result().trials] == [("finished", 3)]


def test_a_budget_ends_the_trial_in_hand(on: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    tuner = Tuner.open("mf", on, metric="ndcg@10", settings=SHORT)
    tuner.run(trials=1)
    clock = iter([0.0, 0.0, *[100.0] * 1000])
    monkeypatch.setattr(
        tuning_module, "time", type("Clock", (), {"monotonic": lambda: next(clock), "perf_counter": lambda: 0.0})
    )
    tuner.run(budget=10)
    assert [(trial.state, trial.epochs) for trial in tuner.result().trials] == [("finished", 3), ("stopped early", 1)]


def _tune_in_a_process(folder: Path, trials: int) -> ts.Tuning:
    board = ts.split(ts.read(folder / "log.csv"), "article")
    return ts.tune("ials", board, trials=trials, study=folder / "s.db", only=["l2"], settings=SMALL)


def test_several_processes_share_a_study(tmp_path: Path, on: Split) -> None:
    rows = on.dataset.interactions
    text = "".join(f"{user},{item}\n" for user, item in zip(rows.user, rows.item, strict=True))
    (tmp_path / "log.csv").write_text("user,item\n" + text)
    process = multiprocessing.get_context("spawn").Process(target=_tune_in_a_process, args=(tmp_path, 8))
    process.start()
    _tune_in_a_process(tmp_path, 8)
    process.join(120)
    assert process.exitcode == 0
    tuning = _tune_in_a_process(tmp_path, 8)
    assert 8 <= len(tuning.trials) <= 9  # both may have begun the last one
    assert sum(trial.is_default for trial in tuning.trials) in (1, 2)
    drawn = [trial.settings["l2"] for trial in tuning.trials if not trial.is_default]
    assert len(set(drawn)) == len(drawn)  # none repeats another


@pytest.fixture(scope="module")
def one_trial(on: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one trial."""
    file = tmp_path_factory.mktemp("study") / "s.db"
    ts.tune("ials", on, trials=1, study=file, settings=SMALL)
    return file


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"name": "spectral", "settings": {}}, "model, set, searched options"),
        ({"rows": "random-811"}, "data, protocol"),
        ({"metric": "recall@10"}, "metric"),
        ({"settings": {**SMALL, "l2": 1.0}}, "set, searched options"),
        ({"only": ["l2"]}, "searched options"),
    ],
)
def test_the_study_of_another_search_is_refused(
    changes: dict[str, Any], differs: str, board: Dataset, on: Split, one_trial: Path, tmp_path: Path
) -> None:
    shutil.copy(one_trial, tmp_path / "s.db")
    rows = split(board, changes.pop("rows")) if "rows" in changes else on
    name = changes.pop("name", "ials")
    with pytest.raises(OptionError, match=rf"study of another search \(its {differs} differ\); go on with the same"):
        ts.tune(name, rows, trials=2, study=tmp_path / "s.db", **{"settings": SMALL, **changes})


def test_what_is_no_study_is_refused(on: Split, tmp_path: Path) -> None:
    def message(file: Path) -> str:
        with pytest.raises(OptionError) as caught:
            ts.tune("ials", on, trials=1, study=file, settings=SMALL)
        return str(caught.value)

    (tmp_path / "text").write_text("no database, but long enough to look at\n" * 50)
    assert "is not a study (file is not a database)" in message(tmp_path / "text")
    with sqlite3.connect(tmp_path / "other") as connection:
        connection.execute("CREATE TABLE rows (id)")
    connection.close()
    assert "is a database of something else, not a study" in message(tmp_path / "other")
    assert "it is a folder" in message(tmp_path)
    assert "cannot be used" in message(tmp_path / "text" / "s.db")
    foreign = optuna.create_study(storage=f"sqlite:///{tmp_path / 'foreign'}", study_name="tastespace")
    foreign.add_trial(optuna.trial.create_trial(value=1.0))
    assert "a study of another program" in message(tmp_path / "foreign")
    with sqlite3.connect(tmp_path / "damaged") as connection:
        connection.execute("CREATE TABLE studies (a)")
    connection.close()
    assert "cannot be read or written" in message(tmp_path / "damaged")


@pytest.mark.parametrize(
    "name", ["a?b#c.db", "a%20{b}.db", *(pytest.param(name, marks=pytest.mark.release) for name in ("a b.db", "é.db"))]
)
def test_a_study_may_have_any_name(name: str, on: Split, tmp_path: Path) -> None:
    ts.tune("ials", on, trials=1, study=tmp_path / "made" / name, settings=SMALL)
    assert [file.name for file in (tmp_path / "made").iterdir()] == [name]
    assert len(ts.tune("ials", on, trials=2, study=tmp_path / "made" / name, settings=SMALL).trials) == 2


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"trials": 0}, "trials is 0, but at least 1"),
        ({"budget": 0.0}, "budget is 0.0, but a positive number"),
        ({"budget": float("nan")}, "budget is nan"),
        ({"metric": "auc"}, "'auc' is no ranking metric"),
        ({"settings": {"metric": "recall@5"}}, "metric cannot be set for tuning; use --metric"),
        ({"settings": {"train_on_validation": True}}, "train_on_validation cannot be set for tuning"),
        ({"settings": {"refit": False}}, "refit cannot be set for tuning"),
        ({"settings": {"dimm": 8}}, "did you mean 'dim'"),
        ({"settings": {"dim": "wide"}}, "cannot be read"),
    ],
)
def test_options_of_the_search_are_checked(keywords: dict[str, Any], message: str, on: Split) -> None:
    with pytest.raises(OptionError, match=message):
        ts.tune("mf", on, **keywords)


def test_a_log_without_validation_rows_is_refused() -> None:
    tiny = whole(dataset([(0, 0), (1, 1)]))
    with pytest.raises(TooLittleDataError, match="tiny: protocol all leaves no validation rows to tune on"):
        ts.tune("mf", tiny)


def test_without_optuna_the_error_says_how_to_install_it(on: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **keywords: Any) -> Any:
        if name == "optuna":
            raise ImportError("No module named 'optuna'")
        return real(name, *args, **keywords)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(OptionError, match=r"tuning needs Optuna.*pip install 'tastespace\[tune\]'"):
        ts.tune("mf", on)


def test_values_of_users_survive_a_study_and_damage_is_nothing() -> None:
    values = np.array([0.0, 0.5, 1.0])
    assert np.array_equal(_unpack(_pack(values)), values)
    for damaged in (None, 3, "", "AAAA", "é", _pack(values)[:-8]):
        found = _unpack(damaged)
        assert found is None or len(found) <= 3


def test_new_users_are_tuned_on_validation_users(board: Dataset) -> None:
    tuning = ts.tune("mf", split(board, "new-users"), trials=2, settings=SHORT)
    assert [trial.state for trial in tuning.trials] == ["finished"] * 2
    assert tuning.users > 0
