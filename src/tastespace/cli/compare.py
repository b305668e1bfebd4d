"""The command that trains and tests models side by side."""

from pathlib import Path
from typing import Annotated

import typer

from tastespace.cli import options as o
from tastespace.cli import output
from tastespace.errors import OptionError


def compare(
    data: o.Data = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="One protocol, or several with commas between.", show_default="article"),
    ] = None,
    models: Annotated[str, typer.Option(help="Names with commas between; references join by themselves.")] = "mf",
    seeds: Annotated[int, typer.Option(help="Model seeds 0 to SEEDS - 1, averaged.")] = 1,
    k: o.K = 10,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="MODEL.FIELD=VALUE", help="An option of one model; repeatable.", show_default=False
        ),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Take up results that an earlier run finished.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page too.", show_default=False)] = None,
    train_file: o.TrainFile = None,
    test_file: o.TestFile = None,
    user_column: o.UserColumn = None,
    item_column: o.ItemColumn = None,
    value_column: o.ValueColumn = None,
    time_column: o.TimeColumn = None,
    like_from: o.LikeFrom = None,
    duplicates: o.Duplicates = "error",
    format: o.Format = None,
    encoding: o.Encoding = "utf-8",
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of tables; with a FILE after it, write it there too.")
    ] = False,
    json_file: Annotated[Path | None, typer.Argument(hidden=True)] = None,
) -> None:
    """Train and test models side by side.

    All under the same protocols, with popularity, recent_popularity, item_knn and ease always beside them.

    Example: tastespace compare --data ml-100k --protocol article,leave-last-out --models mf,spectral --seeds 3
    """
    from tastespace.data.sources import cache_folder
    from tastespace.experiments.comparison import compare as compare_models
    from tastespace.experiments.report import check_can_write_page, write_page

    if json_file is not None and not json:
        raise OptionError(f"{str(json_file)!r} is not expected here; a file for the figures follows --json")
    for file in (json_file, html):
        if file is not None:
            o.check_can_write_file(file)
    if html is not None:
        check_can_write_page()
    if not _names(models):
        raise OptionError("--models names no model; for example --models mf,spectral")
    of_models = o.parse_settings_of_models(settings)
    ready = train_file is not None or test_file is not None
    asked: list[str | None] = [*_names(protocol or "")]
    splits = o.open_splits(
        asked or [None if ready else "article"],
        data,
        train_file,
        test_file,
        user_column=user_column,
        item_column=item_column,
        value_column=value_column,
        time_column=time_column,
        like_from=like_from,
        duplicates=duplicates,
        format=format,
        encoding=encoding,
    )
    tables = not json or json_file is not None
    figures = []
    for split in splits:
        try:
            found = compare_models(
                _names(models),
                split,
                seeds=seeds,
                k=k,
                settings=of_models,
                keep=cache_folder() / "comparisons",
                resume=resume,
            )
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt(f"{error}; the same command with --resume goes on from there") from None
        figures.append(found.to_json())
        if tables:
            if len(figures) > 1:
                output.say()
            output.comparison(found)
    document = figures[0] if len(figures) == 1 else {"comparisons": figures}
    if not tables:
        output.as_json(document)
    if json_file is not None:
        output.write_json(json_file, document)
    if html is not None:
        write_page(html, figures)


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
