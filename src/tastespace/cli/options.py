"""Options that several commands share, and the data that they name."""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from tastespace.data.read_options import ReadOptions
from tastespace.errors import OptionError

if TYPE_CHECKING:
    from tastespace.data.split import Split

F = TypeVar("F", bound=Callable[..., Any])

Data = Annotated[
    str | None,
    typer.Option("--data", help="Name of a data set (ml-100k), a file or a folder.", show_default=False),
]
Bundle = Annotated[Path, typer.Argument(help="Directory of a saved model.", show_default=False)]
Protocol = Annotated[
    str | None,
    typer.Option(
        help="How the log is split: article (also random-80-20: a random fifth of the positives is the test set), "
        "article-rated, random-811, leave-last-out, at-time, new-users, new-items.",
        show_default=False,
    ),
]
TrainFile = Annotated[
    Path | None,
    typer.Option("--train", help="Training part of a ready split, one line per user.", show_default=False),
]
TestFile = Annotated[
    Path | None, typer.Option("--test", help="Test part of a ready split, one line per user.", show_default=False)
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Model or training option; repeatable.", show_default=False),
]
K = Annotated[int, typer.Option("--k", help="Length of the recommendation lists.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


READING = ReadOptions()


def with_read_options(command: F) -> F:
    """Replace the parameter `reading` of a command by one command-line option per field of `ReadOptions`."""
    signature = inspect.signature(command, eval_str=True)
    types = get_type_hints(ReadOptions)
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if parameter.name != "reading":
            parameters.append(parameter)
            continue
        for field in fields(ReadOptions):
            kind: Any = float if types[field.name] == float | None else str
            help_text = typer.Option(help=field.metadata["doc"], show_default=field.default is not None)
            optional = kind if field.default is not None else kind | None
            annotation: Any = Annotated[optional, help_text]
            parameters.append(parameter.replace(name=field.name, annotation=annotation, default=field.default))

    @functools.wraps(command)
    def run(**options: Any) -> None:
        reading = {field.name: options.pop(field.name) for field in fields(ReadOptions)}
        command(**options, reading=ReadOptions(**reading))

    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run  # type: ignore[return-value]


def open_split(
    protocol: str | None, data: str | None, train: Path | None, test: Path | None, reading: ReadOptions
) -> "Split":
    """Split the data by a protocol (all rows train without one), or read the ready split of two files."""
    return open_splits([protocol], data, train, test, reading)[0]


def open_splits(
    protocols: Sequence[str | None], data: str | None, train: Path | None, test: Path | None, reading: ReadOptions
) -> "list[Split]":
    """Split the data by several protocols; they are read once."""
    from tastespace.data.lines import read_ready_split
    from tastespace.data.sources import open_data
    from tastespace.data.split import ready_split, split, whole

    if train is not None or test is not None:
        if train is None or test is None:
            raise OptionError("a ready split needs both --train FILE and --test FILE")
        if list(protocols) != [None]:
            raise OptionError("a ready split is its own protocol: leave --protocol out")
        return [ready_split(train.resolve().parent.name or train.name, *read_ready_split(train, test))]
    if data is None:
        raise OptionError("name the data with --data NAME_OR_FILE (as in --data ml-100k), or with --train and --test")
    dataset = open_data(data, reading)
    return [whole(dataset) if protocol is None else split(dataset, protocol) for protocol in protocols]


def parse_settings_of_models(texts: list[str] | None) -> dict[str, dict[str, str]]:
    """`--set MODEL.FIELD=VALUE` options as a mapping for each model."""
    settings: dict[str, dict[str, str]] = {}
    for path, value in parse_settings(texts).items():
        model, dot, name = path.partition(".")
        if not dot or not name.strip():
            raise OptionError(f"--set {path}={value} does not say of which model, as --set mf.{model}={value} would")
        settings.setdefault(model.strip(), {})[name.strip()] = value
    return settings


def check_can_write_file(file: Path) -> None:
    """Raise `OptionError` before the work rather than after it where a file cannot be written."""
    from tastespace._atomic import nearest_folder, probe

    try:
        if file.is_dir():
            raise IsADirectoryError
        probe(nearest_folder(file))
    except OSError as error:
        raise OptionError(f"{file} cannot be written; name a file in a folder that is yours") from error


def parse_settings(texts: list[str] | None) -> dict[str, str]:
    """`--set FIELD=VALUE` options as a mapping."""
    settings = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise OptionError(f"--set {text!r} is not of the form FIELD=VALUE, for example --set dim=128")
        settings[name.strip()] = value.strip()
    return settings


def parse_features(texts: list[str] | None) -> dict[str, str | list[str]]:
    """`--feature NAME=VALUE` options as a mapping; a name that comes twice holds a list."""
    features: dict[str, str | list[str]] = {}
    for text in texts or []:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name:
            raise OptionError(f"--feature {text!r} is not of the form NAME=VALUE, for example --feature age=30")
        before = features.get(name, [])
        features[name] = [*([before] if isinstance(before, str) else before), value] if before else value
    return features
