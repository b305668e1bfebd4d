"""Dataset: a log, and what is known about its items and users."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tastespace._messages import did_you_mean, shown
from tastespace.data.interactions import Interactions
from tastespace.errors import DataError, OptionError, UnknownIdError


@dataclass(frozen=True, eq=False)
class Table:
    """Attributes of items or users: named columns, one row an index of the vocabulary."""

    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {len(column) for column in self.columns.values()}
        if len(lengths) > 1:
            raise DataError(f"the columns of a table have different lengths: {sorted(lengths)}")

    @classmethod
    def of_lists(cls, columns: Mapping[str, Sequence[Any]]) -> "Table":
        """Build a table from lists, numbers as float arrays and anything else as objects."""
        arrays = {}
        for name, values in columns.items():
            if all(isinstance(v, int | float) or v is None for v in values):
                arrays[name] = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
            else:
                column = np.empty(len(values), dtype=object)
                column[:] = values
                arrays[name] = column
        return cls(arrays)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def head(self, n: int) -> "Table":
        """The first `n` rows."""
        return Table({name: column[:n] for name, column in self.columns.items()})

    def tail(self, start: int) -> "Table":
        """The rows from `start` on."""
        return Table({name: column[start:] for name, column in self.columns.items()})

    def extended(self, rows: Sequence[Mapping[str, Any]]) -> "Table":
        """Append rows; attributes that a row lacks are missing. `OptionError` for a name that is no column."""
        for name in dict.fromkeys(name for row in rows for name in row):
            if name not in self.columns:
                raise OptionError(f"there is no attribute {shown(name)}{did_you_mean(str(name), list(self.columns))}")
        return Table(
            {name: _joined(name, column, [row.get(name) for row in rows]) for name, column in self.columns.items()}
        )

    def fingerprint(self) -> str:
        """SHA-256 of names and cells: equal tables have equal fingerprints."""
        columns = {name: column.tolist() for name, column in self.columns.items()}
        return hashlib.sha256(json.dumps(columns, default=_for_json).encode()).hexdigest()

    def row(self, index: int) -> dict[str, Any]:
        """The attributes of one index as plain values; missing ones are None."""
        return {name: _plain(column[index]) for name, column in self.columns.items()}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Interactions with an item table and a user table, each aligned with its vocabulary (or empty)."""

    name: str
    interactions: Interactions
    item_table: Table = field(default_factory=Table)
    user_table: Table = field(default_factory=Table)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for table, vocabulary in (
            (self.item_table, self.interactions.items),
            (self.user_table, self.interactions.users),
        ):
            for name, column in table.columns.items():
                if len(column) != len(vocabulary):
                    raise DataError(
                        f"{vocabulary.noun} column {name!r} has {len(column)} rows, "
                        f"but there are {len(vocabulary)} {vocabulary.noun}s"
                    )

    def __repr__(self) -> str:
        log = self.interactions
        return f"Dataset({self.name!r}, {log.n_users} users, {log.n_items} items, {len(log)} rows)"


def find_title(table: Table, text: str) -> NDArray[np.int64]:
    """Indices of the items whose title is `text`, ignoring case, or else contains it.

    Titles are not unique, so several may come back; none raises `UnknownIdError` with the nearest titles.
    """
    if "title" not in table:
        raise UnknownIdError(f"there is no item {shown(text)}, and the items have no titles to look in")
    shown_titles = ["" if title is None else str(title) for title in table["title"]]
    titles = [title.casefold() for title in shown_titles]
    wanted = text.strip().casefold()
    exact = [index for index, title in enumerate(titles) if wanted and title == wanted]
    within = [index for index, title in enumerate(titles) if wanted and wanted in title]
    matching = exact or within
    if not matching:
        raise UnknownIdError(f"there is no item titled {shown(text)}{did_you_mean(text, filter(None, shown_titles))}")
    return np.array(matching, dtype=np.int64)


def is_list(cell: Any) -> bool:
    """Whether a cell holds several values."""
    return isinstance(cell, list | tuple | np.ndarray)


def is_vector(cell: Any) -> bool:
    """Whether a cell is a list of numbers and not of labels: one of them at least has a decimal point."""
    if isinstance(cell, np.ndarray):
        return cell.ndim == 1 and cell.dtype.kind == "f" and len(cell) > 0
    numbers = is_list(cell) and all(isinstance(value, int | float | np.number) for value in cell)
    return numbers and any(isinstance(value, float | np.floating) for value in cell)


def vector_of(cell: Any) -> NDArray[np.float64] | None:
    """(D,) finite numbers of a list; None for anything else."""
    try:
        vector = np.ma.filled(np.ma.asarray(cell, dtype=np.float64), np.nan) if is_list(cell) else None
    except (TypeError, ValueError, OverflowError):
        return None
    return vector if vector is not None and vector.ndim == 1 and np.isfinite(vector).all() else None


def shown_cell(cell: Any) -> str:
    """Return a cell as text for an error message."""
    return shown(cell.tolist() if isinstance(cell, np.ndarray) else cell)


def _for_json(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else str(value)


def _joined(name: str, column: NDArray[Any], cells: list[Any]) -> NDArray[Any]:
    """Append cells to a column; a column of whole numbers or truth values becomes one that can miss some."""
    if column.dtype.kind in "biuf":
        try:
            added = np.array([np.nan if cell is None else float(cell) for cell in cells], dtype=np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise OptionError(f"the attribute {shown(name)} holds numbers, and a new item has another value") from error
        if np.isinf(added).any():
            raise OptionError(f"the attribute {shown(name)} of a new item is not a finite number")
        return np.concatenate([column.astype(np.float64), added])
    size = next((len(cell) for cell in column.tolist() if is_vector(cell)), None)
    for cell in cells:
        vector = None if size is None or cell is None else vector_of(cell)
        if size is not None and cell is not None and (vector is None or len(vector) != size):
            expected = f"holds lists of {size} finite numbers, and a new item has {shown_cell(cell)}"
            raise OptionError(f"the attribute {shown(name)} {expected}")
    late = np.empty(len(cells), dtype=object)
    late[:] = cells
    return np.concatenate([column.astype(object), late])


def _plain(value: Any) -> Any:
    """Return a cell as JSON can hold it; dates and the like as texts."""
    if is_list(value):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, float):
        return value if value is None or isinstance(value, str | int) else str(value)
    if np.isnan(value):
        return None
    return int(value) if value.is_integer() else value
