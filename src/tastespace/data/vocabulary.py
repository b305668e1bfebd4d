"""Vocabulary: the ids of the user's file, and their dense indices."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tastespace._messages import nearest, shown
from tastespace.errors import DataError, UnknownIdError

_SUGGEST_UP_TO = 200_000  # comparing spellings costs about 10 microseconds a name


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Sorted distinct ids; an id's index is its position among them.

    `ids` is an int64 array, or an object array of str. `noun` ("user", "item") names the things in errors. The last
    `appended` ids were added later, in order of arrival, so that no index ever changes.

    >>> vocabulary = Vocabulary.of([30, 10, 20, 10])
    >>> vocabulary.ids.tolist(), vocabulary.index_of([20, 30]).tolist()
    ([10, 20, 30], [1, 2])
    """

    ids: NDArray[Any]
    noun: str = field(default="item")
    appended: int = 0

    def __repr__(self) -> str:
        return f"Vocabulary({len(self.ids)} {self.noun}s)"

    def __post_init__(self) -> None:
        if self.ids.ndim != 1 or self.ids.dtype.kind not in "iO":
            raise DataError(f"{self.noun} ids must be a list of whole numbers or texts")
        if self.is_text and not all(isinstance(value, str) for value in self.ids):
            raise DataError(f"{self.noun} ids mix texts with other types; use one type for all")
        first = self._sorted
        if len(first) > 1 and not bool(np.all(first[:-1] < first[1:])):
            raise DataError(f"{self.noun} ids must be sorted and distinct")
        late = self.ids[len(first) :].tolist()
        if self.appended < 0 or len(set(late)) < len(late) or np.isin(self.ids[len(first) :], first).any():
            raise DataError(f"{self.noun} ids must be distinct")
        self.ids.setflags(write=False)

    @classmethod
    def of(cls, ids: Iterable[Any], noun: str = "item") -> "Vocabulary":
        """The vocabulary of any ids, in any order, repeated or not."""
        try:
            distinct = sorted(set(ids))
        except TypeError as error:
            raise DataError(f"{noun} ids mix texts with other types; use one type for all") from error
        whole = all(map(_is_whole, distinct))
        values = np.array(distinct, dtype=np.int64) if whole else np.array(distinct, dtype=object)
        return cls(values, noun)

    def extended(self, ids: Sequence[Any]) -> "Vocabulary":
        """Append ids. `DataError` for one that is known, comes twice or has another type."""
        late = list(ids)
        if not all(isinstance(value, str) if self.is_text else _is_whole(value) for value in late):
            kind = "texts" if self.is_text else "whole numbers"
            raise DataError(f"new {self.noun} ids must be {kind}, as all others are")
        values = np.array(late, dtype=object if self.is_text else np.int64)
        known = self.index_of(values, unknown="minus-one") >= 0
        if known.any():
            raise DataError(f"{self.noun} {shown(plain(values[known][0]))} is known already")
        return Vocabulary(np.concatenate([self.ids, values]), self.noun, self.appended + len(late))

    @cached_property
    def _sorted(self) -> NDArray[Any]:
        ids: NDArray[Any] = self.ids[: len(self.ids) - self.appended]
        return ids

    @cached_property
    def _late(self) -> dict[int, int]:
        start = len(self._sorted)
        return {value: start + offset for offset, value in enumerate(self.ids[start:].tolist())}

    @property
    def is_text(self) -> bool:
        """Whether ids are texts rather than whole numbers."""
        return self.ids.dtype.kind == "O"

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and np.array_equal(self.ids, other.ids)

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def _index_of_text(self) -> dict[str, int]:
        return {value: index for index, value in enumerate(self.ids)}

    def index_of(
        self, ids: Sequence[Any] | NDArray[Any], unknown: Literal["raise", "minus-one"] = "raise"
    ) -> NDArray[np.int64]:
        """The index of each id, as int64; an unknown id raises `UnknownIdError` or becomes -1."""
        if len(ids) == 0:
            return np.zeros(0, dtype=np.int64)
        if self.is_text:
            table = self._index_of_text
            index = np.array([table.get(v, -1) if isinstance(v, str) else -1 for v in ids], dtype=np.int64)
        else:
            index = self._index_of_numbers(ids)
        if unknown == "raise" and bool(np.any(index < 0)):
            raise self._unknown(list(ids)[int(np.argmax(index < 0))])
        return index

    def _index_of_numbers(self, ids: Sequence[Any] | NDArray[Any]) -> NDArray[np.int64]:
        if isinstance(ids, np.ndarray) and ids.dtype.kind in "iu" and np.can_cast(ids.dtype, np.int64):
            wanted, whole = ids.astype(np.int64), np.ones(len(ids), dtype=bool)
        else:
            values = list(ids)
            whole = np.array([_is_whole(value) for value in values], dtype=bool)
            wanted = np.array([v if w else 0 for v, w in zip(values, whole, strict=True)], dtype=np.int64)
        first = self._sorted
        if len(first) == 0:
            index = np.full(len(wanted), -1, dtype=np.int64)
        else:
            position = np.minimum(np.searchsorted(first, wanted), len(first) - 1)
            index = np.where(whole & (first[position] == wanted), position, -1)
        if self.appended:
            for row in np.flatnonzero(whole & (index < 0)).tolist():
                index[row] = self._late.get(int(wanted[row]), -1)
        return index

    def parse(self, text: str) -> Any:
        """Convert text that a user typed to an id of this vocabulary's type (it need not be known)."""
        if self.is_text:
            return text
        try:
            return int(text.strip())
        except ValueError:
            raise UnknownIdError(
                f"{shown(text)} is no {self.noun} id: ids here are whole numbers{self._example()}"
            ) from None

    def near(self, value: object, n: int = 3) -> list[Any]:
        """Known ids most like an unknown one, for an error message."""
        if len(self.ids) == 0 or len(self.ids) > _SUGGEST_UP_TO:
            return []
        if not self.is_text:
            if not isinstance(value, int | np.integer) or not _is_whole(value):
                return []
            wanted = int(value)
            position = int(np.searchsorted(self._sorted, wanted))
            window: list[int] = [*self._sorted[max(0, position - n) : position + n].tolist(), *self._late]
            return sorted(window, key=lambda known: abs(known - wanted))[:n]
        return list(nearest(str(value), self.ids.tolist(), n))

    def _unknown(self, value: object) -> UnknownIdError:
        near = self.near(value)
        hint = f"; nearest: {', '.join(shown(v) for v in near)}" if near else self._example()
        return UnknownIdError(f"there is no {self.noun} {shown(plain(value))}{hint}")

    def _example(self) -> str:
        return f", for example {shown(plain(self.ids[0]))}" if len(self.ids) else ""


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and -(2**63) <= int(value) < 2**63


def plain(value: Any) -> Any:
    """A number or text of numpy as Python's own."""
    return value.item() if isinstance(value, np.generic) else value


def index_integers(values: NDArray[Any], noun: str) -> tuple[NDArray[np.int64], Vocabulary]:
    """Return whole-number ids as indices, and their vocabulary; linear where ids are dense, else by sorting."""
    low, high = int(values.min()), int(values.max())
    if high - low < max(4 * len(values), 1_000_000):
        present = np.zeros(high - low + 1, dtype=bool)
        present[values - low] = True
        index_of = np.cumsum(present, dtype=np.int64) - 1
        return index_of[values - low], Vocabulary(np.flatnonzero(present).astype(np.int64) + low, noun)
    ids, index = np.unique(values, return_inverse=True)
    return index, Vocabulary(ids.astype(np.int64), noun)
