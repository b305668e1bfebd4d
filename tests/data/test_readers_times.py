from typing import Any

import pandas as pd
import polars as pl
import pytest

from tastespace.data.readers import read
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
