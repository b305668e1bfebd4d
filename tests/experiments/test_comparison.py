"""Comparison: documented rows, references that may be skipped, and results that survive an interruption."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import tastespace as ts
from tastespace.data.dataset import Dataset
from tastespace.data.interactions import Interactions
from tastespace.data.split import Split, ready_split
from tastespace.data.synthetic import checkerboard
from tastespace.errors import DataError, OptionError, TooLittleDataError, TrainingError
from tastespace.experiments import comparison, results
from tastespace.experiments.comparison import REFERENCES
from tastespace.training.fit import configure

SETTINGS = {"mf": {"epochs": 3, "dim": 8, "search": False}}


def timed_board() -> Dataset:
    rows = checkerboard().interactions
    time = np.arange(len(rows), dtype=np.float64)
    return Dataset("board", Interactions.of(rows.user, rows.item, rows.users, rows.items, time=time))


@pytest.fixture(scope="module")
def split() -> Split:
    return ts.split(timed_board(), "article")


def compared(split: Split, **more: object) -> dict[str, object]:
    return ts.compare(["mf"], split, seeds=2, settings=SETTINGS, progress=False, **more).to_json()  # type: ignore[arg-type]


def without_seconds(figures: object) -> object:
    if isinstance(figures, dict):
        return {key: without_seconds(value) for key, value in figures.items() if "seconds" not in key}
    return [without_seconds(value) for value in figures] if isinstance(figures, list) else figures


def no_training(*_: object, **__: object) -> object:
    raise AssertionError("trained again")


def test_a_row_holds_what_the_formats_promise(split: Split) -> None:
    found = compared(split)
    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
    for row in found["rows"]:
        for key in row:
            assert f'"{key.replace("_ci", "").split("@")[0]}' in text, key
    assert [row["model"] for row in found["rows"]] == ["mf", *REFERENCES]
    mf, popularity = found["rows"][:2]
    assert (mf["seeds"], popularity["seeds"]) == ([0, 1], [0])
    for metric in ("recall@10", "ndcg@10", "coverage@10", "train_seconds"):
        assert np.mean(mf["by_seed"][metric]) == pytest.approx(mf[metric])
    assert mf["by_seed"]["ndcg@10"][0] != mf["by_seed"]["ndcg@10"][1]
    assert [epoch["epoch"] for epoch in mf["history"]] == [1, 2, 3]
    assert mf["metric_name"] == "ndcg@10"
    assert max(epoch["metric"] for epoch in mf["history"]) == mf["history"][mf["epochs"] - 1]["metric"]
    assert (mf["config"]["dim"], mf["options"]["epochs"], mf["options"]["seed"]) == (8, 3, 1)
    assert mf["parameters"] > 8 * (80 + 60)
    assert mf["health"]["items"]["dim"] == 8
    assert (popularity["history"], popularity["metric_name"], popularity["health"]) == ([], None, None)
    assert popularity["parameters"] == 0
    json.dumps(found, allow_nan=False)


def test_seeds_count_from_the_seed_that_is_set(split: Split) -> None:
    settings = {"mf": {**SETTINGS["mf"], "seed": 7}}
    found = ts.compare(["mf"], split, seeds=2, settings=settings)
    assert [result.seed for result in found.row("mf").results] == [7, 8]
    with pytest.raises(OptionError, match="'als' is not in this comparison"):
        found.row("als")


def test_settings_of_a_model_that_is_not_compared_are_refused(split: Split) -> None:
    with pytest.raises(OptionError, match="settings for 'eas', which is not compared; did you mean 'ease'"):
        ts.compare(["mf"], split, settings={"eas": {"l2": 5.0}})


def test_without_times_recent_popularity_is_skipped_with_its_reason(board: Dataset) -> None:
    found = ts.compare(["popularity"], ts.split(board, "article"))
    assert [row.model for row in found.rows] == ["popularity", "item_knn", "ease"]
    assert "needs a log with times" in found.skipped["recent_popularity"]


def test_references_can_be_left_out(split: Split) -> None:
    found = ts.compare(["popularity", "item_knn"], split, references=False)
    assert [row.model for row in found.rows] == ["popularity", "item_knn"]
    assert found.to_json()["references"] == []
    assert len(found.tests) == 1
    assert found.skipped == {}
    alone = ts.compare(["popularity"], split, references=False)
    assert ([row.model for row in alone.rows], alone.tests) == (["popularity"], ())
    with pytest.raises(OptionError, match="settings for 'ease', which is not compared"):
        ts.compare(["popularity"], split, references=False, settings={"ease": {"l2": 5.0}})
    with pytest.raises(OptionError, match="no model is named, and references=False leaves out all others; name at"):
        ts.compare([], split, references=False)


def test_without_references_a_model_that_cannot_run_is_an_error(board: Dataset) -> None:
    with pytest.raises(DataError, match="needs a log with times"):
        ts.compare(["recent_popularity"], ts.split(board, "article"), references=False)


def test_a_reference_that_fails_is_skipped_unless_it_is_named() -> None:
    split = ts.split(checkerboard(n_users=12), "article")  # more items than users
    settings = {"ease": {"l2": 1e-300}}
    assert "l2=1e-300; raise it" in ts.compare(["popularity"], split, settings=settings).skipped["ease"]
    with pytest.raises(TrainingError, match="l2=1e-300; raise it"):
        ts.compare(["ease"], split, settings=settings)


def test_too_little_to_test_is_no_reason_to_skip(board: Dataset) -> None:
    rows = board.interactions
    disliked = rows.weighted(np.full(len(rows), -1, np.float32))
    on = ready_split("board", rows, rows)
    with pytest.raises(TooLittleDataError, match="no user has a positive test row"):
        ts.compare(["popularity"], Split("ready", board, on.train, None, disliked, "positives"))


def test_kept_results_are_taken_up_and_not_trained_again(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = compared(split, results_folder=tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(comparison, "fit", no_training)
        assert compared(split, results_folder=str(tmp_path)) == first
        with pytest.raises(AssertionError, match="trained again"):
            compared(split, results_folder=tmp_path, resume=False)
    assert without_seconds(compared(split)) == without_seconds(first)


def test_an_interrupted_comparison_goes_on_where_it_stopped(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[str, int]] = []

    def fit(name: str, *args: object, **more: object) -> object:
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append((name, more["options"].seed))  # type: ignore[attr-defined]
        return ts.fit(name, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(comparison, "fit", fit)
    with pytest.raises(KeyboardInterrupt, match=r"under protocol article with 2 results finished, saved in .*"):
        compared(split, results_folder=tmp_path)
    assert trained == [("mf", 0), ("mf", 1)]
    assert len(list(tmp_path.iterdir())) == 2
    trained[:] = [("before", 0)] * 3
    resumed = compared(split, results_folder=tmp_path)
    assert trained[3:] == [(name, 0) for name in REFERENCES]
    monkeypatch.undo()
    assert without_seconds(resumed) == without_seconds(compared(split))


def test_interrupted_without_a_place_says_that_nothing_is_kept(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(comparison, "fit", interrupt)
    with pytest.raises(KeyboardInterrupt, match="0 results finished, not saved"):
        compared(split)


def test_an_interruption_while_writing_leaves_nothing_half_written(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(results, "save_file", interrupt)
    with pytest.raises(KeyboardInterrupt, match="0 results finished"):
        compared(split, results_folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


DAMAGE = {
    "cut off": lambda place: (place / "result.json").write_text((place / "result.json").read_text()[:-9]),
    "another shape": lambda place: (place / "result.json").write_text("[1, 2]"),
    "gone": lambda place: (place / "result.json").unlink(),
    "nested": lambda place: (place / "result.json").write_text("[" * 100_000),
    "changed arrays": lambda place: (place / "users.safetensors").write_bytes(
        (place / "users.safetensors").read_bytes()[:-8] + b"\0" * 8
    ),
    "no arrays": lambda place: (place / "users.safetensors").unlink(),
    "a key less": lambda place: (place / "result.json").write_text(
        (place / "result.json").read_text().replace('"history"', '"story"')
    ),
    "of another run": lambda place: (place / "result.json").write_text(
        (place / "result.json").read_text().replace('"k": 10', '"k": 11')
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_result_is_left_aside_with_a_message(
    name: str, split: Split, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = compared(split, results_folder=tmp_path)
    place = next(path for path in tmp_path.iterdir() if path.name.startswith("ease-"))
    DAMAGE[name](place)
    again = compared(split, results_folder=tmp_path)
    assert without_seconds(again) == without_seconds(first)
    assert "is damaged and ignored; ease is trained again" in caplog.text
    caplog.clear()
    assert compared(split, results_folder=tmp_path) == again
    assert caplog.text == ""


@pytest.mark.parametrize("other", ["k", "config", "options", "data", "protocol", "code"])
def test_results_of_other_runs_are_not_taken_up(
    other: str, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"popularity": {"days": 9.0}} if other == "config" else {}
    settings = {"popularity": {"seed": 5}} if other == "options" else settings
    ts.compare(["popularity"], split, results_folder=tmp_path)
    if other == "data":
        rows = timed_board().interactions
        split = ts.split(Dataset("board", rows.take(np.arange(len(rows) - 1))), "article")
    if other == "protocol":
        split = ts.split(split.dataset, "article-rated")
    if other == "code":
        monkeypatch.setattr(results, "_code", lambda: "of another day")
    monkeypatch.setattr(comparison, "fit", no_training)
    with pytest.raises(AssertionError, match="trained again"):
        ts.compare(["popularity"], split, k=9 if other == "k" else 10, settings=settings, results_folder=tmp_path)


def test_the_rows_given_belong_to_a_run_s_identity() -> None:
    on = ts.split(timed_board(), "new-users")
    assert on.given is not None
    config, options = configure("popularity", {})
    fewer = dataclasses.replace(on, given=on.given.take(np.arange(1, len(on.given))))
    first, again, other = (results.identify("popularity", one, config, options, 10) for one in (on, on, fewer))
    assert first == again
    assert {key for key in first if first[key] != other[key]} == {"cut"}


def test_a_place_that_refuses_costs_only_the_keeping(
    split: Split, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    found = compared(split, results_folder=tmp_path / "file" / "below")
    assert [row["model"] for row in found["rows"]] == ["mf", *REFERENCES]
    assert "the result of mf cannot be saved in" in caplog.text
