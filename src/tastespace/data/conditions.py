"""Where: conditions on attributes, as people write them: `genres = 'Comedy' and year >= 1990`.

    condition   or of ands of nots of comparisons; parentheses group
    comparison  NAME = VALUE   !=  <  <=  >  >=
                NAME in (VALUE, ...)   NAME between VALUE and VALUE   NAME is missing   each also with `not`
    NAME        letters, digits and _, or anything in double quotes
    VALUE       a number, true, false, or a text in single quotes ('' is one quote)

A cell that holds several labels fits a comparison when any label does; `!=` and `not in` are the opposite of `=` and
`in`. A missing cell fits nothing but `is missing`. Words of the language may be written in any case; texts are compared
as they are.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken
from numpy.typing import NDArray

from tastespace._messages import did_you_mean, shown
from tastespace.data.dataset import Table, is_list, is_vector
from tastespace.errors import OptionError

Mask = NDArray[np.bool_]
Value = float | str

_LONGEST = 10_000  # characters of a condition
_DEEPEST = 100  # parentheses and nots within each other
_GRAMMAR = r"""
?start: either
?either: both (_OR both)*
?both: one (_AND one)*
?one: _NOT one -> opposite
    | "(" either ")"
    | name COMPARE value -> compare
    | name _IN list -> within
    | name _NOT _IN list -> outside
    | name _BETWEEN value _AND value -> between
    | name _NOT _BETWEEN value _AND value -> beyond
    | name _IS _MISSING -> missing
    | name _IS _NOT _MISSING -> present
