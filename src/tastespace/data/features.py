"""Features: attributes of users and items as sparse numbers that a model can weigh.

An `Encoder` is fitted to a table once and travels with the model; the same values always get the same numbers.
"""

import math
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from tastespace._messages import did_you_mean, shown
from tastespace.data.dataset import Dataset, Table, is_list, is_vector, shown_cell, vector_of
from tastespace.errors import DataError, OptionError

Kind = Literal["number", "category", "labels", "words", "vector"]
_KINDS: tuple[Kind, ...] = get_args(Kind)
_BINS = 8
_LEAST = 2  # rows that a value needs to become a feature
_MOST_VALUES = 2000
_MOST_CATEGORIES = 50  # distinct texts; more of them, in several words each, are prose
_BUCKETS = 128  # of trigrams; 64 to 512 place unseen films alike, 1,024 less well (benchmarks/prose.py)
_HUGE = 1e300
_LARGEST = 2**14  # buckets, or numbers of a vector
_PER_CATEGORY = 4  # rows a distinct text on average; fewer, in one word each, are ids and tell nothing


@dataclass(frozen=True)
class Column:
    """How one attribute becomes features.

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
            isinstance(one, int | float) and math.isfinite(one) for one in (*self.edges, *self.weights, self.size)
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
        """What each feature says."""
        if self.kind == "vector":
            return [f"{self.name}[{place}]" for place in range(self.size)]
        if self.kind == "number":
            pairs = zip(self.edges, self.edges[1:], strict=False)
            return [*(f"{self.name} {low:g} to {high:g}" for low, high in pairs), f"{self.name} missing"]
        other = [f"{self.name}~{place}" for place in range(self._buckets)]
        return [*(f"{self.name}={value}" for value in self.values), *other]

    def encode(self, cells: Sequence[Any] | NDArray[Any]) -> tuple[sp.csr_matrix, list[str]]:
        """(M, F) features of M cells, and the values among them that are not known.

        `DataError` for a cell that is no vector of the column's.
        """
        if self.kind == "vector":
            return self._vectors(cells), []
        return self._numbers(cells) if self.kind == "number" else self._texts(cells)

    def _vectors(self, cells: Sequence[Any] | NDArray[Any]) -> sp.csr_matrix:
        found = np.zeros((len(cells), self.size), dtype=np.float32)
        for place, cell in enumerate(cells):
            if _is_missing(cell) or (is_list(cell) and len(cell) == 0):
                continue
            vector = vector_of(cell)
            if vector is None or len(vector) != self.size:
                expected = f"a list of {self.size} finite numbers"
                raise DataError(
                    f"the attribute {shown(self.name)} holds {shown_cell(cell)}, but {expected} is expected"
                )
            vector = vector / (np.abs(vector).max() or 1.0)  # so that no square is beyond a float
            found[place] = vector / (np.linalg.norm(vector) or 1.0)
        return sp.csr_matrix(found)

    def _numbers(self, cells: Sequence[Any] | NDArray[Any]) -> tuple[sp.csr_matrix, list[str]]:
        found = _as_numbers(cells)
        missing = np.isnan(found)
        edges = np.array(self.edges)
        if len(edges) > 1:
            share = (np.clip(found[:, None], edges[:-1], edges[1:]) - edges[:-1]) / np.diff(edges)
        else:
            share = np.zeros((len(found), 0))
        share = np.where(missing[:, None], 0.0, share)
        return sp.csr_matrix(np.column_stack([share, missing]).astype(np.float32)), []

    def _texts(self, cells: Sequence[Any] | NDArray[Any]) -> tuple[sp.csr_matrix, list[str]]:
        """Every value that a cell holds counts once, and so does every bucket."""
        weights = np.array(self.weights or np.ones(len(self.values)))
        held = [list(dict.fromkeys(_parts(self.kind, cell))) for cell in cells]
        known = set(self.values)
        strange = [value for value in dict.fromkeys(value for one in held for value in one) if value not in known]
        code = {value: place for place, value in enumerate((*self.values, *strange))}
        codes = np.array([code[value] for one in held for value in one], dtype=np.int64)
        rows = np.repeat(np.arange(len(held)), [len(one) for one in held])
        meant = self._meant(strange)
        holds = sp.csr_matrix((np.ones(len(codes)), (rows, codes)), shape=(len(held), meant.shape[0]))
        found = sp.csr_matrix(holds @ meant)  # (M, F)
        found.data = weights[found.indices]
        lengths = np.sqrt(np.asarray(found.multiply(found).sum(axis=1)).ravel())
        found = sp.csr_matrix(sp.diags_array(1.0 / np.where(lengths > 0, lengths, 1.0)) @ found).astype(np.float32)
        found.eliminate_zeros()
        found.sort_indices()
        said = meant[len(self.values) :] @ weights
        return found, [value for value, weight in zip(strange, said, strict=True) if weight == 0]

    def _meant(self, strange: list[str]) -> sp.csr_matrix:
        """(V + S, F) which features each value has, and each strange one: those of its trigrams' buckets."""
        buckets = [_buckets_of(value, self._buckets) for value in strange]
        n, width = len(self.values), len(self.values) + self._buckets
        rows = np.repeat(np.arange(n + len(strange)), [1] * n + [len(one) for one in buckets])
        columns = np.array([*range(n), *(n + place for one in buckets for place in one)], dtype=np.int64)
        return sp.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(n + len(strange), width))


@dataclass(frozen=True, eq=False)
class Told:
    """What a question tells of a user: features (1, F), by column the values not known, and whether any was."""

    values: NDArray[np.float32]
    unknown: Mapping[str, list[str]]
    understood: bool


