"""Markup: untrusted text made harmless, numbers made readable, and the few elements that the page repeats."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

DASH = "–"
_LONGEST = 60
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


def text(value: object, longest: int = _LONGEST) -> str:
    """A value as text of HTML, attributes included."""
    return escape(visible(value, longest), quote=True)


def decimal(value: float | None, places: int = 4) -> str:
    """A number as people read it, a dash for none."""
    return DASH if value is None else f"{value:,.{places}f}".replace("-", "−")


def seconds(value: float | None) -> str:
    """A duration, three digits of it at most.

    >>> [seconds(value).replace("\u00a0", " ") for value in (0.0, 0.004, 0.25, 7.25, 61.0, 7200.0)]
    ['0 s', '< 0.01 s', '0.25 s', '7.2 s', '61 s', '2.0 h']
    """
    if value is None:
        return DASH
    if 0 < value < 0.01:
        told = "< 0.01 s"
    elif value >= 3600:
        told = f"{value / 3600:,.1f} h"
    else:
        told = f"{value:,.{2 if value < 1 else 1 if value < 10 else 0}f} s" if value else "0 s"
    return told.replace(" ", "\u00a0")  # never broken over lines


def probability(p: float | None) -> str:
    """A p-value as people write it."""
    if p is None:
        return "p unknown"
    return "p\u00a0<\u00a00.001" if p < 0.001 else f"p\u00a0=\u00a0{p:.3f}"


@dataclass(frozen=True)
class Cell:
    """One cell of a table, of HTML: `value` with `notes` under it in small type; `best` of its column or not."""

    value: str
    notes: Sequence[str] = ()
    best: bool = False

    def html(self, label: str) -> str:
        """The cell as an element; `label` is its column's title, shown beside it on narrow screens."""
        notes = "".join(f"<small>{note}</small>" for note in self.notes)
        attributes = f'role="cell" data-label="{label}"'
        if self.best:
            mark = '<span class="star" aria-hidden="true">★</span><span class="aside">best: </span>'
            return f'<td class="best" {attributes}>{mark}{self.value}{notes}</td>'
        return f"<td {attributes}>{self.value}{notes}</td>"


@dataclass(frozen=True)
class Column:
    """Heading of a column, of HTML: its title and, in small type, the unit or metric of its figures."""

    title: str
    unit: str = ""

    @property
    def html(self) -> str:
        """The heading as an element."""
        unit = f"<small>{self.unit}</small>" if self.unit else ""
        title = self.title.replace(" ↑", "\u00a0↑").replace(" ↓", "\u00a0↓")
        return f'<th scope="col" role="columnheader">{title}{unit}</th>'

    @property
    def label(self) -> str:
        """Title and unit on one line."""
        return f"{self.title}, {self.unit}" if self.unit else self.title


def table(
    ident: str, caption: str, columns: Sequence[Column], rows: Sequence[tuple[str, Sequence[Cell]]], *, words: int = 0
) -> str:
    """A table whose rows become cards on narrow screens; a row starts with its heading. All parts are HTML.

    The last `words` columns hold words, all others numbers.
    """
    head = "".join(column.html for column in columns)
    body = "\n".join(
        f'<tr role="row"><th scope="row" role="rowheader">{name}</th>'
        f"{''.join(cell.html(column.label) for cell, column in zip(cells, columns[1:], strict=True))}</tr>"
        for name, cells in rows
    )
    kind = f' class="words-{words}"' if words else ""
    return (
        f'<p class="note" id="{ident}">{caption}</p>\n'
        f'<div class="scroll" role="region" tabindex="0" aria-labelledby="{ident}">\n'
        f'<table{kind} role="table" aria-labelledby="{ident}">\n'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>\n<tbody role="rowgroup">\n{body}\n</tbody>\n'
        "</table>\n</div>"
    )


def box(kind: str, title: str, sentences: Sequence[str]) -> str:
    """Sentences (HTML) that must not be missed, or nothing where there are none."""
    if not sentences:
        return ""
    items = "".join(f"<li>{sentence}</li>" for sentence in sentences)
    return f'<aside class="box {kind}"><p><strong>{title}</strong></p><ul>{items}</ul></aside>'


def python(value: Any) -> str:
    """A plain value as Python writes it, control characters spelt out (not HTML yet)."""
    return visible(repr(value), 10_000)