list: "(" value ("," value)* ")"
name: NAME | QUOTED_NAME
value: NUMBER | TEXT | TRUTH
COMPARE: "=" | "!=" | "<>" | "<=" | ">=" | "<" | ">"
_OR.2: /or\b/i
_AND.2: /and\b/i
_NOT.2: /not\b/i
_IN.2: /in\b/i
_BETWEEN.2: /between\b/i
_IS.2: /is\b/i
_MISSING.2: /missing\b/i
TRUTH.2: /(true|false)\b/i
NAME: /[^\W\d]\w*/
QUOTED_NAME: /"([^"]|"")+"/
TEXT: /'([^']|'')*'/
NUMBER: /[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?/
%ignore /\s+/
"""
_EXPECTED = {
    "COMPARE": "=, !=, <, <=, > or >=",
    "NAME": "an attribute",
    "QUOTED_NAME": "an attribute",
    "TEXT": "a text in single quotes",
    "NUMBER": "a number",
    "TRUTH": "true or false",
    "LPAR": "(",
    "RPAR": ")",
    "COMMA": "a comma",
    "$END": "the end",
}


@dataclass(frozen=True, eq=False)
class Cells:
    """One column by its distinct values: `values` (V,) in order, and which cells (E,) hold which of them (E,).

    A cell without an entry is missing; one of a column of labels may have several.
    """

    values: NDArray[Any]
    cells: NDArray[np.int64]
    held: NDArray[np.int64]
    n: int
    vectors: bool = False  # a cell of which nothing can be said but whether it is there

    @property
    def numeric(self) -> bool:
        """Whether values are numbers, not texts."""
        return self.values.dtype.kind == "f"

    @classmethod
    def of(cls, column: NDArray[Any]) -> "Cells":
        """Of a table's column."""
        n = len(column)
        if column.dtype.kind in "biuf":
            return cls._numbers(column.astype(np.float64))
        present = [(place, cell) for place, cell in enumerate(column.tolist()) if not _is_missing(cell)]
        if all(isinstance(cell, int | float) for _, cell in present):
            found = np.full(n, np.nan)
            found[[place for place, _ in present]] = [float(cell) for _, cell in present]
            return cls._numbers(found)
        if any(is_vector(cell) for _, cell in present):
            places = np.array([place for place, _ in present], dtype=np.int64)
            return cls(np.array([""], dtype=object), places, np.zeros_like(places), n, vectors=True)
        pairs = [(place, str(label)) for place, cell in present for label in _labels(cell) if not _is_missing(label)]
        texts = np.array([text for _, text in pairs], dtype=object)
        values, held = np.unique(texts, return_inverse=True) if len(texts) else (texts, np.zeros(0, np.int64))
        return cls(values, np.array([place for place, _ in pairs], dtype=np.int64), held, n)

    @classmethod
    def _numbers(cls, column: NDArray[np.float64]) -> "Cells":
        cells = np.flatnonzero(~np.isnan(column))
        values, held = np.unique(column[cells], return_inverse=True)
        return cls(values, cells, held, len(column))

    def fitting(self, chosen: Mask) -> Mask:
        """(n,) whether a cell holds one of the `chosen` (V,) values."""
        found = np.zeros(self.n, dtype=bool)
        found[self.cells[chosen[self.held]]] = True
        return found

    @property
    def present(self) -> Mask:
        """(n,) whether a cell holds anything."""
        return self.fitting(np.ones(len(self.values), dtype=bool))


@dataclass(eq=False)
class Attributes:
    """A table of `n` rows to ask conditions of; each column is looked through once, when it is first named."""

    table: Table
    n: int
    _read: dict[str, Cells] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Cells:
        if name not in self._read:
            self._read[name] = Cells.of(self.table[name])
        return self._read[name]

    def fitting(self, text: str) -> Mask:
        """(n,) the rows that a condition fits. `OptionError` for one that cannot be read, or is of no attribute."""
        return Condition.parse(text).mask(self)


@dataclass(frozen=True)
class Condition:
    """A condition that was read."""

    text: str
    tree: Any

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Read a condition; `OptionError` points at the character where that fails."""
        if not isinstance(text, str):
            raise OptionError(f'a condition is a text such as "year >= 1990", not {shown(text)}')
        if len(text) > _LONGEST:
            raise OptionError(f"the condition has {len(text):,} characters, but at most {_LONGEST:,} are read")
        try:
            tree = _parser().parse(text)
        except UnexpectedInput as error:
            raise OptionError(_told(text, error)) from error
        if _depth(tree) > _DEEPEST:
            raise OptionError(f"the condition is nested more than {_DEEPEST} deep")
        return cls(text, tree)

    def mask(self, attributes: Attributes) -> Mask:
        """(n,) the rows that it fits."""
        return self._of(self.tree, attributes)

    def _of(self, node: Any, attributes: Attributes) -> Mask:
        parts = node.children
        if node.data in ("either", "both"):
            join = np.logical_or if node.data == "either" else np.logical_and
            found: Mask = join.reduce([self._of(part, attributes) for part in parts])
            return found
        if node.data == "opposite":
            return ~self._of(parts[0], attributes)
        return self._comparison(node.data, parts, attributes)

    def _comparison(self, kind: str, parts: Sequence[Any], attributes: Attributes) -> Mask:
        name = parts[0].children[0]
        cells = self._cells(name, attributes)
        if kind in ("missing", "present"):
            return cells.present if kind == "present" else ~cells.present
        if cells.vectors:
            told = f"{name} holds vectors, of which only 'is missing' can be asked"
            raise OptionError(pointed(self.text, _start(name), told))
        if len(cells.values) == 0:  # nothing is known of the column, not even its type
            return np.zeros(cells.n, dtype=bool)
        if kind == "compare":
            sign, wanted = str(parts[1]), self._value(parts[2].children[0], name, cells)
            opposite = sign in ("!=", "<>")
            found = cells.fitting(_SIGNS["=" if opposite else sign](cells.values, wanted))
        elif kind in ("within", "outside"):
            listed = [self._value(part.children[0], name, cells) for part in parts[1].children]
            opposite = kind == "outside"
            found = cells.fitting(np.isin(cells.values, np.array(listed, dtype=cells.values.dtype)))
        else:
            low, high = (self._value(part.children[0], name, cells) for part in parts[1:])
            opposite = kind == "beyond"
            found = cells.fitting((cells.values >= low) & (cells.values <= high))
        return cells.present & ~found if opposite else found

    def _cells(self, token: Token, attributes: Attributes) -> Cells:
        name = str(token) if token.type == "NAME" else str(token)[1:-1].replace('""', '"')
        if name not in attributes.table:
            known = list(attributes.table.columns)
            told = f"there is no attribute {shown(name)}{did_you_mean(name, known) or '; there are none at all'}"
            raise OptionError(pointed(self.text, _start(token), told))
        return attributes[name]

    def _value(self, token: Token, name: Token, cells: Cells) -> Value:
        value: Value
        if token.type == "TEXT":
            value = str(token)[1:-1].replace("''", "'")
        elif token.type == "TRUTH":
            value = float(str(token).casefold() == "true")
        else:
            value = float(token)
        if len(cells.values) and cells.numeric != isinstance(value, float):
            kind = "numbers" if cells.numeric else "texts, which stand in single quotes"
            raise OptionError(pointed(self.text, _start(token), f"{name} holds {kind}"))
        return value


_SIGNS: Mapping[str, Callable[[NDArray[Any], Value], Mask]] = {
    "=": lambda values, wanted: values == wanted,
    "<": lambda values, wanted: values < wanted,
    "<=": lambda values, wanted: values <= wanted,
    ">": lambda values, wanted: values > wanted,
    ">=": lambda values, wanted: values >= wanted,
}


def pointed(text: str, place: int, told: str) -> str:
    """What is wrong with a text, and an arrow at the character."""
    first = max(0, place - 60)
    line = "".join(letter if letter.isprintable() else " " for letter in text[first : place + 40])
    return f"{told} (character {place + 1})\n  {line}\n  {' ' * (place - first)}^"


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", propagate_positions=False)


def _told(text: str, error: UnexpectedInput) -> str:
    if isinstance(error, UnexpectedToken) and error.token.type != "$END":
        place, wrong = _start(error.token), shown(str(error.token))
    elif isinstance(error, UnexpectedCharacters):
        place = int(error.pos_in_stream or 0)
        wrong = shown(text[place])
        if text[place] == "'":
            return pointed(text, place, "this text has no closing quote")
    else:
        place, wrong = len(text.rstrip()), "the end"
    names = sorted({_EXPECTED.get(name, name.strip("_").casefold()) for name in _expected_after(text[:place])})
    told = f"the condition cannot be read: {wrong} stands where {_listed(names)} is expected"
    return pointed(text, place, told)


def _expected_after(text: str) -> Collection[str]:
    """What may follow the sound beginning of a condition; lark's errors tell of a state that the wrong sign led to."""
    parser: Any = _parser().parse_interactive(text)
    parser.exhaust_lexer()
    found: Collection[str] = parser.accepts()
    return found


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _start(token: Token) -> int:
    return token.start_pos or 0


def _depth(tree: Any) -> int:
    """How deep a tree goes, without recursion."""
    deepest, level = 0, [tree]
    while level:
        deepest += 1
        level = [child for node in level if isinstance(node, Tree) for child in node.children]
    return deepest


def _labels(cell: Any) -> Any:
    return cell if is_list(cell) else [cell]


def _is_missing(cell: Any) -> bool:
    if is_list(cell):
        return len(cell) == 0
    return cell is None or (isinstance(cell, float) and np.isnan(cell))
