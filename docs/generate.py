"""Write the generated parts of the documentation: docs/models.md, docs/cli.md and the tables of README.md.

.venv/bin/python docs/generate.py
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import typer

from tastespace import models
from tastespace.cli import app
from tastespace.config import describe_type
from tastespace.models.base import Options

DOCS = Path(__file__).parent
ROOT = DOCS.parent
MARK = "<!-- written by docs/generate.py -->"
BEGIN, END = "<!-- models: written by docs/generate.py -->", "<!-- end of models -->"
PROTOCOLS = ("article", "article-rated", "random-811", "leave-last-out", "new-users")
ORDER = "mf ncf lightgcn bert4rec two_tower sasrec ials ease spectral item_knn popularity recent_popularity".split()


def pages() -> dict[Path, str]:
    """Return the text of each file that is written, wholly or in part, by this script."""
    return {DOCS / "models.md": models_page(), DOCS / "cli.md": cli_page(), ROOT / "README.md": readme()}


def models_page() -> str:
    """Return all models, their figures, and their options: type, default, usual range and meaning."""
    lines = ["# Models", "", MARK, "", *model_table(), "", *figures_table("`benchmarks/results/quality.md`")]
    lines += ["", "[Figures](benchmarks.md) says what these numbers do and do not show.", "", "## Options", ""]
    lines += ["Options are set by `--set NAME=VALUE`, or as keywords of `ts.train`. The usual range is the one worth"]
    lines += ["searching; values outside it are allowed."]
    lines += ["", "### Training", "", "Of every model that is trained by gradient:", "", *_options(Options)]
    gradient = [name for name in _names() if models.get(name).learns_by_gradient()]
    lines += ["", "Defaults that differ by model:", "", *_training_defaults(gradient)]
    for name in _names():
        cls = models.get(name)
        lines += ["", f"### {name}", "", f"{_sentence(cls.about)} When to pick it: {cls.pick}."]
        if dataclasses.fields(cls.Config):
            lines += ["", *_options(cls.Config)]
    return "\n".join(lines) + "\n"


def cli_page() -> str:
    """Return every command with its arguments and options."""
    group: Any = typer.main.get_command(app)
    lines = ["# Commands", "", MARK, "", "`tastespace COMMAND --help` prints the same."]
    for name, command in group.commands.items():
        lines += ["", f"## tastespace {name}", ""]
        for paragraph in (command.help or "").split("\n\n"):
            text = paragraph.strip()
            example = text.removeprefix("Example: ")
            lines += [f"    {example}" if example.startswith("tastespace") else text, ""]
        lines += ["| argument or option | default | meaning |", "|---|---|---|"]
        for parameter in command.params:
            if getattr(parameter, "hidden", False) or parameter.name == "help":
                continue
            is_option = parameter.param_type_name == "option"
            names = (*parameter.opts, *parameter.secondary_opts) if is_option else (str(parameter.name).upper(),)
            default = parameter.default
            shown = f"`{default}`" if isinstance(default, str | int | float) and default is not False else ""
            lines.append(_row((", ".join(f"`{name}`" for name in names), shown, parameter.help or "")))
    return "\n".join(lines) + "\n"


def readme() -> str:
    """Return the README with its tables written from the registry and results/quality.json."""
    before, rest = (ROOT / "README.md").read_text().split(BEGIN)
    figures = figures_table("[quality.md](benchmarks/results/quality.md)")
    return before + "\n".join([BEGIN, *model_table(), "", *figures, END]) + rest.split(END)[1]


def model_table() -> list[str]:
    """Return a table of the models: name, description, when to pick it."""
    lines = ["| name | what it is | when to pick it |", "|---|---|---|"]
    return lines + [f"| `{name}` | {models.get(name).about} | {models.get(name).pick} |" for name in _names()]


def figures_table(results: str) -> list[str]:
    """Return a table of quality and training seconds by model and protocol; `results` refers to all of them."""
    measured = json.loads((ROOT / "benchmarks" / "results" / "quality.json").read_text())
    comparisons = {comparison["protocol"]: comparison for comparison in measured["comparisons"]}
    protocols = [protocol for protocol in PROTOCOLS if protocol in comparisons]
    rows = {protocol: {row["model"]: row for row in comparisons[protocol]["rows"]} for protocol in protocols}
    days = [comparison["measured"] for comparison in measured["comparisons"]]
    dates = " to ".join(sorted({min(days), max(days)}))
    lines = [
        "MovieLens 100K test rows, Recall@10 / NDCG@10, mean of three seeds, defaults of the day, seconds of `article`",
        f"({dates}, {measured['measured']}; intervals and all protocols: {results}):",
        "",
        "| | " + " | ".join(f"`{protocol}`" for protocol in protocols) + " | seconds |",
        "|---|" + "---|" * (len(protocols) + 1),
    ]
    for name in _names():
        results_of_model = [rows[protocol].get(name) for protocol in protocols]
        cells = ["–" if row is None else f"{row['recall@10']:.4f} / {row['ndcg@10']:.4f}" for row in results_of_model]
        first = results_of_model[0]
        cells.append("–" if first is None else f"{first['train_seconds']:.1f}")
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return lines


def _names() -> list[str]:
    return [*ORDER, *(name for name in models.names() if name not in ORDER)]


def _options(config: type[Any]) -> list[str]:
    lines = ["| option | type | default | usual | meaning |", "|---|---|---|---|---|"]
    for option in dataclasses.fields(config):
        usual = option.metadata.get("usual")
        cells = (
            f"`{option.name}`",
            describe_type(config, option.name),
            f"`{option.default}`",
            f"{usual[0]:g} to {usual[1]:g}" if usual else "",
            option.metadata.get("doc", ""),
        )
        lines.append(_row(cells))
    return lines


def _training_defaults(names: list[str]) -> list[str]:
    own = {name: models.get(name).OPTIONS for name in names}
    options = [
        option.name
        for option in dataclasses.fields(Options)
        if any(getattr(own[name], option.name) != option.default for name in names)
    ]
    lines = ["| | " + " | ".join(f"`{option}`" for option in options) + " |", "|---|" + "---|" * len(options)]
    return lines + [_row((f"`{name}`", *(f"{getattr(own[name], option)}" for option in options))) for name in names]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    for file, text in pages().items():
        file.write_text(text)
