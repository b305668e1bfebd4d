"""Repeat: the lines that make a comparison again, and every option that each model had."""

import shlex
from typing import Any

from tastespace.experiments.report import markup
from tastespace.experiments.report.markup import text
from tastespace.experiments.report.reading import Figures, Row, mapping
from tastespace.experiments.report.words import name

_LONG = 10_000


def how(figures: Figures) -> str:
    """Command and Python lines, then config and options of every model, folded away."""
    parts = []
    if figures.protocol == "ready":
        parts.append('<p class="note">The split came ready: pass the same two files with --train and --test.</p>')
    parts.append(f"<pre><code>{text(_command(figures), _LONG)}</code></pre>")
    parts.append(
        "<p>Options that were not the defaults are added with <code>--set MODEL.FIELD=VALUE</code>; "
        "in Python every one is spelt out below.</p>"
    )
    lines = "\n".join(text(line, _LONG) for line in _python(figures))
    parts.append(f"<details>\n<summary>Python</summary>\n<pre><code>{lines}</code></pre>\n</details>")
    options = "\n".join(_options(row) for row in figures.rows)
    parts.append(f"<details>\n<summary>Config and options of every model</summary>\n{options}\n</details>")
    return "\n".join(parts)


def _command(figures: Figures) -> str:
    asked = [row.name for row in figures.rows if not row.reference] or [row.name for row in figures.rows]
    source = ["--train", "FILE", "--test", "FILE"]
    if figures.protocol != "ready":
        source = ["--data", figures.data, "--protocol", figures.protocol]
    seeds = ["--seeds", str(figures.told.get("seeds", 1)), "--k", figures.k]
    first = [
        word
        for row in figures.rows
        if row.seeds and row.seeds[0] != 0
        for word in ("--set", f"{row.name}.seed={row.seeds[0]}")
    ]
    return shlex.join(["tastespace", "compare", *source, "--models", ",".join(asked), *seeds, *first])


def _python(figures: Figures) -> list[str]:
    say = markup.python
    lines = ["import tastespace as ts", "", "settings = {"]
    for row in figures.rows:
        lines.append(f"    {say(row.name)}: {{")
        lines += [f"        {say(str(key))}: {say(value)}," for key, value in _settings(row).items()]
        lines.append("    },")
    asked = [row.name for row in figures.rows if not row.reference]
    seeds = say(figures.told.get("seeds", 1))
    cut = f"split = ts.split(ts.open_data({say(figures.data)}), {say(figures.protocol)})"
    if figures.protocol == "ready":
        cut = "split = ...  # the ready split"
    return [
        *lines,
        "}",
        cut,
        f"found = ts.compare({say(asked)}, split, seeds={seeds}, k={figures.k}, settings=settings)",
    ]


def _settings(row: Row) -> dict[str, Any]:
    """All fields of config and options, with the first seed."""
    found = {**mapping(row.told.get("config")), **mapping(row.told.get("options"))}
    return {**found, "seed": row.seeds[0]} if row.seeds and "seed" in found else found


def _options(row: Row) -> str:
    items = "".join(
        f"<div><dt>{text(key)}</dt><dd><bdi>{text(value, 200)}</bdi></dd></div>"
        for key, value in _settings(row).items()
    )
    seeds = f", seeds {text(', '.join(map(str, row.seeds)), 200)}" if row.seeds else ""
    told = f'<dl class="facts">{items}</dl>' if items else '<p class="note">none told</p>'
    return f"<h4>{name(row)}{seeds}</h4>\n{told}"
