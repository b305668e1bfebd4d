"""Conditions on attributes, parsed from text such as `genres = 'Comedy' and year >= 1990`.

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
?both: term (_AND term)*
?term: _NOT term -> opposite
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
    vectors: bool = False  # such a cell can only be missing or present

    @property
    def numeric(self) -> bool:
        """Whether values are numbers, not texts."""
        return self.values.dtype.kind == "f"

    @classmethod
    def of(cls, column: NDArray[Any]) -> "Cells":
        """Group a table's column by value."""
        n = len(column)
        if column.dtype.kind in "biuf":
            return cls._numbers(column.astype(np.float64))
        present = [(row, cell) for row, cell in enumerate(column.tolist()) if not _is_missing(cell)]
        if all(isinstance(cell, int | float) for _, cell in present):
            numbers = np.full(n, np.nan)
            numbers[[row for row, _ in present]] = [float(cell) for _, cell in present]
            return cls._numbers(numbers)
        if any(is_vector(cell) for _, cell in present):
            rows = np.array([row for row, _ in present], dtype=np.int64)
            return cls(np.array([""], dtype=object), rows, np.zeros_like(rows), n, vectors=True)
        pairs = [(row, str(label)) for row, cell in present for label in _labels(cell) if not _is_missing(label)]
        texts = np.array([text for _, text in pairs], dtype=object)
        values, held = np.unique(texts, return_inverse=True) if len(texts) else (texts, np.zeros(0, np.int64))
        return cls(values, np.array([row for row, _ in pairs], dtype=np.int64), held, n)

    @classmethod
    def _numbers(cls, column: NDArray[np.float64]) -> "Cells":
        cells = np.flatnonzero(~np.isnan(column))
        values, held = np.unique(column[cells], return_inverse=True)
        return cls(values, cells, held, len(column))

    def fitting(self, chosen: Mask) -> Mask:
        """(n,) whether a cell holds one of the `chosen` (V,) values."""
        mask = np.zeros(self.n, dtype=bool)
        mask[self.cells[chosen[self.held]]] = True
        return mask

    @property
    def present(self) -> Mask:
        """(n,) whether a cell holds anything."""
        return self.fitting(np.ones(len(self.values), dtype=bool))


@dataclass(eq=False)
class Attributes:
    """A table of `n` rows that conditions are evaluated on; each column is grouped once, when it is first named."""

    table: Table
    n: int
    _read: dict[str, Cells] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Cells:
        if name not in self._read:
            self._read[name] = Cells.of(self.table[name])
        return self._read[name]

    def fitting(self, text: str) -> Mask:
        """(n,) mask of the rows that fit a condition; `OptionError` where it cannot be parsed or names no attribute."""
        return Condition.parse(text).mask(self)


