"""Readers: CSV, TSV, Parquet, JSON lines, line-a-user files and dataframes into a `Dataset`.

DuckDB reads and checks; ids become indices here, and nowhere else.
"""

import codecs
import csv
import gzip
import json
import math
import os
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np
from numpy.typing import NDArray

from tastespace._messages import shown
from tastespace.data import sql
from tastespace.data.columns import Roles, find_role, find_roles
from tastespace.data.dataset import Dataset, Table, is_list, is_vector, shown_cell, vector_of
from tastespace.data.duplicates import Duplicates, resolve_duplicates
from tastespace.data.interactions import Interactions
from tastespace.data.lines import read_lines
from tastespace.data.read_options import Format, ReadOptions
from tastespace.data.signals import SignalKind, derive_weights
from tastespace.data.vocabulary import Vocabulary, plain
from tastespace.errors import DataError, OptionError

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".lines": "lines",
}
_WHOLE = {
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "HUGEINT",
    "UBIGINT",
}
_ENCODINGS = {"utf-8": "utf-8", "iso8859-1": "latin-1", "utf-16": "utf-16"}  # Python's name: DuckDB's
_GUESSED_TEXTS = (
    "DATE",
    "TIME",
    "UUID",
    "JSON",
)  # what DuckDB makes of texts in JSON, or of texts among numbers
_TIME_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))  # nano-, micro-, milliseconds: 1e11 s is the year 5138


def read(
    source: Any,
    *,
    user: str | None = None,
    item: str | None = None,
    value: str | None = None,
    time: str | None = None,
    signal: SignalKind = "auto",
    like_from: float | None = None,
    dislike_below: float | None = None,
    duplicates: Duplicates = "error",
    format: Format | None = None,
    encoding: str = "utf-8",
    item_table: Any = None,
    user_table: Any = None,
    name: str | None = None,
) -> Dataset:
    """Read a dataset from a file or a pandas, polars or pyarrow table.

    Columns are recognised by their usual names, or named (`user="visitor"`); the keywords up to `encoding` are the
    fields of `ReadOptions`. Ids that are all whole numbers become integers, any others stay texts. `time` may be
    seconds, milli-, micro- or nanoseconds since 1970, or dates. `signal` says what a row means (see `signals`),
    `duplicates` what to do when a (user, item) pair repeats. `item_table` and `user_table` are files or tables with
    attributes, joined by the same id column names.

    Raises `DataError` with file and line for anything that cannot be read.
    """
    options = ReadOptions(user, item, value, time, like_from, duplicates, format, encoding)
    return read_log(
        source,
        options,
        signal=signal,
        dislike_below=dislike_below,
        item_table=item_table,
        user_table=user_table,
        name=name,
    )


def read_log(
    source: Any,
    options: ReadOptions,
    *,
    signal: SignalKind = "auto",
    dislike_below: float | None = None,
    item_table: Any = None,
    user_table: Any = None,
    name: str | None = None,
) -> Dataset:
    """Read a dataset as `read` does, with its options as one value."""
    where, kind = _describe_source(source, options.format)
    encoding = options.encoding
    if kind == "lines":
        log = read_lines(Path(source), encoding=encoding)
        meaning = "every row liked"
    else:
        with _Connection() as connection:
            columns = connection.open(source, kind, where, encoding)
            roles = find_roles(
                columns,
                where,
                user=options.user_column,
                item=options.item_column,
                value=options.value_column,
                time=options.time_column,
            )
            log = connection.interactions(roles)
        weight, meaning = derive_weights(
            log.value if roles.value is not None else None,
            where,
            kind=signal,
            named_rating=roles.value_is_rating,
            like_from=options.like_from,
            dislike_below=dislike_below,
            n_rows=len(log),
        )
        log = log.weighted(weight)
    log = resolve_duplicates(log, options.duplicates, where)
    items = users = Table()
    if item_table is not None:
        items = read_table(item_table, log.items, "item", options.item_column, encoding)
    if user_table is not None:
        users = read_table(user_table, log.users, "user", options.user_column, encoding)
    return Dataset(name or where, log, items, users, notes=(meaning,))


