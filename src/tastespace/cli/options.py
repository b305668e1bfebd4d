"""Options that several commands share, and the data that they name."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from tastespace.errors import OptionError

if TYPE_CHECKING:
    from tastespace.data.split import Split

Data = Annotated[
    str | None,
    typer.Option("--data", help="A data set's name (ml-100k), a file or a folder.", show_default=False),
]
Bundle = Annotated[Path, typer.Argument(help="A model directory.", show_default=False)]
Protocol = Annotated[
    str | None,
    typer.Option(
        help="How the log is cut: article (also random-80-20; a random fifth of all positives is test), "
        "article-rated, random-811, leave-last-out, at-time, new-users, new-items.",
        show_default=False,
    ),
]
TrainFile = Annotated[
    Path | None,
    typer.Option("--train", help="Training part of a ready split, a line a user.", show_default=False),
]
TestFile = Annotated[
    Path | None, typer.Option("--test", help="Test part of a ready split, a line a user.", show_default=False)
]
UserColumn = Annotated[
    str | None, typer.Option(help="Column of the user id; usual names are found.", show_default=False)
]
ItemColumn = Annotated[
    str | None, typer.Option(help="Column of the item id; usual names are found.", show_default=False)
]
ValueColumn = Annotated[str | None, typer.Option(help="Column of the rating or amount.", show_default=False)]
TimeColumn = Annotated[str | None, typer.Option(help="Column of the time.", show_default=False)]
LikeFrom = Annotated[
    float | None, typer.Option(help="Lowest rating that says 'liked' (4 for stars).", show_default=False)
]
Duplicates = Annotated[str, typer.Option(help="Repeated pairs of user and item: error, keep, first, last or max.")]
Format = Annotated[
    str | None,
    typer.Option(help="csv, tsv, parquet, jsonl or lines; by the file's ending.", show_default=False),
]
Encoding = Annotated[str, typer.Option(help="How a text file is written.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="A model or training option; repeatable.", show_default=False),
]
K = Annotated[int, typer.Option("--k", help="Length of the lists.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def open_split(
    protocol: str | None, data: str | None, train: Path | None, test: Path | None, **reading: Any
) -> "Split":
    """The data that the options name: cut by a protocol (whole without one), or the ready split of two files."""
    return open_splits([protocol], data, train, test, **reading)[0]


def open_splits(
    protocols: Sequence[str | None],
    data: str | None,
    train: Path | None,
    test: Path | None,
    *,
    user_column: str | None,
    item_column: str | None,
    value_column: str | None,
    time_column: str | None,
    like_from: float | None,
    duplicates: str,
    format: str | None,
    encoding: str,
) -> "list[Split]":
    """The same for several protocols; the data are read once."""
    from tastespace.data.lines import read_ready_split
    from tastespace.data.read_options import ReadOptions
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
    one_of("--duplicates", duplicates, ("error", "keep", "first", "last", "max"))
    if format is not None:
        one_of("--format", format, ("csv", "tsv", "parquet", "jsonl", "lines"))
    options = ReadOptions(
        user_column,
        item_column,
        value_column,
        time_column,
        like_from,
        cast("Any", duplicates),  # checked above
        cast("Any", format),
        encoding,
    )
    dataset = open_data(data, options)
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


def one_of(option: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise `OptionError` for a value that is not among the choices."""
    from tastespace._messages import did_you_mean, shown

    if value not in choices:
        raise OptionError(f"{option} {shown(value)} is not possible{did_you_mean(value, choices)}")
