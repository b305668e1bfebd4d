"""Features: attributes of users and items as sparse numbers that a model can weigh.

An `Encoder` is fitted to a table once and travels with the model; the same values always get the same numbers.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from tastespace._messages import did_you_mean, shown
from tastespace.data.dataset import Dataset, Table
from tastespace.data.feature_columns import Column, check_value, column_from_json, fit_column
from tastespace.errors import DataError, OptionError


@dataclass(frozen=True, eq=False)
class EncodedRow:
    """One row of attributes: features (1, F), unknown values by column, and whether any value was known."""

    values: NDArray[np.float32]
    unknown: Mapping[str, list[str]]
    understood: bool


@dataclass(frozen=True)
class Encoder:
    """Attributes to features, column after column."""

    columns: tuple[Column, ...] = ()

    @classmethod
    def fit(cls, table: Table, *, hashed: bool = True) -> "Encoder":
        """Fit the informative columns of a table: constants, ids and empty columns are left out.

        `hashed`: words of prose beyond the common ones count, too.
        """
        columns = [fit_column(name, table[name], hashed=hashed) for name in table.columns]
        return cls(tuple(column for column in columns if column is not None))

    @property
    def names(self) -> list[str]:
        """(F,) the meaning of each feature, as text."""
        return [name for column in self.columns for name in column.names]

    @property
    def width(self) -> int:
        """Number of features F."""
        return len(self.names)

    def encode(self, table: Table, n: int) -> sp.csr_matrix:
        """(n, F) float32 features of a table's rows; a column that the table lacks is missing everywhere."""
        blank = [None] * n
        parts = [column.encode(table.columns.get(column.name, blank))[0] for column in self.columns]
        return sp.hstack(parts, format="csr") if parts else sp.csr_matrix((n, 0), dtype=np.float32)

    def encode_one(self, values: Mapping[str, Any]) -> EncodedRow:
        """Encode attributes as a person or a program gives them.

        A name that is no column, a text where a number belongs, and a number that is not finite raise `OptionError`.
        """
        known = [column.name for column in self.columns]
        for name in values:
            if name not in known:
                holder = f"the model knows {', '.join(known)}" if known else "the model was trained without any"
                raise OptionError(f"there is no feature {shown(name)}{did_you_mean(str(name), known)}; {holder}")
        parts, unknown, understood = [np.zeros((1, 0), dtype=np.float32)], {}, False
        for column in self.columns:
            value = check_value(column, values.get(column.name))
            part, unknown_values = column.encode([value])
            parts.append(part.toarray())
            if unknown_values:
                unknown[column.name] = unknown_values
            understood |= value is not None if column.kind == "number" else part.nnz > 0
        return EncodedRow(np.hstack(parts).astype(np.float32), unknown, understood)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the encoder as plain values."""
        return [asdict(column) for column in self.columns]

    @classmethod
    def from_json(cls, document: Any) -> "Encoder":
        """Build an encoder from plain values; anything else raises `DataError`."""
        try:
            return cls(tuple(column_from_json(entry) for entry in document))
        except (TypeError, KeyError, OverflowError) as error:
            raise DataError("the description of the features is not valid") from error


@dataclass(frozen=True, eq=False)
class Features:
    """Encoded attributes of the users (U, F) and items (N, G) of a log, and their encoders."""

    users: sp.csr_matrix
    items: sp.csr_matrix
    user_encoder: Encoder
    item_encoder: Encoder

    @property
    def names(self) -> list[str]:
        """The meaning of every feature, users' first."""
        return [*self.user_encoder.names, *self.item_encoder.names]

    @classmethod
    def of(cls, dataset: Dataset) -> "Features":
        """Fit encoders to the tables of a dataset and encode them."""
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
        """Encode tables by `encoders` (of users, of items), or by encoders fitted to them.

        Those have no buckets of words: a model that learns a vector for each gets worse by them (benchmarks/prose.py).
        """
        users, items = encoders or (Encoder.fit(user_table, hashed=False), Encoder.fit(item_table, hashed=False))
        return cls(users.encode(user_table, n_users), items.encode(item_table, n_items), users, items)
