"""Read one file or dataframe with DuckDB: rows checked, ids indexed, times in seconds."""

import csv
import re
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from tastespace._messages import shown
from tastespace.data import sql
from tastespace.data.columns import Roles
from tastespace.data.interactions import Interactions
from tastespace.data.read_options import Format
from tastespace.data.text_files import broken_json_line, compression, csv_header, known_encoding
from tastespace.data.vocabulary import Vocabulary, index_integers
from tastespace.errors import DataError

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
_GUESSED_TEXTS = (
    "DATE",
    "TIME",
    "UUID",
    "JSON",
)  # what DuckDB makes of texts in JSON, or of texts among numbers
_TIME_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))  # nano-, micro-, milliseconds: 1e11 s is the year 5138


class DuckDBReader:
    """A DuckDB connection over one source, which is its table or view `log`."""

    def __enter__(self) -> "DuckDBReader":
        self._db = duckdb.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def open(self, source: Any, kind: Format, where: str, encoding: str) -> list[str]:
        """Register the source as `log` and return its column names."""
        self._where, self._source = where, source
        self._text_file = isinstance(source, str | Path) and kind in ("csv", "tsv")
        self._encoding = known_encoding(encoding)
        self._run("SET TimeZone = 'UTC'")
        if not isinstance(source, str | Path):
            self._open_frame(source)
        elif self._text_file:
            self._delimiter, names = csv_header(Path(source), kind, self._encoding)
            columns = ", ".join(f"{sql.text(name)}: 'VARCHAR'" for name in names)
            self._run(
                f"CREATE TEMP TABLE log AS SELECT * FROM read_csv({sql.file(source)}, {compression(source)}, "
                f"header = true, auto_detect = false, delim = {sql.text(self._delimiter)}, "
                f"quote = '\"', escape = '\"', encoding = {sql.text(self._encoding)}, columns = {{{columns}}})"
            )
        elif kind == "parquet":
            self._run(f"CREATE VIEW log AS SELECT * FROM read_parquet({sql.file(source)})")
        else:
            lines = (
                f"read_json({sql.file(source)}, {compression(source)}, format = 'newline_delimited', sample_size = -1"
            )
            description = self._run(f"DESCRIBE SELECT * FROM {lines})").fetchall()
            kinds = {row[0]: "VARCHAR" if row[1].startswith(_GUESSED_TEXTS) else row[1] for row in description}
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
        """Return whole columns as arrays (texts, lists and times as objects)."""
        picked = ", ".join(f"{self._moment(column)} AS {sql.name(column)}" for column in columns)
        fetched = self._run(f"SELECT {picked} FROM log").fetchnumpy()
        return {name: sql.unmasked(values) for name, values in fetched.items()}

    def interactions(self, roles: Roles) -> Interactions:
        """Return the log with every weight 1."""
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
        """Return a column's SQL, nanoseconds (which DuckDB and numpy treat as numbers) as microseconds."""
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
        checks = f"count(*) FILTER ({missing}), {f'bool_and({whole})' if may_be_whole else 'false'}"
        n_missing, all_whole = self._run(f"SELECT {checks} FROM log").fetchone() or (0, False)
        if n_missing:
            raise DataError(f"{self._location_of_first(missing)} has no {noun} (column {shown(column)})")
        if all_whole:
            values = self._run(f"SELECT TRY_CAST({name} AS BIGINT) AS v FROM log").fetchnumpy()["v"]
            return index_integers(values, noun)
        if kind.startswith(("DOUBLE", "FLOAT")):
            bad = f"{name} <> round({name}) OR TRY_CAST({name} AS BIGINT) IS NULL"
            raise DataError(f"{self._location_of_first(bad)} has a {noun} that is neither a whole number nor a text")
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
            raise DataError(f"{self._location(row)} has a time before 1970 in column {shown(column)}")
        return np.asarray(times, dtype=np.float64)

    def _raise_bad(self, column: str, condition: str, expected: str) -> None:
        row = self._first_row(condition)
        raw = self._run(f"SELECT {sql.name(column)}::VARCHAR FROM log LIMIT 1 OFFSET {row}").fetchone()
        raise DataError(
            f"{self._location(row)} has {shown(raw[0] if raw else None)} in column {shown(column)}, "
            f"but {expected} is expected"
        )

    def _first_row(self, condition: str) -> int:
        row = self._run(
            f"SELECT n FROM (SELECT row_number() OVER () - 1 AS n, ({condition}) AS bad FROM log) "
            "WHERE bad ORDER BY n LIMIT 1"
        ).fetchone()
        return int(row[0]) if row else 0

    def _location_of_first(self, condition: str) -> str:
        return self._location(self._first_row(condition))

    def _location(self, row: int) -> str:
        """Return where data row `row` (from 0) is, for an error: line of a text file, else row."""
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


def _explain(error: duckdb.Error, where: str, source: Any) -> DataError:
    """Turn a DuckDB error about the user's file into one sentence."""
    message = str(error)
    line = re.search(r"CSV Error on Line: (\d+)", message) or re.search(r"in line (\d+)", message)
    if "Malformed JSON" in message:
        return broken_json_line(Path(source))
    location = f"{where}, line {line.group(1)}," if line else where
    if "not utf-8" in message.casefold() or "invalid unicode" in message.casefold():
        return DataError(f"{location} is not UTF-8 text; say how it is written with encoding=... (--encoding latin-1)")
    columns = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message)
    if columns:
        return DataError(f"{location} has {columns.group(2)} columns, but the header has {columns.group(1)}")
    if "unterminated quote" in message:
        return DataError(f"{location} opens a quote that is never closed")
    if "state machine reached an invalid state" in message:
        return DataError(f"{location} is no regular CSV: it mixes line ends, or has text after a closing quote")
    first = re.sub(r"^[A-Za-z ]*Error: ", "", message.strip().splitlines()[0])
    return DataError(f"{location} cannot be read: {first}")