@dataclass(frozen=True)
class Encoder:
    """Attributes to features, column after column."""

    columns: tuple[Column, ...] = ()

    @classmethod
    def fit(cls, table: Table, *, hashed: bool = True) -> "Encoder":
        """The columns of a table that can tell something: constants, ids and empty columns are left out.

        `hashed`: words of prose beyond the common ones count, too.
        """
        found = [_fit_column(name, table[name], _BUCKETS if hashed else 0) for name in table.columns]
        return cls(tuple(column for column in found if column is not None))

    @property
    def names(self) -> list[str]:
        """(F,) what each feature says."""
        return [name for column in self.columns for name in column.names]

    @property
    def width(self) -> int:
        """F."""
        return len(self.names)

    def encode(self, table: Table, n: int) -> sp.csr_matrix:
        """(n, F) float32 features of a table's rows; a column that the table lacks is missing everywhere."""
        blank = [None] * n
        parts = [column.encode(table.columns.get(column.name, blank))[0] for column in self.columns]
        return sp.hstack(parts, format="csr") if parts else sp.csr_matrix((n, 0), dtype=np.float32)

    def encode_one(self, values: Mapping[str, Any]) -> Told:
        """Attributes as a person or a program gives them.

        A name that is no column, a text where a number belongs, and a number that is not finite raise `OptionError`.
        """
        known = [column.name for column in self.columns]
        for name in values:
            if name not in known:
                holder = f"the model knows {', '.join(known)}" if known else "the model was trained without any"
                raise OptionError(f"there is no feature {shown(name)}{did_you_mean(str(name), known)}; {holder}")
        parts, unknown, understood = [np.zeros((1, 0), dtype=np.float32)], {}, False
        for column in self.columns:
            value = _checked(column, values.get(column.name))
            part, strange = column.encode([value])
            parts.append(part.toarray())
            if strange:
                unknown[column.name] = strange
            understood |= value is not None if column.kind == "number" else part.nnz > 0
        return Told(np.hstack(parts).astype(np.float32), unknown, understood)

    def to_json(self) -> list[dict[str, Any]]:
        """As plain values."""
        return [asdict(column) for column in self.columns]

    @classmethod
    def from_json(cls, told: Any) -> "Encoder":
        """From plain values; anything else raises `DataError`."""
        try:
            return cls(tuple(_column_of(one) for one in told))
        except (TypeError, KeyError, OverflowError) as error:
            raise DataError("the description of the features is not valid") from error


@dataclass(frozen=True, eq=False)
class Features:
    """What is known of the users (U, F) and items (N, G) of a log beside it, and how it was encoded."""

    users: sp.csr_matrix
    items: sp.csr_matrix
    user_encoder: Encoder
    item_encoder: Encoder

    @property
    def names(self) -> list[str]:
        """What every feature says, users' first."""
        return [*self.user_encoder.names, *self.item_encoder.names]

    @classmethod
    def of(cls, dataset: Dataset) -> "Features":
        """Encoders fitted to the tables of a dataset, and the tables encoded."""
        return cls.encoded(
            dataset.user_table, dataset.item_table, dataset.interactions.n_users, dataset.interactions.n_items
        )

    @classmethod
    def encoded(
        cls,
        user_table: Table,
        item_table: Table,
        n_users: int,
        n_items: int,
        encoders: tuple[Encoder, Encoder] | None = None,
    ) -> "Features":
        """Tables encoded by `encoders` (of users, of items), or by ones fitted to them.

        Those have no buckets of words: a model that learns a vector for each gets worse by them (benchmarks/prose.py).
        """
        users, items = encoders or (Encoder.fit(user_table, hashed=False), Encoder.fit(item_table, hashed=False))
        return cls(users.encode(user_table, n_users), items.encode(item_table, n_items), users, items)


def _fit_column(name: str, cells: NDArray[Any], buckets: int) -> Column | None:
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
    """Words that tell rows apart, and the trigrams of all others, weighted by the logarithm of how rare they are."""
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
    """The buckets, of `n`, that the trigrams of a word fall into."""
    padded = f"<{word}>"
    trigrams = (padded[at : at + 3].encode("utf-8", "surrogatepass") for at in range(len(padded) - 2))
    return [zlib.crc32(trigram) % n for trigram in trigrams] if n else []


def _fit_vectors(name: str, size: int, cells: list[Any]) -> Column:
    """Lists of `size` numbers; `DataError` for anything else, and for more than 16,384 numbers."""
    if size > _LARGEST:
        raise DataError(
            f"the attribute {shown(name)} holds lists of {size:,} numbers, but at most {_LARGEST:,} are read"
        )
    column = Column(name, "vector", size=size)
    column.encode(cells)
    return column


def _parts(kind: Kind, cell: Any) -> Iterable[str]:
    """The values that one cell holds."""
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
        found = cells.astype(np.float64)
    else:
        found = np.array([math.nan if _is_missing(cell) else float(cell) for cell in cells], dtype=np.float64)
    return np.where(np.isfinite(found), np.clip(found, -_HUGE, _HUGE), np.nan)


def _column_of(told: Any) -> Column:
    return Column(
        told["name"],
        told["kind"],
        tuple(told["values"]),
        tuple(told["edges"]),
        tuple(told.get("weights", ())),
        told.get("size", 0),
    )


def _checked(column: Column, value: Any) -> Any:
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
            told = f"a list of {column.size} finite numbers is expected"
            raise OptionError(f"feature {column.name} is {shown_cell(value)}, but {told}")
        return vector
    texts = value if isinstance(value, list | tuple) and column.kind == "labels" else [value]
    if not all(isinstance(text, str | int | float) for text in texts):
        expected = "a text or a list of texts" if column.kind == "labels" else "a text"
        raise OptionError(f"feature {column.name} is {shown(value)}, but {expected} is expected")
    return list(texts) if column.kind == "labels" else value
