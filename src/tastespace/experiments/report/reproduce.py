"""Write the command and the Python code that reproduce a comparison, and every option of each model."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tastespace.experiments.report import markup
from tastespace.experiments.report.figures import Figures, Row, mapping
from tastespace.experiments.report.summary import name


@dataclass(frozen=True)
class ModelSettings:
    """Config and options of one model, and the seeds that it was trained with."""

    name: Markup
    seeds: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Reproduction:
    """Everything that repeats a comparison: `ready` where the split was given as two files."""

    ready: bool
    command: str
    python: Sequence[str]
    models: Sequence[ModelSettings]


def reproduction(figures: Figures) -> Reproduction:
    """Return the command, the Python code, and the settings of every model."""
    models = [ModelSettings(name(row), ", ".join(map(str, row.seeds)), _settings(row)) for row in figures.rows]
    return Reproduction(figures.protocol == "ready", _command(figures), _python(figures), models)


def _command(figures: Figures) -> str:
    models = [row.name for row in figures.rows if not row.reference] or [row.name for row in figures.rows]
    source = ["--train", "FILE", "--test", "FILE"]
    if figures.protocol != "ready":
        source = ["--data", figures.data, "--protocol", figures.protocol]
    seeds = ["--seeds", str(figures.document.get("seeds", 1)), "--k", figures.k]
    alone = [] if _has_references(figures) else ["--no-references"]
    first_seeds = [
        word
        for row in figures.rows
        if row.seeds and row.seeds[0] != 0
        for word in ("--set", f"{row.name}.seed={row.seeds[0]}")
    ]
    return shlex.join(["tastespace", "compare", *source, "--models", ",".join(models), *alone, *seeds, *first_seeds])


def _python(figures: Figures) -> list[str]:
    literal = markup.python
    lines = ["import tastespace as ts", "", "settings = {"]
    for row in figures.rows:
        lines.append(f"    {literal(row.name)}: {{")
        lines += [f"        {literal(str(key))}: {literal(value)}," for key, value in _settings(row).items()]
        lines.append("    },")
    models = [row.name for row in figures.rows if not row.reference]
    seeds = literal(figures.document.get("seeds", 1))
    split = f"split = ts.split(ts.open_data({literal(figures.data)}), {literal(figures.protocol)})"
    if figures.protocol == "ready":
        split = "split = ...  # your own split"
    alone = "" if _has_references(figures) else ", references=False"
    return [
        *lines,
        "}",
        split,
        f"comparison = ts.compare({literal(models)}, split, seeds={seeds}, k={figures.k}, settings=settings{alone})",
    ]


def _has_references(figures: Figures) -> bool:
    """Whether the references were compared too."""
    return figures.document.get("references") != []


def _settings(row: Row) -> dict[str, Any]:
    """All fields of config and options, with the first seed."""
    settings = {**mapping(row.entry.get("config")), **mapping(row.entry.get("options"))}
    return {**settings, "seed": row.seeds[0]} if row.seeds and "seed" in settings else settings
