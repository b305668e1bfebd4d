import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tastespace.data.readers import read
from tastespace.errors import DataError, OptionError
from tests.data.conftest import Write

# values that float32 holds exactly, ids and times out of order
NUMBERS: dict[str, list[Any]] = {
    "user": [30, 10, 30, 20],
    "item": [7, 7, -1, 5],
    "rating": [5.0, 3.0, 0.5, 4.0],
    "timestamp": [880000004, 880000001, 880000002, 880000003],
}
TEXTS: dict[str, list[Any]] = NUMBERS | {"user": ["Ωmega", "ann", "Ωmega", "bob"], "item": ["b", "b", "a x", "007"]}
LOGS = pytest.mark.parametrize("columns", [NUMBERS, TEXTS], ids=["numbers", "texts"])


def _text(columns: dict[str, list[Any]], delimiter: str = ",", end: str = "\n") -> str:
    rows = [list(columns), *zip(*columns.values(), strict=True)]
    return "".join(delimiter.join(map(str, row)) + end for row in rows)


def _json_lines(columns: dict[str, list[Any]]) -> str:
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


FILES: dict[str, Callable[[dict[str, list[Any]]], str | bytes]] = {
    "log.tsv": lambda columns: _text(columns, "\t"),
    "semicolon.csv": lambda columns: _text(columns, ";"),
    "pipe.csv": lambda columns: _text(columns, "|"),
    "tab.csv": lambda columns: _text(columns, "\t"),
    "crlf.csv": lambda columns: _text(columns, end="\r\n"),
    "bom.csv": lambda columns: "\ufeff" + _text(columns),
    "no_last_end.csv": lambda columns: _text(columns).removesuffix("\n"),
    "LOG.CSV": _text,
    "log.csv.gz": lambda columns: gzip.compress(_text(columns).encode()),
    "log.tsv.gz": lambda columns: gzip.compress(_text(columns, "\t").encode()),
    "log.jsonl": _json_lines,
    "log.ndjson": _json_lines,
    "log.jsonl.gz": lambda columns: gzip.compress(_json_lines(columns).encode()),
}
FRAMES: dict[str, Callable[[dict[str, list[Any]]], Any]] = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "pyarrow": pa.table,
}


