"""Batch: the same lists as one user at a time, in every format, and again after an interruption."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

import tastespace as ts
from tastespace.data.dataset import Dataset, Table
from tastespace.data.interactions import Interactions
from tastespace.data.split import whole
from tastespace.data.synthetic import checkerboard
from tastespace.data.vocabulary import Vocabulary
from tastespace.errors import OptionError, UnknownIdError
from tastespace.serving import batch
from tastespace.serving.batch import recommend_all


@pytest.fixture(scope="module")
def shop(board: Dataset) -> Dataset:
    """The checkerboard with text ids, and two users who liked nothing."""
    log = board.interactions
    items = Vocabulary(np.array([f"it'em {n:02}" for n in range(log.n_items)], dtype=object), "item")
    weight = np.where(np.isin(log.user, [3, 40]), -1.0, log.weight)
    rows = Interactions.of(log.user, log.item, log.users, items, weight=weight)
    return Dataset("shop", rows, item_table=Table({"year": np.arange(log.n_items) + 1950.0}))


NAMES = ["mf", "ease", "popularity"]


def built(name: str, data: Dataset, folder: Path) -> ts.Recommender:
    settings = {"dim": 8, "epochs": 5} if name == "mf" else {}
    return ts.Recommender.build(ts.train(name, whole(data), baselines=False, search=False, **settings), folder)


@pytest.fixture(scope="module", params=NAMES)
def recommender(
    shop: Dataset, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> ts.Recommender:
    return built(request.param, shop, tmp_path_factory.mktemp("shop") / "bundle")


def rows_of(file: Path) -> list[tuple[Any, ...]]:
    return list(zip(*pq.read_table(file).to_pydict().values(), strict=True))


QUESTIONS: list[dict[str, Any]] = [
    {},
    {"where": "year >= 2000", "exclude": ["it'em 55"], "k": 4},
    {"allow": ["it'em 01", "it'em 07"], "k": 5},
    {"exclude_seen": False, "k": 60},
]


@pytest.mark.parametrize("asked", QUESTIONS)
def test_every_user_gets_what_recommend_gives(
    recommender: ts.Recommender, asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_USERS_PER_PART", 7)
    (tmp_path / "it's [1]*").mkdir()
    found = recommend_all(recommender, tmp_path / "it's [1]*" / "recs.parquet", **asked)
    tmp_path = found.file.replace(tmp_path / "recs.parquet").parent
    found = replace(found, file=tmp_path / "recs.parquet")
    rows = rows_of(found.file)
    expected, short = [], 0
    for user in recommender.bundle.users.ids.tolist():
        answer = recommender.recommend(user, **asked)
        short += len(answer.items) < asked.get("k", 10)
        for rank, (item, score) in enumerate(zip(answer.items, answer.scores, strict=True), 1):
            expected.append((user, rank, item, pytest.approx(score, rel=1e-4, abs=1e-5), answer.route))
    assert rows == expected
    assert (found.rows, found.short) == (len(rows), short)
    assert found.users == len({row[0] for row in rows})
    assert list((tmp_path / "it's [1]*").iterdir()) == []


def test_every_format_holds_the_same(recommender: ts.Recommender, tmp_path: Path) -> None:
    rows = rows_of(recommend_all(recommender, tmp_path / "recs.parquet", k=2).file)
    with open(recommend_all(recommender, tmp_path / "recs.csv", k=2).file, newline="") as file:
        from_csv = list(csv.DictReader(file))
    lines = recommend_all(recommender, tmp_path / "recs.jsonl", k=2).file.read_text().splitlines()
    from_json = [json.loads(line) for line in lines]
    assert [(int(row["user"]), int(row["rank"]), row["item"], row["route"]) for row in from_csv] == [
        (user, rank, item, route) for user, rank, item, _, route in rows
    ]
    assert [(row["user"], row["rank"], row["item"], row["route"]) for row in from_json] == [
        (user, rank, item, route) for user, rank, item, _, route in rows
    ]


def test_an_interrupted_run_goes_on(
    recommender: ts.Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_USERS_PER_PART", 10)
    made: list[str] = []
    write = batch._write_part

    def failing(file: Path, *rest: Any) -> None:
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(file.name)
        write(file, *rest)

    monkeypatch.setattr(batch, "_write_part", failing)
    with pytest.raises(KeyboardInterrupt):
        recommend_all(recommender, tmp_path / "recs.parquet")
    assert not (tmp_path / "recs.parquet").exists()
    monkeypatch.setattr(batch, "_write_part", lambda file, *rest: (made.append(file.name), write(file, *rest)))
    recommend_all(recommender, tmp_path / "recs.parquet")
    assert made == [f"part-{number:06}.parquet" for number in range(8)]
    assert rows_of(tmp_path / "recs.parquet") == rows_of(recommend_all(recommender, tmp_path / "whole.parquet").file)


def test_parts_of_another_question_are_not_taken(
    recommender: ts.Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(batch, "_join", stopped)
        with pytest.raises(KeyboardInterrupt):
            recommend_all(recommender, tmp_path / "recs.parquet", k=3)
    recommend_all(recommender, tmp_path / "recs.parquet", k=2)
    assert max(row[1] for row in rows_of(tmp_path / "recs.parquet")) == 2


@pytest.mark.parametrize(
    ("name", "asked", "error", "message"),
    [
        ("recs.txt", {}, OptionError, "ends in none of .parquet, .csv, .jsonl"),
        ("recs.parquet", {"k": 61}, OptionError, "k is 61, but the catalogue has only 60 items"),
        ("recs.parquet", {"exclude": "x"}, OptionError, "exclude is 'x', but a list of item ids is expected"),
        ("recs.parquet", {"allow": ["x"]}, UnknownIdError, "no item 'x'"),
        ("recs.parquet", {"where": "yeer = 3"}, OptionError, "no attribute 'yeer'"),
    ],
)
def test_impossible_batches_are_refused(
    recommender: ts.Recommender, tmp_path: Path, name: str, asked: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        recommend_all(recommender, tmp_path / name, **asked)
    assert list(tmp_path.iterdir()) == []


def test_nothing_left_for_anybody_is_an_empty_file(recommender: ts.Recommender, tmp_path: Path) -> None:
    found = recommend_all(recommender, tmp_path / "recs.parquet", where="year < 1900")
    assert (found.users, found.rows, found.short) == (0, 0, 80)
    assert rows_of(found.file) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_first_part_without_rows_does_no_harm(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recommender = built(name, checkerboard(n_users=10), tmp_path / "bundle")
    monkeypatch.setattr(batch, "_USERS_PER_PART", 1)
    first = recommender.bundle.users.ids[0]
    seen = recommender.bundle.histories.take(np.array([0])).items
    allow = recommender.bundle.items.ids[seen].tolist()
    found = recommend_all(recommender, tmp_path / "recs.parquet", allow=allow)
    assert first not in {row[0] for row in rows_of(found.file)}
    assert found.rows > 0


def test_a_place_that_cannot_be_written_is_told(
    recommender: ts.Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(OptionError, match=r"folder\.csv cannot be written"):
        recommend_all(recommender, tmp_path / "folder.csv")
    with pytest.raises(OptionError, match="cannot be written"):
        recommend_all(recommender, tmp_path / ("x" * 300 + ".csv"))

    def full(*_: object) -> None:
        raise duckdb.IOException("No space left on device")

    monkeypatch.setattr(batch, "_write_part", full)
    with pytest.raises(OptionError, match=r"\(No space left on device\); finished parts are saved"):
        recommend_all(recommender, tmp_path / "recs.csv")
