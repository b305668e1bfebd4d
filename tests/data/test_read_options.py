from typing import Any

import pytest

from tastespace import config
from tastespace.data.read_options import ReadOptions
from tastespace.data.readers import read
from tastespace.data.sources import open_data
from tastespace.errors import OptionError
from tests.data.conftest import Write


def test_every_option_is_documented() -> None:
    docs = [field.metadata["doc"] for field in ReadOptions.__dataclass_fields__.values()]
    assert len(docs) == len(config.names(ReadOptions)) == 8
    assert all(docs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "cvs"}, "format is 'cvs'; did you mean 'csv'"),
        ({"duplicates": "frist"}, "duplicates is 'frist'; did you mean 'first'"),
        ({"duplicates": None}, "duplicates is None"),
        ({"user_column": 3}, r"ReadOptions\.user_column is 3, but a text or nothing is expected"),
        ({"like_from": float("nan")}, r"ReadOptions\.like_from is nan, but a finite number is expected"),
        ({"encoding": None}, r"ReadOptions\.encoding is None, but a text is expected"),
    ],
)
def test_an_impossible_option_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        ReadOptions(**options)


def test_options_and_keywords_read_the_same_log(write: Write) -> None:
    path = write("log.txt", "visitor;thing;hours;when\n1;2;3;5\n1;3;1;6\n1;2;4;7\n")
    options = ReadOptions("visitor", "thing", "hours", "when", like_from=2, duplicates="last", format="csv")
    expected = read(
        path,
        user="visitor",
        item="thing",
        value="hours",
        time="when",
        like_from=2,
        duplicates="last",
        format="csv",
    )
    opened = open_data(path, options)
    assert opened.interactions.fingerprint() == expected.interactions.fingerprint()
    assert opened.interactions.weight.tolist() == [-1, 1]
