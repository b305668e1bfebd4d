"""Feature columns: one attribute as features, fitted to the values of a table."""

import math
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from tastespace._messages import shown
from tastespace.data.dataset import is_list, is_vector, shown_cell, vector_of
from tastespace.errors import DataError, OptionError

Kind = Literal["number", "category", "labels", "words", "vector"]
_KINDS: tuple[Kind, ...] = get_args(Kind)
_BINS = 8
_LEAST = 2  # rows that a value needs to become a feature
_MOST_VALUES = 2000
_MOST_CATEGORIES = 50  # distinct texts; more of them, in several words each, are prose
_BUCKETS = 128  # of trigrams; 64 to 512 rank unseen films equally well, 1,024 worse (benchmarks/prose.py)
_HUGE = 1e300
_LARGEST = 2**14  # buckets, or numbers of a vector
_PER_CATEGORY = 4  # rows a distinct text on average; fewer, in one word each, are ids without information


@dataclass(frozen=True)
class Column:
    """Description of how one attribute is encoded as features.

    `number`: piecewise linear between the `edges` (quantiles), and one feature for "missing" (Gorishniy et al. 2022,
    "On embeddings for numerical features"). `category`: one feature a value. `labels` (a list of texts a row) and
    `words` (prose): one feature a value that the row holds, together of length 1. Unknown and missing values are zeros.
    `words` have `weights`, one a value, and then one a bucket that trigrams of all other words fall into by their
    CRC-32; without weights, all count the same and other words nothing. `vector`: `size` numbers, at length 1.
    """

    name: str
    kind: Kind
    values: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()
    size: int = 0

    def __post_init__(self) -> None:
        texts = isinstance(self.name, str) and all(isinstance(value, str) for value in self.values)
        numbers = all(
            isinstance(value, int | float) and math.isfinite(value) for value in (*self.edges, *self.weights, self.size)
        )
        rising = numbers and all(a < b for a, b in zip(self.edges, self.edges[1:], strict=False))
        distinct = len(set(self.values)) == len(self.values)
        if not (texts and rising and distinct and self.kind in _KINDS and self._is_sized()):
            raise DataError(f"the description of feature column {shown(self.name)} is not valid")

    def _is_sized(self) -> bool:
        """Whether weights and size are those of the kind."""
        if self.kind == "vector":
            return isinstance(self.size, int) and 0 < self.size <= _LARGEST and not self.weights and not self.values
        weighed = not self.weights or (self.kind == "words" and 0 <= self._buckets <= _LARGEST)
        return weighed and self.size == 0 and all(weight == 0 or 1e-12 < weight < 1e12 for weight in self.weights)

    @property
    def _buckets(self) -> int:
        return len(self.weights) - len(self.values) if self.weights else 0

    @property
    def names(self) -> list[str]:
        """(F,) the meaning of each feature, as text."""
        if self.kind == "vector":
            return [f"{self.name}[{index}]" for index in range(self.size)]
        if self.kind == "number":
            pairs = zip(self.edges, self.edges[1:], strict=False)
            return [*(f"{self.name} {low:g} to {high:g}" for low, high in pairs), f"{self.name} missing"]
        other = [f"{self.name}~{index}" for index in range(self._buckets)]
        return [*(f"{self.name}={value}" for value in self.values), *other]

    def encode(self, cells: Sequence[Any] | NDArray[Any]) -> tuple[sp.csr_matrix, list[str]]:
        """(M, F) features of M cells, and the values among them that are not known.

        `DataError` for a cell that is no vector of the column's.
        """
        if self.kind == "vector":
            return self._vectors(cells), []
        return self._numbers(cells) if self.kind == "number" else self._texts(cells)

    def _vectors(self, cells: Sequence[Any] | NDArray[Any]) -> sp.csr_matrix:
        vectors = np.zeros((len(cells), self.size), dtype=np.float32)
        for row, cell in enumerate(cells):
            if _is_missing(cell) or (is_list(cell) and len(cell) == 0):
                continue
            vector = vector_of(cell)
            if vector is None or len(vector) != self.size:
                expected = f"a list of {self.size} finite numbers"
                raise DataError(
                    f"the attribute {shown(self.name)} holds {shown_cell(cell)}, but {expected} is expected"
                )
            vector = vector / (np.abs(vector).max() or 1.0)  # so that no square is beyond a float
            vectors[row] = vector / (np.linalg.norm(vector) or 1.0)
        return sp.csr_matrix(vectors)

    def _numbers(self, cells: Sequence[Any] | NDArray[Any]) -> tuple[sp.csr_matrix, list[str]]:
        numbers = _as_numbers(cells)
        missing = np.isnan(numbers)
        edges = np.array(self.edges)
        if len(edges) > 1:
            share = (np.clip(numbers[:, None], edges[:-1], edges[1:]) - edges[:-1]) / np.diff(edges)
        else:
            share = np.zeros((len(numbers), 0))
        share = np.where(missing[:, None], 0.0, share)
        return sp.csr_matrix(np.column_stack([share, missing]).astype(np.float32)), []

    def _texts(self, cells: Sequence[Any] | NDArray[Any]) -> tuple[sp.csr_matrix, list[str]]:
        """Encode texts: every value that a cell holds counts once, and so does every bucket."""
        weights = np.array(self.weights or np.ones(len(self.values)))
        held = [list(dict.fromkeys(_parts(self.kind, cell))) for cell in cells]
        known = set(self.values)
        unknown = [value for value in dict.fromkeys(value for values in held for value in values) if value not in known]
        code = {value: index for index, value in enumerate((*self.values, *unknown))}
        codes = np.array([code[value] for values in held for value in values], dtype=np.int64)
        rows = np.repeat(np.arange(len(held)), [len(values) for values in held])
        features_of = self._features_of_values(unknown)
        holds = sp.csr_matrix((np.ones(len(codes)), (rows, codes)), shape=(len(held), features_of.shape[0]))
        features = sp.csr_matrix(holds @ features_of)  # (M, F)
        features.data = weights[features.indices]
        lengths = np.sqrt(np.asarray(features.multiply(features).sum(axis=1)).ravel())
        scale = sp.diags_array(1.0 / np.where(lengths > 0, lengths, 1.0))
        features = sp.csr_matrix(scale @ features).astype(np.float32)
        features.eliminate_zeros()
        features.sort_indices()
        weight_of = features_of[len(self.values) :] @ weights
        return features, [value for value, weight in zip(unknown, weight_of, strict=True) if weight == 0]

    def _features_of_values(self, unknown: list[str]) -> sp.csr_matrix:
        """(V + S, F) the features of each value, and of each of S unknown ones: its trigrams' buckets."""
        buckets = [_buckets_of(value, self._buckets) for value in unknown]
        n, width = len(self.values), len(self.values) + self._buckets
        rows = np.repeat(np.arange(n + len(unknown)), [1] * n + [len(indices) for indices in buckets])
        columns = np.array([*range(n), *(n + index for indices in buckets for index in indices)], dtype=np.int64)
        return sp.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(n + len(unknown), width))


