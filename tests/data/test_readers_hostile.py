"""Whatever a file holds, reading it gives a dataset or one of our errors."""

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tastespace.data.dataset import Dataset
from tastespace.data.readers import read
from tastespace.errors import DataError, TastespaceError
from tests.data.conftest import Write

_EXAMPLES = 8


def _parquet(columns: dict[str, list[Any]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


_ROWS = b'user,item,rating,time\n1,x,5,2020-01-01\n"a ""b""",2,0.5,2020-01-02T00:00:00Z\n'
_OBJECTS = b'{"user": 1, "item": "x", "rating": 5}\n{"user": 2, "item": "\\ud83c\\udfb8", "rating": 0.5}\n'
_COLUMNS: dict[str, list[Any]] = {"user": [1, 2, 3], "item": ["x", "y", "x"], "rating": [5.0, 4.0, 1.0]}
SEEDS: dict[str, bytes] = {
    ".csv": _ROWS,
    ".tsv": _ROWS.replace(b",", b"\t"),
    ".parquet": _parquet(_COLUMNS),
    ".jsonl": _OBJECTS,
    ".lines": b"1 2 3\n4 5\n",
    ".csv.gz": gzip.compress(_ROWS, mtime=0),
    ".jsonl.gz": gzip.compress(_OBJECTS, mtime=0),
}
_SCRAPS = [
    b"",
    b"\0",
    b"\n",
    b"\r",
    b"\r\n",
    b'"',
    b"'",
    b",",
    b"\t",
    b"{",
    b"}",
    b"[[",
    b"null",
    b"1e999",
    b"-0",
    b"\xff",
]


@st.composite
def _damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Random bytes, or a whole file with up to three stretches replaced and its end cut off."""
    scrap = st.binary(max_size=20) | st.sampled_from(_SCRAPS)
    if draw(st.booleans()):
        return draw(st.binary(max_size=60))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(whole)))
        whole = whole[:start] + draw(scrap) + whole[start + draw(st.integers(0, 6)) :]
    return whole[: draw(st.integers(0, len(whole)))] if draw(st.booleans()) else whole


def _read_or_refuse(path: Path) -> None:
    try:
        data = read(path)
    except TastespaceError:
        return
    assert isinstance(data, Dataset)
    assert len(data.interactions) > 0


@pytest.mark.parametrize("suffix", SEEDS)
def test_any_bytes_give_a_dataset_or_our_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"log{suffix}"

    @settings(max_examples=_EXAMPLES, deadline=None)
    @given(_damaged(SEEDS[suffix]))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        _read_or_refuse(path)

    check()


@settings(max_examples=_EXAMPLES, deadline=None)
@given(_damaged(_ROWS), st.sampled_from(["utf-8", "latin-1", "utf-16"]))
def test_any_bytes_in_any_encoding_give_a_dataset_or_our_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, encoding: str
) -> None:
    path = tmp_path_factory.mktemp("bytes") / "log.csv"
    path.write_bytes(content)
    try:
        assert len(read(path, encoding=encoding).interactions) > 0
    except TastespaceError:
        return


@settings(max_examples=_EXAMPLES, deadline=None)
@given(_damaged(_ROWS) | _damaged(_OBJECTS))
def test_any_item_table_gives_a_dataset_or_our_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("tables")
    (folder / "log.csv").write_bytes(_ROWS)
    table = folder / ("items.jsonl" if content.startswith(b"{") else "items.csv")
    table.write_bytes(content)
    try:
        data = read(folder / "log.csv", item_table=table)
    except TastespaceError:
        return
    assert all(len(column) == 2 for column in data.item_table.columns.values())


@pytest.mark.parametrize("suffix", [".parquet", ".csv.gz", ".jsonl.gz"])
def test_a_file_cut_off_anywhere_is_refused_by_name(tmp_path: Path, suffix: str) -> None:
    path, whole = tmp_path / f"log{suffix}", SEEDS[suffix]
    for length in range(1, len(whole), max(1, len(whole) // 8)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"log\."):
            read(path)
    path.write_bytes(whole)
    assert len(read(path).interactions) > 1


@pytest.mark.parametrize("suffix", [".csv.gz", ".jsonl.gz"])
def test_a_large_archive_cut_off_is_refused(tmp_path: Path, suffix: str) -> None:
    row = '{{"user": {0}, "item": {0}}}\n' if "jsonl" in suffix else "{0},{0}\n"
    text = "user,item\n" * ("csv" in suffix) + "".join(row.format(n) for n in range(60_000))
    path = tmp_path / f"log{suffix}"
    path.write_bytes(gzip.compress(text.encode(), mtime=0)[:-4_000])
    with pytest.raises(DataError, match=r"log\."):
        read(path)


@pytest.mark.parametrize("suffix", [".csv.gz", ".jsonl.gz", ".parquet"])
def test_a_plain_text_under_a_binary_ending_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"log{suffix}"
    path.write_bytes(_ROWS)
    with pytest.raises(DataError, match=r"log\."):
        read(path)


@pytest.mark.parametrize(
    "broken", ['{"user": 3, "item"', '{"user": 3 "item": 4}', "not json", '{"user": 3, "item": 4}}']
)
@pytest.mark.parametrize("pack", [str.encode, lambda text: gzip.compress(text.encode())], ids=["plain", "gz"])
def test_a_broken_json_line_is_named(write: Write, broken: str, pack: Callable[[str], bytes]) -> None:
    text = f'{{"user": 1, "item": 2}}\n\n{{"user": 2, "item": 2}}\n{broken}\n{{"user": 4, "item": 4}}\n'
    path = write("log.jsonl" if pack is str.encode else "log.jsonl.gz", pack(text))
    with pytest.raises(DataError, match=r"log\.jsonl(\.gz)?, line 4, is not a whole JSON object"):
        read(path)


@pytest.mark.parametrize("text", ["[1, 2]\n", "7\n", '"user"\n', "null\n", "{}\n", "\n\n", '{"user": 1}\n'])
def test_json_lines_without_the_columns_are_refused(write: Write, text: str) -> None:
    with pytest.raises(DataError, match=r"log\.jsonl"):
        read(write("log.jsonl", text))


@pytest.mark.parametrize("value", ["[1, 2]", '{"a": 1}', "true"])
def test_a_json_id_of_another_shape_is_a_text(write: Write, value: str) -> None:
    log = read(write("log.jsonl", f'{{"user": {value}, "item": 2}}\n')).interactions
    assert log.users.is_text


STRANGE = [
    " two  words ",
    'say "hi" it\'s',
    "a,b;c|d\te",
    "line\nbreak\r\nmore",
    "👩‍🎤🎸",
    "x" * 10_000,
    "'; DROP TABLE log; --",
]
STRANGE += ["NULL", "nan", "{}", "\\", "\\n", "%s", "=1+1", "é", "e\u0301", "\u202e\u200b", "\ufeffbom"]


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_strange_ids_round_trip_through_csv(write: Write, delimiter: str) -> None:
    rows = [f"{_quoted(name)}{delimiter}{_quoted(name)}\n" for name in STRANGE]
    log = read(write("log.csv", f"user{delimiter}item\n" + "".join(rows))).interactions
    assert log.users.ids[log.user].tolist() == STRANGE
    assert log.items.ids[log.item].tolist() == STRANGE


def test_strange_ids_round_trip_through_parquet(write: Write) -> None:
    log = read(write("log.parquet", _parquet({"user": STRANGE, "item": STRANGE}))).interactions
    assert log.users.ids[log.user].tolist() == STRANGE
    assert log.items.ids[log.item].tolist() == STRANGE


SQL = [
    'x"; DROP TABLE log; --',
    "x'); SELECT 1; --",
    "it'em",
    '"',
    "'",
    "select",
    "*",
    "{'a': 1}",
    "naïve 🎸",
    "log",
    "v",
    "n",
    "$1",
    "?",
]


@pytest.mark.parametrize("name", SQL)
def test_a_column_name_is_never_sql(write: Write, name: str) -> None:
    log = read(write("log.csv", f"{_quoted(name)},user\n7,8\n"), item=name).interactions
    assert (log.items.ids.tolist(), log.users.ids.tolist()) == ([7], [8])


@pytest.mark.parametrize("name", SQL[:3])
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_column_name_of_json_and_parquet_is_never_sql(write: Write, kind: str, name: str) -> None:
    rows = {"user": 1, "item": 2, name: 3.5}
    packed = json.dumps(rows) + "\n" if kind == "jsonl" else _parquet({key: [cell] for key, cell in rows.items()})
    path = write(f"log.{kind}", packed)
    assert read(path, value=name).interactions.value.tolist() == [3.5]
    assert read(write("pair.csv", "user,item\n1,2\n"), item_table=path).item_table[name].tolist() == [3.5]


def test_a_damaged_archive_of_broken_json_is_refused(write: Write) -> None:
    packed = gzip.compress(b'broken {"user": 1, "item": 2}\n', mtime=0)
    with pytest.raises(DataError, match=r"log\.jsonl\.gz"):
        read(write("log.jsonl.gz", packed[:-8] + b"\x58\xb4\xfa\x22" + packed[-4:]))
