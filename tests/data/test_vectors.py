"""Vectors of one's own, such as those of a sentence encoder: a column of lists of numbers, from file to answer."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import tastespace as ts
from tastespace.cli import app
from tastespace.data.dataset import Dataset, Table
from tastespace.data.readers import read_new, read_table
from tastespace.data.split import whole
from tastespace.data.vocabulary import Vocabulary
from tastespace.errors import DataError, OptionError
from tastespace.serving.rules_yaml import parse_rules
from tests.data.conftest import Write

ITEMS = Vocabulary.of([1, 2, 3])
KINDS = [pa.list_(pa.float32()), pa.list_(pa.float64()), pa.list_(pa.float32(), 2)]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_vectors_come_from_files_and_dataframes(kind: Any, tmp_path: Path) -> None:
    cells = [[0.5, 1.0], [0.25, -2.0], None]
    table = pa.table({"item": [1, 2, 3], "embedding": pa.array(cells, kind)})
    pq.write_table(table, tmp_path / "items.parquet")
    for source in (tmp_path / "items.parquet", table, table.to_pandas(), pl.from_arrow(table)):
        found = read_table(source, ITEMS, "item")["embedding"]
        assert [None if cell is None else cell.tolist() for cell in found] == cells
        assert read_new(source, Vocabulary.of([1, 3]), "item")[2]["embedding"].tolist() == cells[1]
    rows = pd.DataFrame({"item": [1, 2, 3], "embedding": [[0.5, 1.0], np.array([0.25, -2.0]), None]})
    assert read_table(rows, ITEMS, "item")["embedding"][1].tolist() == [0.25, -2]


@pytest.mark.parametrize(
    "wrong", ["[1.5]", "[1.5, 2, 3]", "[1.5, null]", "[1.5, 1e39999]"], ids=["short", "long", "null", "infinite"]
)
def test_a_list_that_is_no_vector_is_named_by_row(write: Write, wrong: str) -> None:
    body = f'{{"item": 1, "e": [0.5, 1]}}\n{{"item": 2, "e": {wrong}}}\n'
    expected = r"items.jsonl, row 2, has .* in column 'e', but a list of 2 finite numbers is expected, as the first"
    with pytest.raises(DataError, match=expected):
        read_table(write("items.jsonl", body), ITEMS, "item")
    with pytest.raises(DataError, match=expected):
        read_new(write("items.jsonl", body), ITEMS, "item")


def test_tables_that_differ_in_a_vector_have_other_fingerprints() -> None:
    def fingerprint(last: float) -> str:
        cells = np.empty(1, dtype=object)
        cells[0] = np.append(np.zeros(1500), [last, *np.zeros(1500)])
        return Table({"e": cells}).fingerprint()

    assert fingerprint(0) == fingerprint(0)
    assert fingerprint(0) != fingerprint(1)


@pytest.fixture(scope="module")
def bundles(board: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ts.Recommender]:
    """Items whose vectors say which half of the board they belong to, and nothing else does."""
    n = board.interactions.n_items
    rng = np.random.default_rng(0)
    vectors = np.empty(n, dtype=object)
    vectors[:] = [np.float32([1 - place % 2, place % 2, *rng.normal(0, 0.1, 2)]) for place in range(n)]
    vectors[7] = None
    shop = Dataset("shop", board.interactions, item_table=Table({"embedding": vectors}))
    folder = tmp_path_factory.mktemp("vectors")
    return {
        name: ts.Recommender.build(
            ts.train(name, whole(shop), baselines=False, search=False, **settings), folder / name
        )
        for name, settings in {"ease": {}, "two_tower": {"dim": 8, "epochs": 6}}.items()
    }


@pytest.mark.parametrize("name", ["ease", "two_tower"])
def test_a_bundle_keeps_vectors_and_places_new_items_by_them(
    bundles: dict[str, ts.Recommender], name: str, tmp_path: Path
) -> None:
    again = ts.Recommender.load(bundles[name].bundle.folder or "")
    before, after = (one.bundle.item_table["embedding"] for one in (bundles[name], again))
    assert [None if cell is None else cell.tolist() for cell in before] == [
        None if cell is None else cell.tolist() for cell in after
    ]
    new = pa.table({"item": [1000, -5], "embedding": pa.array([[1.0, 0, 0, 0], [0, 1.0, 0, 0]], KINDS[0])})
    pq.write_table(new, tmp_path / "new.parquet")
    words = [str(again.bundle.folder), str(tmp_path / "new.parquet"), "--out", str(tmp_path / "grown")]
    assert CliRunner().invoke(app, ["add-items", *words]).exit_code == 0
    grown = ts.Recommender.load(tmp_path / "grown")
    assert grown.recommend(history=[2, 8, 14, 20], k=2, allow=[1000, -5]).items == (1000, -5)
    assert grown.bundle.added_items is not None
    assert set(grown.bundle.added_items.weights[0].indices % 2) == {0}
    assert grown.describe(1000)["embedding"] == [1, 0, 0, 0]
    assert json.dumps(grown.describe(2))


def test_what_vectors_cannot_be_asked_is_refused(bundles: dict[str, ts.Recommender]) -> None:
    answers = bundles["ease"]
    assert answers.recommend(user=3, where="embedding is missing", exclude_seen=False).items == (7,)
    with pytest.raises(OptionError, match="embedding holds vectors, which can only be compared by 'is missing'"):
        answers.recommend(user=3, where="embedding > 0.5")
    with pytest.raises(OptionError, match="the rule cap names 'embedding', which holds vectors"):
        answers.recommend(user=3, rules=parse_rules("cap: [{of: embedding, at_most: 1}]"))
    with pytest.raises(OptionError, match="the rule fresh names 'embedding', which holds vectors"):
        answers.recommend(user=3, rules=parse_rules("fresh: {column: embedding, within: 1}"))


@pytest.mark.parametrize("wrong", [[1.0, 2.0], [1.0, 2.0, 3.0, float("nan")], "text", 3])
def test_a_new_item_with_another_vector_is_refused(bundles: dict[str, ts.Recommender], wrong: Any) -> None:
    with pytest.raises(OptionError, match="'embedding' holds lists of 4 finite numbers, and a new item has"):
        bundles["ease"].with_items({1000: {"embedding": wrong}})