def read_table(
    source: Any,
    vocabulary: Vocabulary,
    role: Literal["user", "item"],
    column: str | None = None,
    encoding: str = "utf-8",
) -> Table:
    """Attributes from a file or dataframe, one row an id; ids without a row get missing values."""
    keys, rows = _keyed(source, vocabulary, role, column, encoding)
    index = vocabulary.index_of(keys, unknown="minus-one")
    known = index >= 0
    columns = {}
    for name, values in rows.items():
        column_values = _as_numbers(values)
        numeric = column_values.dtype.kind in "iuf"
        filled = np.full(len(vocabulary), np.nan) if numeric else _nones(len(vocabulary))
        filled[index[known]] = column_values[known]
        columns[name] = filled
    return Table(columns)


def read_new(
    source: Any,
    vocabulary: Vocabulary,
    role: Literal["user", "item"],
    column: str | None = None,
    encoding: str = "utf-8",
) -> dict[Any, dict[str, Any]]:
    """Attributes of ids that the vocabulary lacks, by id; rows of known ids are left out, missing values too.

    `DataError` for an id that comes twice or is missing.
    """
    keys, rows = _keyed(source, vocabulary, role, column, encoding)
    known = vocabulary.index_of(keys, unknown="minus-one") >= 0
    found: dict[Any, dict[str, Any]] = {}
    for place in np.flatnonzero(~known).tolist():
        if keys[place] is None or keys[place] in found:
            raise DataError(f"row {place + 1} of the new {role}s has an id that is missing or comes twice")
        cells = {name: plain(values[place]) for name, values in rows.items()}
        found[keys[place]] = {name: value for name, value in cells.items() if not _is_missing(value)}
    return found


def _keyed(
    source: Any, vocabulary: Vocabulary, role: Literal["user", "item"], column: str | None, encoding: str
) -> tuple[list[Any], dict[str, NDArray[Any]]]:
    """Ids of a table's rows, and its other columns."""
    where, kind = _describe_source(source, None)
    if kind == "lines":
        raise DataError(f"{where} is in the lines format, which has no attributes; a table with columns is expected")
    with _Connection() as connection:
        names = connection.open(source, kind, where, encoding)
        key = find_role(role, names, where, column if column in names else None)
        rows = connection.rows([key, *[n for n in names if n != key]])
    for name, values in rows.items():
        _check_vectors(where, name, values)
    return [_as_id(value, vocabulary.is_text) for value in rows.pop(key).tolist()], rows


