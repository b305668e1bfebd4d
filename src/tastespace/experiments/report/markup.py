"""Escape untrusted text, format numbers, and render the templates of the page."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

DASH = "–"
_LONGEST = 60
_LONG = 10_000
_TURNING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # text direction


def visible(value: object, longest: int = _LONGEST) -> str:
    """A value as text of at most `longest` characters in which nothing is hidden: control characters are spelt out.

    >>> visible("a\\x1b\\n")
    'a\\\\x1b\\\\n'
    """
    text = str(value)
    text = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return "".join(
        ascii(mark)[1:-1] if mark in _TURNING or unicodedata.category(mark) in {"Cc", "Cs", "Cn", "Zl", "Zp"} else mark
        for mark in text
    )


def text(value: object, longest: int = _LONGEST) -> Markup:
    """A value as text of HTML, attributes included; what is HTML already stays as it is."""
    return value if isinstance(value, Markup) else escape(visible(value, longest))


def decimal(value: float | None, places: int = 4) -> str:
    """A number with grouped thousands and a fixed number of decimal places, a dash for none."""
    return DASH if value is None else f"{value:,.{places}f}".replace("-", "−")


def number_of_seconds(value: float | None) -> str:
    """Seconds without their unit, with at most two decimal places.

    >>> [number_of_seconds(value).replace("\u00a0", " ") for value in (0.0, 0.004, 0.25, 7.25, 61.0, 7200.0)]
    ['0', '< 0.01', '0.25', '7.2', '61', '7,200']
    """
    if value is None:
        return DASH
    if 0 < value < 0.01:
        return "<\u00a00.01"
    return f"{value:,.{2 if value < 1 else 1 if value < 10 else 0}f}" if value else "0"


def seconds(value: float | None) -> str:
    """A duration with its unit, with at most three digits.

    >>> [seconds(value).replace("\u00a0", " ") for value in (0.0, 0.004, 0.25, 7.25, 61.0, 7200.0)]
    ['0 s', '< 0.01 s', '0.25 s', '7.2 s', '61 s', '2.0 h']
    """
    if value is None:
        return DASH
    return f"{value / 3600:,.1f}\u00a0h" if value >= 3600 else f"{number_of_seconds(value)}\u00a0s"


def probability(p: float | None) -> str:
    """A p-value in the usual notation, e.g. `p = 0.120` or `p < 0.001`."""
    if p is None:
        return "p unknown"
    return "p\u00a0<\u00a00.001" if p < 0.001 else f"p\u00a0=\u00a0{p:.3f}"


@dataclass(frozen=True)
class Cell:
    """One cell of a table: `value` with `notes` under it in small type; `best` of its column or not."""

    value: str
    notes: Sequence[str] = ()
    best: bool = False


@dataclass(frozen=True)
class Column:
    """Heading of a column: its title and, in small type, the unit or metric of its figures."""

    title: str
    unit: str = ""

    @property
    def label(self) -> str:
        """Title and unit on one line."""
        return f"{self.title}, {self.unit}" if self.unit else self.title


@dataclass(frozen=True)
class Table:
    """A table with its caption; a row is its heading and a cell for each column but the first."""

    ident: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[tuple[Cell, Sequence[Cell]]]
    ends_in_words: bool = False  # the last column holds sentences, not numbers


def render(template: str, values: Mapping[str, Any]) -> str:
    """A template of the folder `templates` filled in; all values are escaped unless they are `Markup`."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: text(value, _LONG),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["shorten"] = text
    return environment


def python(value: Any) -> str:
    """A plain value as Python writes it, control characters spelt out (not HTML yet)."""
    return visible(repr(value), _LONG)