@dataclass(frozen=True)
class Condition:
    """A parsed condition."""

    text: str
    tree: Any

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Parse a condition; `OptionError` points at the character where that fails."""
        if not isinstance(text, str):
            raise OptionError(f'a condition is a text such as "year >= 1990", not {shown(text)}')
        if len(text) > _LONGEST:
            raise OptionError(f"the condition has {len(text):,} characters, but at most {_LONGEST:,} are read")
        try:
            tree = _parser().parse(text)
        except UnexpectedInput as error:
            raise OptionError(_syntax_message(text, error)) from error
        if _depth(tree) > _DEEPEST:
            raise OptionError(f"the condition is nested more than {_DEEPEST} deep")
        return cls(text, tree)

    def mask(self, attributes: Attributes) -> Mask:
        """(n,) mask of the rows that fit."""
        return self._of(self.tree, attributes)

    def _of(self, node: Any, attributes: Attributes) -> Mask:
        parts = node.children
        if node.data in ("either", "both"):
            join = np.logical_or if node.data == "either" else np.logical_and
            mask: Mask = join.reduce([self._of(part, attributes) for part in parts])
            return mask
        if node.data == "opposite":
            return ~self._of(parts[0], attributes)
        return self._comparison(node.data, parts, attributes)

    def _comparison(self, kind: str, parts: Sequence[Any], attributes: Attributes) -> Mask:
        name = parts[0].children[0]
        cells = self._cells(name, attributes)
        if kind in ("missing", "present"):
            return cells.present if kind == "present" else ~cells.present
        if cells.vectors:
            message = f"{name} holds vectors, which can only be compared by 'is missing'"
            raise OptionError(point_at(self.text, _start(name), message))
        if len(cells.values) == 0:  # an empty column has no type
            return np.zeros(cells.n, dtype=bool)
        if kind == "compare":
            sign, wanted = str(parts[1]), self._value(parts[2].children[0], name, cells)
            opposite = sign in ("!=", "<>")
            mask = cells.fitting(_SIGNS["=" if opposite else sign](cells.values, wanted))
        elif kind in ("within", "outside"):
            listed = [self._value(part.children[0], name, cells) for part in parts[1].children]
            opposite = kind == "outside"
            mask = cells.fitting(np.isin(cells.values, np.array(listed, dtype=cells.values.dtype)))
        else:
            low, high = (self._value(part.children[0], name, cells) for part in parts[1:])
            opposite = kind == "beyond"
            mask = cells.fitting((cells.values >= low) & (cells.values <= high))
        return cells.present & ~mask if opposite else mask

    def _cells(self, token: Token, attributes: Attributes) -> Cells:
        name = str(token) if token.type == "NAME" else str(token)[1:-1].replace('""', '"')
        if name not in attributes.table:
            known = list(attributes.table.columns)
            message = f"there is no attribute {shown(name)}{did_you_mean(name, known) or '; there are none at all'}"
            raise OptionError(point_at(self.text, _start(token), message))
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
            kind = "numbers" if cells.numeric else "texts, which need single quotes"
            raise OptionError(point_at(self.text, _start(token), f"{name} holds {kind}"))
        return value


_SIGNS: Mapping[str, Callable[[NDArray[Any], Value], Mask]] = {
    "=": lambda values, wanted: values == wanted,
    "<": lambda values, wanted: values < wanted,
    "<=": lambda values, wanted: values <= wanted,
    ">": lambda values, wanted: values > wanted,
    ">=": lambda values, wanted: values >= wanted,
}


def point_at(text: str, position: int, message: str) -> str:
    """Return an error message with an arrow below the character of the text."""
    first = max(0, position - 60)
    line = "".join(letter if letter.isprintable() else " " for letter in text[first : position + 40])
    return f"{message} (character {position + 1})\n  {line}\n  {' ' * (position - first)}^"


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", propagate_positions=False)


def _syntax_message(text: str, error: UnexpectedInput) -> str:
    if isinstance(error, UnexpectedToken) and error.token.type != "$END":
        position, wrong = _start(error.token), shown(str(error.token))
    elif isinstance(error, UnexpectedCharacters):
        position = int(error.pos_in_stream or 0)
        wrong = shown(text[position])
        if text[position] == "'":
            return point_at(text, position, "this text has no closing quote")
    else:
        position, wrong = len(text.rstrip()), "the end"
    names = sorted({_EXPECTED.get(name, name.strip("_").casefold()) for name in _expected_after(text[:position])})
    message = f"the condition cannot be read: {wrong} comes where {_listed(names)} is expected"
    return point_at(text, position, message)


def _expected_after(text: str) -> Collection[str]:
    """Tokens that may follow the valid beginning of a condition; lark's errors list those of a later state."""
    parser: Any = _parser().parse_interactive(text)
    parser.exhaust_lexer()
    names: Collection[str] = parser.accepts()
    return names


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _start(token: Token) -> int:
    return token.start_pos or 0


def _depth(tree: Any) -> int:
    """Depth of a tree, without recursion."""
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
