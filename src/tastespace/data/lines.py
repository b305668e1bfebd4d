"""Line-a-user files: `user item item ...`, the format of published ready splits."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tastespace._messages import shown
from tastespace.data.interactions import Interactions
from tastespace.data.vocabulary import Vocabulary
from tastespace.errors import DataError, OptionError


def read_lines(path: Path, *, encoding: str = "utf-8") -> Interactions:
    """A log without times: the order within a line is the order of the events.

    A user without items is a line of one id; the same user on two lines raises.
    """
    user, item = _read_pairs(path, encoding)
    return _interactions([(user, item)])[0]


def read_ready_split(train: Path, test: Path, *, encoding: str = "utf-8") -> tuple[Interactions, Interactions]:
    """A published split as two logs over one vocabulary."""
    both = _interactions([_read_pairs(train, encoding), _read_pairs(test, encoding)])
    return both[0], both[1]


def _read_pairs(path: Path, encoding: str) -> tuple[list[str], list[list[str]]]:
    if not path.is_file():
        raise DataError(f"there is no file {str(path)!r}")
    try:
        text = path.read_text(encoding=encoding).removeprefix("\ufeff")
    except LookupError as error:
        raise OptionError(f"there is no encoding {shown(encoding)}; write for example utf-8 or latin-1") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not {encoding} text; state how it is written with --encoding latin-1") from error
    rows = [line.split() for line in text.splitlines()]
    users = [row[0] for row in rows if row]
    if not users:
        raise DataError(f"{path} is empty")
    if "\0" in text:
        raise DataError(f"{path} is not text: it holds zero bytes")
    if len(set(users)) < len(users):
        seen: set[str] = set()
        for number, row in enumerate(rows, 1):
            if row and row[0] in seen:
                raise DataError(f"{path}, line {number}, starts with user {shown(row[0])}, who has a line already")
            seen.update(row[:1])
    items = [row[1:] for row in rows if row]
    if not any(items):
        raise DataError(f"{path} has users but no items; each line should read: user item item ...")
    return users, items


def _interactions(parts: list[tuple[list[str], list[list[str]]]]) -> list[Interactions]:
    users = _vocabulary([user for names, _ in parts for user in names], "user")
    items = _vocabulary([item for _, lists in parts for items in lists for item in items], "item")
    logs = []
    for names, lists in parts:
        lengths = np.array([len(one) for one in lists])
        user = np.repeat(_indices(users, names), lengths)
        item = _indices(items, [item for one in lists for item in one])
        logs.append(Interactions.of(user, item, users, items))
    return logs


def _vocabulary(ids: list[str], noun: str) -> Vocabulary:
    try:
        values: NDArray[Any] = np.unique(np.array(ids, dtype=np.int64))
    except (ValueError, OverflowError):
        return Vocabulary.of(ids, noun)
    if not set(values.astype(str)).issuperset(ids):  # 007 or +7: texts, as in every other format
        return Vocabulary.of(ids, noun)
    return Vocabulary(values, noun)


def _indices(vocabulary: Vocabulary, ids: list[str]) -> NDArray[np.int64]:
    return vocabulary.index_of(ids if vocabulary.is_text else np.array(ids, dtype=np.int64))
