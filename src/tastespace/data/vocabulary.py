"""Vocabulary: the ids of the user's file, and their dense indices."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tastespace.errors import DataError, UnknownIdError
from tastespace.suggest import nearest, shown

_SUGGEST_UP_TO = 200_000  # comparing spellings costs about 10 microseconds a name


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Sorted distinct ids; an id's index is its place among them.

    `ids` is an int64 array, or an object array of str. `noun` ("user", "item") names the things in errors.

    >>> vocabulary = Vocabulary.of([30, 10, 20, 10])
    >>> vocabulary.ids.tolist(), vocabulary.index_of([20, 30]).tolist()
    ([10, 20, 30], [1, 2])
    """

    ids: NDArray[Any]
    noun: str = field(default="item")

    def __post_init__(self) -> None:
        if self.ids.ndim != 1 or self.ids.dtype.kind not in "iO":
            raise DataError(f"{self.noun} ids must be a list of whole numbers or texts")
        if self.is_text and not all(isinstance(value, str) for value in self.ids):
            raise DataError(f"{self.noun} ids mix texts with other types; use one type for all")
        if len(self.ids) > 1 and not bool(np.all(self.ids[:-1] < self.ids[1:])):
            raise DataError(f"{self.noun} ids must be sorted and distinct")
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
        if self.is_text:
            table = self._index_of_text
            found = np.array([table.get(v, -1) if isinstance(v, str) else -1 for v in ids], dtype=np.int64)
        else:
            found = self._index_of_numbers(ids)
        if unknown == "raise" and bool(np.any(found < 0)):
            raise self._unknown(list(ids)[int(np.argmax(found < 0))])
        return found

    def _index_of_numbers(self, ids: Sequence[Any] | NDArray[Any]) -> NDArray[np.int64]:
        if isinstance(ids, np.ndarray) and ids.dtype.kind in "iu" and np.can_cast(ids.dtype, np.int64):
            wanted, whole = ids.astype(np.int64), np.ones(len(ids), dtype=bool)
        else:
            values = list(ids)
            whole = np.array([_is_whole(value) for value in values], dtype=bool)
            wanted = np.array([v if w else 0 for v, w in zip(values, whole, strict=True)], dtype=np.int64)
        if len(self.ids) == 0:
            return np.full(len(wanted), -1, dtype=np.int64)
        place = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        return np.where(whole & (self.ids[place] == wanted), place, -1)

    def parse(self, text: str) -> Any:
        """What a user typed, as an id of this vocabulary's type (it need not be known)."""
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
            place = int(np.searchsorted(self.ids, wanted))
            window: list[int] = self.ids[max(0, place - n) : place + n].tolist()
            return sorted(window, key=lambda known: abs(known - wanted))[:n]
        return list(nearest(str(value), self.ids.tolist(), n))

    def _unknown(self, value: object) -> UnknownIdError:
        near = self.near(value)
        hint = f"; nearest: {', '.join(shown(v) for v in near)}" if near else self._example()
        return UnknownIdError(f"there is no {self.noun} {shown(_plain(value))}{hint}")

    def _example(self) -> str:
        return f", for example {shown(_plain(self.ids[0]))}" if len(self.ids) else ""


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and -(2**63) <= int(value) < 2**63


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value