def _parquet(path: Path, columns: dict[str, list[Any]]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


@LOGS
@pytest.mark.parametrize("name", FILES)
def test_equal_rows_give_an_equal_log_from_every_text_file(
    write: Write, name: str, columns: dict[str, list[Any]]
) -> None:
    expected = read(write("plain.csv", _text(columns))).interactions
    assert read(write(name, FILES[name](columns))).interactions.fingerprint() == expected.fingerprint()


@LOGS
@pytest.mark.parametrize("library", FRAMES)
def test_equal_rows_give_an_equal_log_from_every_dataframe(
    write: Write, library: str, columns: dict[str, list[Any]]
) -> None:
    expected = read(write("plain.csv", _text(columns))).interactions
    assert read(FRAMES[library](columns)).interactions.fingerprint() == expected.fingerprint()


@LOGS
@pytest.mark.parametrize("name", ["log.parquet", "log.pq"])
def test_equal_rows_give_an_equal_log_from_parquet(
    write: Write, tmp_path: Path, name: str, columns: dict[str, list[Any]]
) -> None:
    expected = read(write("plain.csv", _text(columns))).interactions
    assert read(_parquet(tmp_path / name, columns)).interactions.fingerprint() == expected.fingerprint()


def test_the_plain_log_holds_what_was_written(write: Write) -> None:
    log = read(write("plain.csv", _text(TEXTS))).interactions
    assert log.users.ids[log.user].tolist() == TEXTS["user"]
    assert log.items.ids[log.item].tolist() == TEXTS["item"]
    assert log.value.tolist() == TEXTS["rating"]
    assert log.weight.tolist() == [1, 0, -1, 1]
    assert log.time is not None
    assert log.time.tolist() == TEXTS["timestamp"]


@pytest.mark.parametrize("name", ["log.txt", "log", "log.csv.txt"])
def test_a_stated_format_stands_for_an_ending_that_says_none(write: Write, name: str) -> None:
    path = write(name, "user,item\n1,2\n")
    assert len(read(path, format="csv").interactions) == 1
    with pytest.raises(OptionError, match=r"has no extension that says its format; state it with format=\.\.\."):
        read(path)


def test_latin_1_is_read_when_stated_and_the_error_says_how(write: Write) -> None:
    path = write("log.csv", "user,item\nJosé,Señor\n".encode("latin-1"))
    log = read(path, encoding="latin-1").interactions
    assert (log.users.ids.tolist(), log.items.ids.tolist()) == (["José"], ["Señor"])
    with pytest.raises(DataError, match=r"log\.csv.* is not .*--encoding latin-1"):
        read(path)


def test_utf_16_is_read_when_stated(write: Write) -> None:
    log = read(write("log.csv", "user,item\nΩ,1\n".encode("utf-16")), encoding="utf-16").interactions
    assert log.users.ids.tolist() == ["Ω"]


@pytest.mark.parametrize("encoding", ["klingon", "cp1252", ""])
def test_an_encoding_that_cannot_be_read_is_refused(write: Write, encoding: str) -> None:
    with pytest.raises(OptionError, match=r"the encoding .* cannot be read; utf-8, latin-1 or utf-16 is expected"):
        read(write("log.csv", "user,item\n1,2\n"), encoding=encoding)


def test_whole_numbers_that_became_floats_are_the_ids_they_were() -> None:
    log = read(pd.DataFrame({"user": [3.0, 1.0], "item": [1e15, 2.0]})).interactions
    assert log.users.ids[log.user].tolist() == [3, 1]
    assert log.items.ids.tolist() == [2, 10**15]
    assert not log.users.is_text


def test_an_id_that_is_no_whole_number_is_named_by_row() -> None:
    with pytest.raises(DataError, match="the table, row 2, has a user that is neither a whole number nor a text"):
        read(pd.DataFrame({"user": [3.0, 1.5], "item": [1, 2]}))


ROLES = pytest.mark.parametrize(
    ("role", "message"),
    [
        ("user", "row 3, has no user (column 'user')"),
        ("item", "row 3, has no item (column 'item')"),
        ("rating", "row 3, has None in column 'rating', but a number is expected"),
        ("timestamp", "row 3, has None in column 'timestamp', but a time"),
    ],
)


@ROLES
@LOGS
def test_a_null_in_parquet_and_json_lines_is_named_by_file_and_row(
    write: Write, tmp_path: Path, columns: dict[str, list[Any]], role: str, message: str
) -> None:
    holed = columns | {role: [value if row != 2 else None for row, value in enumerate(columns[role])]}
    for path in (_parquet(tmp_path / "holed.parquet", holed), write("holed.jsonl", _json_lines(holed))):
        with pytest.raises(DataError) as caught:
            read(path)
        assert f"{path}, {message}" in str(caught.value)


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
@ROLES
def test_a_null_in_a_dataframe_is_named_by_row(library: str, role: str, message: str) -> None:
    holed = TEXTS | {role: [value if row != 2 else None for row, value in enumerate(TEXTS[role])]}
    with pytest.raises(DataError) as caught:
        read(FRAMES[library](holed))
    assert f"the table, {message}" in str(caught.value)


@pytest.mark.parametrize("role", ["user", "item", "rating", "timestamp"])
@pytest.mark.parametrize("columns", [NUMBERS, TEXTS], ids=["numbers", "texts"])
def test_a_nan_of_pandas_is_missing_too(columns: dict[str, list[Any]], role: str) -> None:
    holed = columns | {role: [value if row != 2 else None for row, value in enumerate(columns[role])]}
    with pytest.raises(DataError, match=r"the table, row 3, has (no|None|'nan')"):
        read(pd.DataFrame(holed))


def test_a_field_that_a_json_line_lacks_is_missing(write: Write) -> None:
    with pytest.raises(DataError, match=r"log\.jsonl, row 2, has no item \(column 'item'\)"):
        read(write("log.jsonl", '{"user": 1, "item": 2}\n{"user": 1}\n'))


GENRES = {"item": [5, 99, 7], "title": ["Five", "Stray", "Seven"], "genres": [["War", "Drama"], ["Noir"], []]}


def _item_table(kind: str, folder: Path, write: Write) -> Any:
    if kind == "parquet":
        return _parquet(folder / "items.parquet", GENRES)
    return write("items.jsonl", _json_lines(GENRES)) if kind == "jsonl" else FRAMES[kind](GENRES)


@pytest.mark.parametrize("kind", ["parquet", "jsonl", *FRAMES])
def test_an_item_table_is_put_in_the_order_of_the_items(write: Write, tmp_path: Path, kind: str) -> None:
    data = read(write("log.csv", _text(NUMBERS)), item_table=_item_table(kind, tmp_path, write))
    assert data.interactions.items.ids.tolist() == [-1, 5, 7]
    assert data.item_table["title"].tolist() == [None, "Five", "Seven"]
    assert [None if cell is None else list(cell) for cell in data.item_table["genres"]] == [None, ["War", "Drama"], []]
    assert data.item_table.row(1) == {"title": "Five", "genres": ["War", "Drama"]}


def test_lists_of_one_length_stay_one_cell_an_item(tmp_path: Path, write: Write) -> None:
    table = _parquet(tmp_path / "items.parquet", {"item": [5, 7, -1], "genres": [["a", "b"], ["c", "d"], ["e", "f"]]})
    column = read(write("log.csv", _text(NUMBERS)), item_table=table).item_table["genres"]
    assert [list(cell) for cell in column] == [["e", "f"], ["a", "b"], ["c", "d"]]


def test_a_user_table_is_put_in_the_order_of_the_users(write: Write) -> None:
    table = write("users.csv", "user,age,name\nbob,30,Bob\nΩmega,,\nnobody,1,N\n")
    data = read(write("log.csv", _text(TEXTS)), user_table=table)
    assert data.interactions.users.ids.tolist() == ["ann", "bob", "Ωmega"]
    np.testing.assert_array_equal(data.user_table["age"], [np.nan, 30, np.nan])
    assert data.user_table["name"].tolist() == [None, "Bob", None]


def test_a_text_column_becomes_numbers_only_if_every_cell_is_one(write: Write) -> None:
    table = write("items.csv", "item,year,size,code\n5,1995,1.5,12\n7,1996,,x3\n-1,1997,-2,\n")
    columns = read(write("log.csv", _text(NUMBERS)), item_table=table).item_table
    assert columns["year"].tolist() == [1997, 1995, 1996]
    np.testing.assert_array_equal(columns["size"], [-2, 1.5, np.nan])
    assert columns["code"].tolist() == [None, "12", "x3"]


@pytest.mark.parametrize("ids", [[5, 7], [5.0, 7.0, None], ["5", "7"]])
def test_a_table_may_write_numbers_as_floats_or_texts(write: Write, ids: list[Any]) -> None:
    table = pd.DataFrame({"item": ids, "title": ["Five", "Seven", "None"][: len(ids)]})
    data = read(write("log.csv", _text(NUMBERS)), item_table=table)
    assert data.item_table["title"].tolist() == [None, "Five", "Seven"]


def test_numbers_of_a_table_meet_text_ids_of_the_log(write: Write) -> None:
    table = pd.DataFrame({"item": [1, 2], "title": ["One", "Two"]})
    data = read(write("log.csv", "user,item\n1,2\n1,x\n"), item_table=table)
    assert data.item_table["title"].tolist() == ["Two", None]


def test_a_table_without_an_id_column_is_explained(write: Write) -> None:
    table = write("items.csv", "thing,title\n5,Five\n")
    with pytest.raises(DataError, match=r"items\.csv has no column with a usual name for the item .*'thing', 'title'"):
        read(write("log.csv", _text(NUMBERS)), item_table=table)


def test_a_stated_column_name_serves_the_table_too(write: Write) -> None:
    log, table = write("log.csv", "user,thing\n1,5\n"), write("items.csv", "thing,item\n5,Five\n")
    assert read(log, item="thing", item_table=table).item_table["item"].tolist() == ["Five"]


def test_a_list_of_ids_a_user_is_no_table(write: Write) -> None:
    with pytest.raises(DataError, match=r"items\.lines is in the lines format, which has no attributes"):
        read(write("log.csv", _text(NUMBERS)), item_table=write("items.lines", "5 Five\n"))


@pytest.mark.parametrize("ending", ["csv.gz", "jsonl", "parquet"])
@pytest.mark.parametrize("stem", ["it's", "lo*", "lo?", "[lo]g", "{a,b} 100%", "user=5 ナ🎸"])
def test_a_file_name_is_taken_literally(tmp_path: Path, stem: str, ending: str) -> None:
    columns = {"user": ["here"], "item": [1]}
    for name, content in ((stem, columns), ("log", {"user": ["wrong"], "item": [2]})):
        path = tmp_path / f"{name}.{ending}"
        text = _json_lines(content) if ending == "jsonl" else _text(content)
        if ending == "parquet":
            _parquet(path, content)
        else:
            path.write_bytes(gzip.compress(text.encode()) if ending == "csv.gz" else text.encode())
    data = read(tmp_path / f"{stem}.{ending}")
    assert data.interactions.users.ids.tolist() == ["here"]
    assert data.name.endswith(f"{stem}.{ending}")


def test_folder_names_add_no_columns(tmp_path: Path) -> None:
    (tmp_path / "rating=1").mkdir()
    log = read(_parquet(tmp_path / "rating=1" / "log.parquet", {"user": [1], "item": [1]})).interactions
    assert np.isnan(log.value).all()


@pytest.mark.parametrize(
    ("name", "message"),
    [("nothing.csv", "there is no file"), ("folder.csv", "is a folder; name the file"), ("empty.csv", "is empty")],
)
def test_a_path_that_is_no_file_is_explained(write: Write, tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    write("empty.csv", "")
    with pytest.raises(DataError, match=message):
        read(tmp_path / name)


@pytest.mark.parametrize("source", [7, None, ["1,2"], object()])
def test_what_is_no_table_is_refused(source: Any) -> None:
    with pytest.raises(DataError, match="cannot be read: a path or a pandas, polars or pyarrow table is expected"):
        read(source)
