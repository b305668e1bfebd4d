from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tastespace.data.readers import read, read_new, read_table
from tastespace.data.vocabulary import Vocabulary
from tastespace.errors import DataError
from tests.data.conftest import Write

NEW_YEAR_2020 = 1577836800.0


def _times(source: Any) -> list[float]:
    time = read(source).interactions.time
    assert time is not None
    return time.tolist()


@pytest.mark.parametrize(
    "text",
    [
        "1577836800",
        "1577836800.0",
        "1577836800000",
        "1577836800000000",
        "1577836800000000000",
        "2020-01-01",
        "2020-01-01 00:00:00",
        "2020-01-01T00:00:00Z",
        "2020-01-01T02:00:00+02:00",
        "2019-12-31 19:00:00-05",
    ],
)
def test_every_usual_spelling_gives_the_same_seconds(write: Write, text: str) -> None:
    assert _times(write("log.csv", f"user,item,time\n1,1,{text}\n")) == [NEW_YEAR_2020]


def test_the_unit_is_one_for_the_whole_log(write: Write) -> None:
    assert _times(write("log.csv", "user,item,time\n1,1,0\n1,2,1577836800000\n")) == [0, NEW_YEAR_2020]


def test_small_numbers_are_seconds(write: Write) -> None:
    assert _times(write("log.csv", "user,item,time\n1,1,0\n1,2,1.5\n")) == [0, 1.5]


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Rome"])
def test_dates_of_a_dataframe(zone: str | None) -> None:
    when = pd.to_datetime(["2020-01-01"]).tz_localize("UTC").tz_convert(zone)
    frame = pd.DataFrame({"user": [1], "item": [1], "time": when})
    assert _times(frame) == [NEW_YEAR_2020]
    assert _times(pl.from_pandas(frame)) == [NEW_YEAR_2020]


def test_dates_in_json_lines(write: Write) -> None:
    assert _times(write("log.jsonl", '{"user": 1, "item": 1, "time": "2020-01-01"}\n')) == [NEW_YEAR_2020]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1,1,5\n1,2,-1\n", "log.csv, line 3, has a time before 1970 in column 'time'"),
        ("1,1,2020-01-01\n1,2,1969-12-31\n", "log.csv, line 3, has a time before 1970 in column 'time'"),
        ("1,1,5\n1,2,soon\n", "log.csv, line 3, has 'soon' in column 'time', but a time (seconds since 1970,"),
        ("1,1,5\n1,2,\n", "log.csv, line 3, has None in column 'time', but a time"),
        ("1,1,5\n1,2,nan\n", "log.csv, line 3, has 'nan' in column 'time', but a time"),
        ("1,1,2020-01-01\n1,2,7\n", "log.csv, line 3, has '7' in column 'time', but a date like the ones above"),
        ("1,1,2020-01-01\n1,2,\n", "log.csv, line 3, has None in column 'time', but a date"),
        ("1,1,2020-01-01\n1,2,infinity\n", "log.csv, line 3, has 'infinity' in column 'time', but a date"),
    ],
)
def test_a_time_that_cannot_be_one_is_named_by_line(write: Write, body: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(write("log.csv", "user,item,time\n" + body))
    assert message in str(caught.value)


def test_a_missing_date_in_a_dataframe_is_named_by_row() -> None:
    frame = pd.DataFrame({"user": [1, 2], "item": [1, 1], "time": pd.to_datetime(["2020-01-01", None])})
    with pytest.raises(DataError, match="the table, row 2, has None in column 'time', but a date is expected"):
        read(frame)


UNITS = ["s", "ms", "us", "ns"]


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Rome"])
@pytest.mark.parametrize("unit", UNITS)
def test_timestamps_of_every_unit_give_the_same_seconds(unit: str, zone: str | None, tmp_path: Path) -> None:
    moment = pa.array([datetime(2020, 1, 1)], pa.timestamp(unit, zone))
    table = pa.table({"user": [1], "item": [1], "time": moment})
    pq.write_table(table, tmp_path / "log.parquet")
    frames = [table.to_pandas(), table.to_pandas(types_mapper=pd.ArrowDtype), pl.from_arrow(table)]
    for source in (tmp_path / "log.parquet", table, *frames):
        assert _times(source) == [NEW_YEAR_2020]


@pytest.mark.parametrize("kind", ["TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMPTZ", "DATE"])
def test_every_type_of_parquet_gives_the_same_seconds(kind: str, tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        query = f"SELECT 1 AS user_id, 1 AS item_id, '2020-01-01'::{kind} AS time"
        connection.execute(f"COPY ({query}) TO '{tmp_path / 'log.parquet'}' (FORMAT parquet)")
    assert _times(tmp_path / "log.parquet") == [NEW_YEAR_2020]


def test_a_missing_moment_of_nanoseconds_is_named_by_row() -> None:
    moments = pa.array([datetime(2020, 1, 1), None], pa.timestamp("ns", "UTC"))
    with pytest.raises(DataError, match="the table, row 2, has None in column 'time', but a date is expected"):
        read(pa.table({"user": [1, 2], "item": [1, 1], "time": moments}))


def test_dates_that_a_dataframe_holds_as_categories() -> None:
    frame = pd.DataFrame({"user": [1], "item": [1], "time": pd.Categorical(["2020-01-01"])})
    assert _times(frame) == [NEW_YEAR_2020]


@pytest.mark.parametrize("zone", [None, "Europe/Rome"])
def test_attributes_hold_the_same_moment_in_every_unit(zone: str | None) -> None:
    for unit in UNITS:
        moments = pa.array([datetime(2020, 1, 1, 5), None], pa.timestamp(unit, zone))
        table = pa.table({"item": [1, 2], "released": moments})
        found = read_table(table, Vocabulary.of([1, 2]), "item")["released"].tolist()
        assert found == [datetime(2020, 1, 1, 5), None], unit
        assert read_new(table, Vocabulary.of([2]), "item") == {1: {"released": datetime(2020, 1, 1, 5)}}
