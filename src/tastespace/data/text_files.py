"""Headers, encodings and damaged lines of text files, looked at before and after DuckDB reads them."""

import codecs
import csv
import gzip
import json
import re
import zlib
from pathlib import Path
from typing import Any

from tastespace._messages import shown
from tastespace.data.read_options import Format
from tastespace.errors import DataError, OptionError

_ENCODINGS = {"utf-8": "utf-8", "iso8859-1": "latin-1", "utf-16": "utf-16"}  # Python's name: DuckDB's


def csv_header(path: Path, kind: Format, encoding: str) -> tuple[str, list[str]]:
    """Return the delimiter and the column names of a text table, from its first line."""
    opener: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding=encoding, newline="") as file:
            first = file.readline(1_000_000)
    except UnicodeError as error:
        raise _not_text(path, encoding) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read or unpacked ({error})") from error
    first = first.lstrip("\ufeff").rstrip("\r\n")
    delimiter = "\t" if kind == "tsv" else max(",\t;|", key=re.sub(r'"[^"]*"', "", first).count)
    try:
        names = next(csv.reader([first], delimiter=delimiter), [])
    except csv.Error as error:
        raise DataError(f"{path} has a first line that is no header: {error}") from error
    if "\0" in first or not any(names):
        raise DataError(f"{path} has no header line with column names; the first line is {shown(first)}")
    lower = [name.lower() for name in names]  # DuckDB compares names without case
    repeated = [name for name in names if lower.count(name.lower()) > 1]
    if repeated:
        raise DataError(f"{path} has the column {shown(repeated[0])} twice in its header")
    return delimiter, names


def _not_text(path: Path | str, encoding: str) -> DataError:
    return DataError(
        f"{path} is not text in {encoding}; if it is, say how it is written with encoding=... "
        "(--encoding latin-1), or save it as UTF-8"
    )


def known_encoding(encoding: str) -> str:
    """Return DuckDB's name of an encoding; `OptionError` for one that it cannot read."""
    try:
        return _ENCODINGS[codecs.lookup(encoding).name]
    except LookupError:
        raise OptionError(
            f"the encoding {shown(encoding)} cannot be read; utf-8, latin-1 or utf-16 is expected"
        ) from None


def broken_json_line(path: Path) -> DataError:
    """Return the error that names the first line of a JSON lines file that is not JSON."""
    opener: Any = gzip.open if path.suffix == ".gz" else open
    location = str(path)
    try:
        with opener(path, "rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    json.loads(line if line.strip() else "0")
                except (ValueError, RecursionError):
                    location = f"{path}, line {number},"
                    break
    except (OSError, EOFError, zlib.error) as error:
        return DataError(f"{path} cannot be read or unpacked ({error})")
    return DataError(f"{location} is not a whole JSON object; one object a line is expected")


def compression(path: str | Path) -> str:
    """Return DuckDB's argument for a file's compression.

    It is stated since DuckDB would take a question mark for the end of the file's name.
    """
    return f"compression = '{'gzip' if Path(path).suffix == '.gz' else 'none'}'"
