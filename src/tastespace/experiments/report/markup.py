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

    def __str__(self) -> str:
        notes = "".join(f"<small>{note}</small>" for note in self.notes)
        if self.best:
            mark = '<span class="star" aria-hidden="true">★</span><span class="aside">best: </span>'
            return f'<td class="best">{mark}{self.value}{notes}</td>'
        return f"<td>{self.value}{notes}</td>"


def table(
    ident: str, caption: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[Cell]]], *, words: int = 0
) -> str:
    """A table in a box that scrolls by itself; a row starts with its heading. All parts are HTML.

    The last `words` columns hold words, all others numbers.
    """
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    body = "\n".join(f'<tr><th scope="row">{name}</th>{"".join(map(str, cells))}</tr>' for name, cells in rows)
    kind = f' class="words-{words}"' if words else ""
    return (
        f'<p class="note" id="{ident}">{caption}</p>\n'
        f'<div class="scroll" role="region" tabindex="0" aria-labelledby="{ident}">\n'
        f'<table{kind} aria-labelledby="{ident}">\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n"
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
