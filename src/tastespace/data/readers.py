"""Read CSV, TSV, Parquet, JSON lines, line-a-user files and dataframes into a `Dataset`."""

import math
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tastespace._messages import shown
from tastespace.data.columns import find_role, find_roles
from tastespace.data.dataset import Dataset, Table, is_list, is_vector, shown_cell, vector_of
from tastespace.data.duckdb_reader import DuckDBReader
from tastespace.data.duplicates import resolve_duplicates
from tastespace.data.lines import read_lines
from tastespace.data.read_options import Duplicates, Format, ReadOptions
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
        with DuckDBReader() as reader:
            columns = reader.open(source, kind, where, encoding)
            roles = find_roles(
                columns,
                where,
                user=options.user_column,
                item=options.item_column,
                value=options.value_column,
                time=options.time_column,
            )
            log = reader.interactions(roles)
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
    """Read attributes from a file or dataframe, one row an id; ids without a row get missing values."""
    keys, columns = _read_keyed_rows(source, vocabulary, role, column, encoding)
    index = vocabulary.index_of(keys, unknown="minus-one")
    known = index >= 0
    filled_columns = {}
    for name, values in columns.items():
        column_values = _as_numbers(values)
        numeric = column_values.dtype.kind in "iuf"
        filled = np.full(len(vocabulary), np.nan) if numeric else _nones(len(vocabulary))
        filled[index[known]] = column_values[known]
        filled_columns[name] = filled
    return Table(filled_columns)


def read_new(
    source: Any,
    vocabulary: Vocabulary,
    role: Literal["user", "item"],
    column: str | None = None,
    encoding: str = "utf-8",
) -> dict[Any, dict[str, Any]]:
    """Read attributes of ids that the vocabulary lacks, by id; rows of known ids and missing values are left out.

    `DataError` for an id that comes twice or is missing.
    """
    keys, columns = _read_keyed_rows(source, vocabulary, role, column, encoding)
    known = vocabulary.index_of(keys, unknown="minus-one") >= 0
    attributes: dict[Any, dict[str, Any]] = {}
    for row in np.flatnonzero(~known).tolist():
        if keys[row] is None or keys[row] in attributes:
            raise DataError(f"row {row + 1} of the new {role}s has an id that is missing or comes twice")
        cells = {name: plain(values[row]) for name, values in columns.items()}
        attributes[keys[row]] = {name: value for name, value in cells.items() if not _is_missing(value)}
    return attributes


def _read_keyed_rows(
    source: Any, vocabulary: Vocabulary, role: Literal["user", "item"], column: str | None, encoding: str
) -> tuple[list[Any], dict[str, NDArray[Any]]]:
    """Read the ids of a table's rows, and its other columns."""
    where, kind = _describe_source(source, None)
    if kind == "lines":
        raise DataError(f"{where} is in the lines format, which has no attributes; a table with columns is expected")
    with DuckDBReader() as reader:
        names = reader.open(source, kind, where, encoding)
        key = find_role(role, names, where, column if column in names else None)
        rows = reader.rows([key, *[n for n in names if n != key]])
    for name, values in rows.items():
        _check_vectors(where, name, values)
    return [_as_id(value, vocabulary.is_text) for value in rows.pop(key).tolist()], rows


def _check_vectors(where: str, name: str, values: NDArray[Any]) -> None:
    """Raise `DataError` where a column of vectors holds anything but finite numbers, as many as the first has."""
    lists = (
        [(row, cell) for row, cell in enumerate(values) if is_list(cell) and len(cell)]
        if values.dtype == object
        else []
    )
    if not any(is_vector(cell) for _, cell in lists):
        return
    size = len(lists[0][1])
    for row, cell in lists:
        vector = vector_of(cell)
        if vector is None or len(vector) != size:
            raise DataError(
                f"{where}, row {row + 1}, has {shown_cell(cell)} in column {shown(name)}, but a list of {size} "
                "finite numbers is expected, as the first one has"
            )


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _as_numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Convert texts that are all numbers (text files have no other type); return anything else unchanged."""
    if values.dtype.kind != "O" or not all(value is None or isinstance(value, str) for value in values):
        return values
    try:
        return np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)
    except ValueError:
        return values


def _as_id(value: Any, text: bool) -> str | int | None:
    """Convert a table's id to the vocabulary's type; None where it cannot be one."""
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
            f"{path} has no extension that says its format; state it with format=... (--format): "
            "csv, tsv, parquet, jsonl or lines"
        )
    return str(path), kind
