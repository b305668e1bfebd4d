"""Write docs/models.md from the model registry and docs/cli.md from the Typer app.

.venv/bin/python benchmarks/reference_pages.py
"""

import dataclasses
from pathlib import Path
from typing import Any

import typer

from tastespace import models
from tastespace.cli import app
from tastespace.config import describe_type

DOCS = Path(__file__).parent.parent / "docs"
MARK = "<!-- written by benchmarks/reference_pages.py -->"


def models_page() -> str:
    """Return every model with its options: type, default, usual range and meaning."""
    lines = ["# Models", "", MARK, "", "Options are set by `--set NAME=VALUE`, or as keywords of `ts.train`."]
    for name in models.names():
        cls = models.get(name)
        lines += ["", f"## {name}", "", f"{_sentence(cls.about)} When to pick it: {cls.pick}."]
        if options := dataclasses.fields(cls.Config):
            lines += ["", "| option | type | default | usual | meaning |", "|---|---|---|---|---|"]
        for option in options:
            usual = option.metadata.get("usual")
            cells = (
                f"`{option.name}`",
                describe_type(cls.Config, option.name),
                f"`{option.default}`",
                f"{usual[0]:g} to {usual[1]:g}" if usual else "",
                option.metadata.get("doc", ""),
            )
            lines.append(_row(cells))
    return "\n".join(lines) + "\n"


def cli_page() -> str:
    """Return every command with its arguments and options."""
    group: Any = typer.main.get_command(app)
    lines = ["# Commands", "", MARK, "", "`tastespace COMMAND --help` prints the same."]
    for name, command in group.commands.items():
        lines += ["", f"## tastespace {name}", ""]
        for paragraph in (command.help or "").split("\n\n"):
            text = paragraph.strip()
            lines += [f"    {text}" if text.startswith("tastespace") else text, ""]
        lines += ["| argument or option | default | meaning |", "|---|---|---|"]
        for parameter in command.params:
            if getattr(parameter, "hidden", False) or parameter.name == "help":
                continue
            is_option = parameter.param_type_name == "option"
            names = (*parameter.opts, *parameter.secondary_opts) if is_option else (str(parameter.name).upper(),)
            default = parameter.default
            shown = f"`{default}`" if isinstance(default, str | int | float) and default is not False else ""
            lines.append(_row((", ".join(f"`{one}`" for one in names), shown, parameter.help or "")))
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """Return the text of each generated page by its file name in docs/."""
    return {"models.md": models_page(), "cli.md": cli_page()}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    for file, text in pages().items():
        (DOCS / file).write_text(text)