def fit_column(name: str, cells: NDArray[Any], *, hashed: bool) -> Column | None:
    """Fit one column, `hashed` with buckets of trigrams for words; None where it is constant, empty or ids."""
    buckets = _BUCKETS if hashed else 0
    if cells.dtype.kind in "iuf":
        return _fit_numbers(name, _as_numbers(cells))
    present = [cell for cell in cells.tolist() if not _is_missing(cell)]
    if any(is_list(cell) for cell in present):
        first = next((cell for cell in present if is_list(cell) and len(cell)), ())
        return _fit_vectors(name, len(first), present) if is_vector(first) else _fit_values(name, "labels", present)
    if present and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in present):
        return _fit_numbers(name, _as_numbers(cells))
    texts = [str(cell) for cell in present]
    distinct = set(texts)
    if len(distinct) <= _MOST_CATEGORIES or len(texts) >= _PER_CATEGORY * len(distinct):
        return _fit_values(name, "category", present) if len(distinct) > 1 else None
    if sum(len(text.split()) for text in texts) < 1.5 * len(texts):
        return None
    return _fit_words(name, present, buckets)


def _fit_numbers(name: str, cells: NDArray[np.float64]) -> Column | None:
    known = cells[np.isfinite(cells)]
    if len(known) == 0:
        return None
    edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)))
    if len(edges) < 2 and len(known) == len(cells):
        return None
    return Column(name, "number", edges=tuple(float(edge) for edge in edges))


