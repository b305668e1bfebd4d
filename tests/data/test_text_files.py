import gzip
from pathlib import Path

import pytest

from tastespace.data.text_files import broken_json_line, compression, csv_header, known_encoding
from tastespace.errors import DataError, OptionError
from tests.data.conftest import Write


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_commonest_outside_quotes(write: Write, delimiter: str) -> None:
    path = write("log.csv", f'user{delimiter}"a,b;c|d,e;f|g,h;i|"{delimiter}item\n')
    assert csv_header(path, "csv", "utf-8") == (delimiter, ["user", "a,b;c|d,e;f|g,h;i|", "item"])


def test_a_header_of_a_packed_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log.tsv.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbfuser\titem\r\n1\t2\r\n"))
    assert csv_header(path, "tsv", "utf-8") == ("\t", ["user", "item"])
    assert compression(path) == "compression = 'gzip'"
    assert compression("log.tsv") == "compression = 'none'"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("user,USER\n", r"log\.csv has the column 'user' twice in its header"),
        ("\n1,2\n", r"log\.csv has no header line with column names; the first line is ''"),
        (b"\xffuser,item\n", r"log\.csv is not text in utf-8"),
    ],
)
def test_a_header_that_cannot_be_used_is_explained(write: Write, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        csv_header(write("log.csv", content), "csv", "utf-8")


@pytest.mark.parametrize(("encoding", "name"), [("UTF8", "utf-8"), ("latin-1", "latin-1"), ("utf_16", "utf-16")])
def test_encodings_get_duckdb_s_name(encoding: str, name: str) -> None:
    assert known_encoding(encoding) == name


def test_an_encoding_that_duckdb_cannot_read_is_refused() -> None:
    with pytest.raises(OptionError, match="the encoding 'cp1252' cannot be read; utf-8, latin-1 or utf-16 is expected"):
        known_encoding("cp1252")


@pytest.mark.parametrize(("text", "line"), [("{", 1), ('{"a": 1}\n\n{\n', 3)])
def test_a_damaged_json_line_is_named(write: Write, text: str, line: int) -> None:
    path = write("log.jsonl", text)
    assert str(broken_json_line(path)).startswith(f"{path}, line {line}, is not a whole JSON object")
