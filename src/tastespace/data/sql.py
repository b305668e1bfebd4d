"""Names, texts and files quoted for a DuckDB query, and its columns as plain arrays."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def name(column: str) -> str:
    """A column's name, quoted."""
    return '"' + column.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text, quoted."""
    return "'" + value.replace("'", "''") + "'"


def file(path: str | Path) -> str:
    """Path as DuckDB's first reader arguments: this very file, no pattern, no columns from folder names."""
    return _literal(path) + ", hive_partitioning = false"


def files(paths: Iterable[Path]) -> str:
    """Paths as DuckDB's first reader arguments: these very files, as in `file`."""
    return f"[{', '.join(map(_literal, paths))}], hive_partitioning = false"


def _literal(path: str | Path) -> str:
    return text(re.sub(r"([*?\[])", r"[\1]", str(path)))


def unmasked(values: Any) -> NDArray[Any]:
    """A fetched column with NaN (numbers) or None (anything else) where it has no value."""
    if not isinstance(values, np.ma.MaskedArray):
        return np.asarray(values)
    if values.dtype.kind in "iuf":
        return np.ma.filled(values.astype(np.float64), np.nan)
    plain = np.array(values.data, dtype=object)
    plain[np.ma.getmaskarray(values)] = None
    return plain