def _check_vectors(where: str, name: str, values: NDArray[Any]) -> None:
    """Raise `DataError` where a column of vectors holds anything but finite numbers, as many as the first has."""
    lists = (
        [(place, cell) for place, cell in enumerate(values) if is_list(cell) and len(cell)]
        if values.dtype == object
        else []
    )
    if not any(is_vector(cell) for _, cell in lists):
        return
    size = len(lists[0][1])
    for place, cell in lists:
        vector = vector_of(cell)
        if vector is None or len(vector) != size:
            raise DataError(
                f"{where}, row {place + 1}, has {shown_cell(cell)} in column {shown(name)}, but a list of {size} "
                "finite numbers is expected, as the first one has"
            )


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _as_numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Texts that are all numbers as numbers (text files know no other type); anything else as it is."""
    if values.dtype.kind != "O" or not all(value is None or isinstance(value, str) for value in values):
        return values
    try:
        return np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)
    except ValueError:
        return values


def _as_id(value: Any, text: bool) -> str | int | None:
    """A table's id in the vocabulary's type; None where it cannot be one."""
    if isinstance(value, float):  # whole numbers that some row without one made floats
        value = int(value) if value.is_integer() else None
    if text:
        return None if value is None else str(value)
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _nones(length: int) -> NDArray[Any]:
    return np.full(length, None, dtype=object)


def _describe_source(source: Any, format: Format | None) -> tuple[str, Format]:
    if not isinstance(source, str | Path):
        return "the table", "parquet"
    path = Path(source)
    if os.path.isdir(path):  # not path.is_dir(), which raises for a name that is too long
        raise DataError(f"{path} is a folder; name the file in it that holds the log")
    if not os.path.isfile(path):
        raise DataError(f"there is no file {str(path)!r}")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty")
    suffixes = [suffix for suffix in path.suffixes if suffix != ".gz"]
    kind = format or _SUFFIXES.get(suffixes[-1].casefold() if suffixes else "")
    if kind is None:
        raise OptionError(
            f"{path} has no ending that says its format; state it with format=... (--format): "
            "csv, tsv, parquet, jsonl or lines"
        )
    return str(path), kind


class _Connection:
    """One DuckDB connection over one source, opened as the view `log`."""

    def __enter__(self) -> "_Connection":
        self._db = duckdb.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def open(self, source: Any, kind: Format, where: str, encoding: str) -> list[str]:
        """Make the source the view `log`; its column names."""
        self._where, self._source = where, source
        self._text_file = isinstance(source, str | Path) and kind in ("csv", "tsv")
        self._encoding = _known_encoding(encoding)
        self._run("SET TimeZone = 'UTC'")
        if not isinstance(source, str | Path):
            self._open_frame(source)
        elif self._text_file:
            self._delimiter, names = _csv_header(Path(source), kind, self._encoding)
            columns = ", ".join(f"{sql.text(name)}: 'VARCHAR'" for name in names)
            self._run(
                f"CREATE TEMP TABLE log AS SELECT * FROM read_csv({sql.file(source)}, {_compression(source)}, "
                f"header = true, auto_detect = false, delim = {sql.text(self._delimiter)}, "
                f"quote = '\"', escape = '\"', encoding = {sql.text(self._encoding)}, columns = {{{columns}}})"
            )
        elif kind == "parquet":
            self._run(f"CREATE VIEW log AS SELECT * FROM read_parquet({sql.file(source)})")
        else:
            lines = (
                f"read_json({sql.file(source)}, {_compression(source)}, format = 'newline_delimited', sample_size = -1"
            )
            found = self._run(f"DESCRIBE SELECT * FROM {lines})").fetchall()
            kinds = {row[0]: "VARCHAR" if row[1].startswith(_GUESSED_TEXTS) else row[1] for row in found}
            columns = ", ".join(f"{sql.text(name)}: {sql.text(kind)}" for name, kind in kinds.items())
            self._run(f"CREATE TEMP TABLE log AS SELECT * FROM {lines}, columns = {{{columns}}})")
        return [row[0] for row in self._run("DESCRIBE log").fetchall()]

    def _open_frame(self, frame: Any) -> None:
        try:
            self._db.register("log", frame)
        except (duckdb.Error, TypeError) as error:
            raise DataError(
                f"a {type(frame).__name__} cannot be read: a path or a pandas, polars or pyarrow table is expected"
            ) from error

    def _run(self, query: str) -> duckdb.DuckDBPyConnection:
        try:
            return self._db.execute(query)
        except duckdb.Error as error:
            raise _explain(error, self._where, self._source) from error

    def rows(self, columns: list[str]) -> dict[str, NDArray[Any]]:
        """Whole columns as arrays (texts, lists and times as objects)."""
        picked = ", ".join(f"{self._moment(column)} AS {sql.name(column)}" for column in columns)
        fetched = self._run(f"SELECT {picked} FROM log").fetchnumpy()
        return {name: sql.unmasked(values) for name, values in fetched.items()}

    def interactions(self, roles: Roles) -> Interactions:
        """The log with every weight 1."""
        (rows,) = self._run("SELECT count(*) FROM log").fetchone() or (0,)
        if rows == 0:
            raise DataError(
                f"{self._where} has a header, but no rows" if self._text_file else f"{self._where} has no rows"
            )
        user, users = self._indexed(roles.user, "user")
        item, items = self._indexed(roles.item, "item")
        return Interactions.of(
            user,
            item,
            users,
            items,
            value=None if roles.value is None else self._numbers(roles.value, "FLOAT", "a number"),
            time=None if roles.time is None else self._times(roles.time),
        )

    def _type(self, column: str) -> str:
        row = self._run(f"SELECT typeof({sql.name(column)}) FROM log LIMIT 1").fetchone()
        return str(row[0]) if row else "NULL"

    def _moment(self, column: str) -> str:
        """A column for a query, nanoseconds (which DuckDB and numpy treat as numbers) as microseconds."""
        coarser = {"TIMESTAMP_NS": "TIMESTAMP", "TIMESTAMPTZ_NS": "TIMESTAMPTZ"}.get(self._type(column))
        return sql.name(column) if coarser is None else f"{sql.name(column)}::{coarser}"

    def _indexed(self, column: str, noun: str) -> tuple[NDArray[Any], Vocabulary]:
        name, kind = sql.name(column), self._type(column)
        text = f"{name}::VARCHAR"
        if kind.startswith(("DOUBLE", "FLOAT", "DECIMAL")):  # whole numbers that some row without one made floats
            whole_text = f"CASE WHEN {name} = round({name}) THEN TRY_CAST({name} AS BIGINT)::VARCHAR END"
            text = f"coalesce({whole_text}, {name}::VARCHAR)"
        may_be_whole = self._text_file or kind.split("(")[0] in _WHOLE | {"DOUBLE", "FLOAT", "DECIMAL"}
        missing = f"{name} IS NULL" + (f" OR {name} = ''" if kind == "VARCHAR" else "")
        missing += f" OR isnan({name})" if kind in ("DOUBLE", "FLOAT") else ""
        whole = (
            "true"
            if kind in ("BIGINT", "INTEGER")
            else f"coalesce(TRY_CAST({text} AS BIGINT)::VARCHAR = {text}, false)"
        )
        asked = f"count(*) FILTER ({missing}), {f'bool_and({whole})' if may_be_whole else 'false'}"
        n_missing, all_whole = self._run(f"SELECT {asked} FROM log").fetchone() or (0, False)
        if n_missing:
            raise DataError(f"{self._place_of_first(missing)} has no {noun} (column {shown(column)})")
        if all_whole:
            values = self._run(f"SELECT TRY_CAST({name} AS BIGINT) AS v FROM log").fetchnumpy()["v"]
            return index_numbers(values, noun)
        if kind.startswith(("DOUBLE", "FLOAT")):
            bad = f"{name} <> round({name}) OR TRY_CAST({name} AS BIGINT) IS NULL"
            raise DataError(f"{self._place_of_first(bad)} has a {noun} that is neither a whole number nor a text")
        self._run(f"CREATE TYPE {noun}_ids AS ENUM (SELECT DISTINCT {text} FROM log ORDER BY 1)")
        codes = self._run(f"SELECT enum_code(({text})::{noun}_ids) AS v FROM log").fetchnumpy()["v"]
        ids = self._run(f"SELECT unnest(enum_range(NULL::{noun}_ids)) AS v").fetchnumpy()["v"]
        return codes, Vocabulary(np.array(ids, dtype=object), noun)

    def _numbers(self, column: str, kind: str, expected: str) -> NDArray[np.float64]:
        cast = f"TRY_CAST({sql.name(column)} AS {kind})"
        values = self._run(f"SELECT {cast}::DOUBLE AS v FROM log").fetchnumpy()["v"]
        values = np.ma.filled(values.astype(np.float64), np.nan)
        if not bool(np.isfinite(values).all()):
            bad = f"{cast} IS NULL OR NOT isfinite({cast}::DOUBLE)"
            self._raise_bad(column, bad, expected)
        return values

    def _times(self, column: str) -> NDArray[np.float64]:
        name, kind = self._moment(column), self._type(column)
        if kind.startswith(("TIMESTAMP", "DATE")):
            values = self._run(f"SELECT epoch({name}) AS v FROM log").fetchnumpy()["v"]
            times = np.ma.filled(values.astype(np.float64), np.nan)
            if not bool(np.isfinite(times).all()):
                self._raise_bad(column, f"{name} IS NULL OR NOT isfinite({name})", "a date")
        else:
            date = f"TRY_CAST({name} AS TIMESTAMPTZ)"  # UTC where the text names no zone
            first = f"SELECT TRY_CAST({name} AS DOUBLE) IS NULL AND {date} IS NOT NULL FROM log"
            dated = kind.startswith(("VARCHAR", "ENUM")) and bool(
                (self._run(f"{first} LIMIT 1").fetchone() or (False,))[0]
            )
            if dated:
                bad = f"{date} IS NULL OR NOT isfinite({date})"
                if self._run(f"SELECT count(*) FROM log WHERE {bad}").fetchone() != (0,):
                    self._raise_bad(column, bad, "a date like the ones above it")
                times = self._run(f"SELECT epoch({date}) AS v FROM log").fetchnumpy()["v"]
            else:
                times = self._numbers(column, "DOUBLE", "a time (seconds since 1970, or a date)")
                largest = times.max()
                times = times / next((unit for limit, unit in _TIME_UNITS if largest >= limit), 1.0)
        if times.min() < 0:
            row = int(np.argmax(times < 0))
            raise DataError(f"{self._place(row)} has a time before 1970 in column {shown(column)}")
        return np.asarray(times, dtype=np.float64)

    def _raise_bad(self, column: str, condition: str, expected: str) -> None:
        row = self._first_row(condition)
        raw = self._run(f"SELECT {sql.name(column)}::VARCHAR FROM log LIMIT 1 OFFSET {row}").fetchone()
        raise DataError(
            f"{self._place(row)} has {shown(raw[0] if raw else None)} in column {shown(column)}, "
            f"but {expected} is expected"
        )

    def _first_row(self, condition: str) -> int:
        found = self._run(
            f"SELECT n FROM (SELECT row_number() OVER () - 1 AS n, ({condition}) AS bad FROM log) "
            "WHERE bad ORDER BY n LIMIT 1"
        ).fetchone()
        return int(found[0]) if found else 0

    def _place_of_first(self, condition: str) -> str:
        return self._place(self._first_row(condition))

    def _place(self, row: int) -> str:
        """Where data row `row` (from 0) stands, for an error: line of a text file, else row."""
        if not self._text_file or str(self._source).endswith(".gz"):
            return f"{self._where}, row {row + 1},"
        with open(self._source, encoding=self._encoding, newline="") as file:
            reader = csv.reader(file, delimiter=self._delimiter)
            filled = (reader.line_num for cells in reader if cells)
            try:
                line = next((line for n, line in enumerate(filled) if n == row + 1), row + 2)
            except csv.Error:  # a cell longer than Python's reader takes
                return f"{self._where}, row {row + 1},"
        return f"{self._where}, line {line},"


def index_numbers(values: NDArray[Any], noun: str) -> tuple[NDArray[np.int64], Vocabulary]:
    """Whole-number ids as indices, and their vocabulary; linear where ids are dense, else by sorting."""
    low, high = int(values.min()), int(values.max())
    if high - low < max(4 * len(values), 1_000_000):
        present = np.zeros(high - low + 1, dtype=bool)
        present[values - low] = True
        index_of = np.cumsum(present, dtype=np.int64) - 1
        return index_of[values - low], Vocabulary(np.flatnonzero(present).astype(np.int64) + low, noun)
    ids, index = np.unique(values, return_inverse=True)
    return index, Vocabulary(ids.astype(np.int64), noun)


def _csv_header(path: Path, kind: Format, encoding: str) -> tuple[str, list[str]]:
    """The delimiter and the column names of a text table, from its first line."""
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


def _known_encoding(encoding: str) -> str:
    try:
        return _ENCODINGS[codecs.lookup(encoding).name]
    except LookupError:
        raise OptionError(
            f"the encoding {shown(encoding)} cannot be read; utf-8, latin-1 or utf-16 is expected"
        ) from None


def _broken_json_line(path: Path) -> DataError:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    place = str(path)
    try:
        with opener(path, "rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    json.loads(line if line.strip() else "0")
                except (ValueError, RecursionError):
                    place = f"{path}, line {number},"
                    break
    except (OSError, EOFError, zlib.error) as error:
        return DataError(f"{path} cannot be read or unpacked ({error})")
    return DataError(f"{place} is not a whole JSON object; one object a line is expected")


def _explain(error: duckdb.Error, where: str, source: Any) -> DataError:
    """A DuckDB error about the user's file in one sentence."""
    message = str(error)
    line = re.search(r"CSV Error on Line: (\d+)", message) or re.search(r"in line (\d+)", message)
    if "Malformed JSON" in message:
        return _broken_json_line(Path(source))
    place = f"{where}, line {line.group(1)}," if line else where
    if "not utf-8" in message.casefold() or "invalid unicode" in message.casefold():
        return DataError(f"{place} is not UTF-8 text; say how it is written with encoding=... (--encoding latin-1)")
    columns = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message)
    if columns:
        return DataError(f"{place} has {columns.group(2)} columns, but the header has {columns.group(1)}")
    if "unterminated quote" in message:
        return DataError(f"{place} opens a quote that is never closed")
    if "state machine reached an invalid state" in message:
        return DataError(f"{place} is no regular CSV: it mixes line ends, or has text after a closing quote")
    first = re.sub(r"^[A-Za-z ]*Error: ", "", message.strip().splitlines()[0])
    return DataError(f"{place} cannot be read: {first}")


def _compression(path: str | Path) -> str:
    """DuckDB's argument, stated since it would take a question mark for the end of the file's name."""
    return f"compression = '{'gzip' if Path(path).suffix == '.gz' else 'none'}'"


def columns_as_table(columns: Mapping[str, list[Any]]) -> Table:
    """A table from lists, numbers as arrays of numbers and anything else as objects."""
    arrays = {}
    for name, values in columns.items():
        if all(isinstance(v, int | float) or v is None for v in values):
            arrays[name] = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
        else:
            column = np.empty(len(values), dtype=object)
            column[:] = values
            arrays[name] = column
    return Table(arrays)