def _fit_values(name: str, kind: Kind, cells: list[Any]) -> Column | None:
    counts = Counter(value for cell in cells for value in set(_parts(kind, cell)))
    common = sorted(
        (-count, value) for value, count in counts.items() if _LEAST <= count < len(cells) or kind == "labels"
    )
    values = tuple(value for _, value in common[:_MOST_VALUES])
    return Column(name, kind, values) if values else None


def _fit_words(name: str, cells: list[Any], buckets: int) -> Column | None:
    """Fit words that differ between rows, and the trigrams of all others, weighted by log inverse frequency."""
    common = _fit_values(name, "words", cells)
    values = common.values if common is not None else ()
    plain = Column(name, "words", values, weights=(1.0,) * (len(values) + buckets))
    features, _ = plain.encode(cells)
    counts = np.bincount(features.indices, minlength=features.shape[1])
    weights = np.log((1 + len(cells)) / (1 + counts)) * (counts > 0)
    if not weights[len(values) :].any():
        weights = weights[: len(values)]
    return Column(name, "words", values, weights=tuple(weights.tolist())) if weights.any() else None


def _buckets_of(word: str, n: int) -> list[int]:
    """Return the buckets, of `n`, that the trigrams of a word fall into."""
    padded = f"<{word}>"
    trigrams = (padded[at : at + 3].encode("utf-8", "surrogatepass") for at in range(len(padded) - 2))
    return [zlib.crc32(trigram) % n for trigram in trigrams] if n else []


def _fit_vectors(name: str, size: int, cells: list[Any]) -> Column:
    """Fit lists of `size` numbers; `DataError` for anything else, and for more than 16,384 numbers."""
    if size > _LARGEST:
        raise DataError(
            f"the attribute {shown(name)} holds lists of {size:,} numbers, but at most {_LARGEST:,} are read"
        )
    column = Column(name, "vector", size=size)
    column.encode(cells)
    return column


def _parts(kind: Kind, cell: Any) -> Iterable[str]:
    """Return the values that a cell holds."""
    if _is_missing(cell):
        return []
    if kind == "labels":
        held = cell if is_list(cell) else [cell]
        return [str(value) for value in held if not _is_missing(value)]
    if kind == "words":
        cleaned = "".join(letter if letter.isalnum() else " " for letter in str(cell).casefold())
        return cleaned.split()
    return [str(cell)]


def _is_missing(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell)) or (isinstance(cell, str) and not cell)


def _as_numbers(cells: Sequence[Any] | NDArray[Any]) -> NDArray[np.float64]:
    """(M,) float64, NaN where a number is missing or infinite; none so large that a difference is infinite."""
    if isinstance(cells, np.ndarray) and cells.dtype.kind in "iuf":
        numbers = cells.astype(np.float64)
    else:
        numbers = np.array([math.nan if _is_missing(cell) else float(cell) for cell in cells], dtype=np.float64)
    return np.where(np.isfinite(numbers), np.clip(numbers, -_HUGE, _HUGE), np.nan)


def column_from_json(entry: Any) -> Column:
    """Build a column from plain values."""
    return Column(
        entry["name"],
        entry["kind"],
        tuple(entry["values"]),
        tuple(entry["edges"]),
        tuple(entry.get("weights", ())),
        entry.get("size", 0),
    )


def check_value(column: Column, value: Any) -> Any:
    """Return an attribute value as `encode` takes it; `OptionError` for one of the wrong type."""
    if value is None:
        return None
    if column.kind == "number":
        try:
            number = float(value) if not isinstance(value, bool) else math.nan
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise OptionError(f"feature {column.name} is {shown(value)}, but a number is expected")
        return number
    if column.kind == "vector":
        vector = vector_of(value)
        if vector is None or len(vector) != column.size:
            expected = f"a list of {column.size} finite numbers"
            raise OptionError(f"feature {column.name} is {shown_cell(value)}, but {expected} is expected")
        return vector
    texts = value if isinstance(value, list | tuple) and column.kind == "labels" else [value]
    if not all(isinstance(text, str | int | float) for text in texts):
        expected = "a text or a list of texts" if column.kind == "labels" else "a text"
        raise OptionError(f"feature {column.name} is {shown(value)}, but {expected} is expected")
    return list(texts) if column.kind == "labels" else value
