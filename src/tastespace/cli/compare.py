"""The command that trains and tests models side by side."""

from pathlib import Path
from typing import Annotated

import typer

from tastespace.cli import options as o
from tastespace.cli import output
from tastespace.data.read_options import ReadOptions
from tastespace.errors import OptionError


@o.with_read_options
def compare(
    data: o.Data = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="One or several protocols, comma-separated. article (also random-80-20): a random fifth of the "
            "positives is the test set. Default: article.",
            show_default=False,
        ),
    ] = None,
    models: Annotated[str, typer.Option(help="Comma-separated names; the reference models are added.")] = "mf",
    references: Annotated[
        bool,
        typer.Option(
            "--references/--no-references", help="Add the reference models, or compare those of --models alone."
        ),
    ] = True,
    seeds: Annotated[int, typer.Option(help="Number of model seeds (0, 1, ...), averaged.")] = 1,
    k: o.K = 10,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="MODEL.FIELD=VALUE", help="Option of one model; repeatable.", show_default=False),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Reuse the results that an earlier run finished.")] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a report page too.", show_default=False)
    ] = None,
    train_file: o.TrainFile = None,
    test_file: o.TestFile = None,
    reading: ReadOptions = o.READING,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of tables; with a FILE after it, write it there too.")
    ] = False,
    json_file: Annotated[Path | None, typer.Argument(hidden=True)] = None,
) -> None:
    """Train and test models side by side.

    All under the same protocols, beside the reference models popularity, recent_popularity, item_knn and ease; one that
    does not fit the memory, or may take longer than ten minutes, is skipped unless --models names it.

    Example: tastespace compare --data ml-100k --protocol article,leave-last-out --models mf,spectral --seeds 3
    """
    from tastespace.data.protocols import resolve_name
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
    model_settings = o.parse_settings_of_models(settings)
    ready = train_file is not None or test_file is not None
    protocols: list[str | None] = list(dict.fromkeys(resolve_name(name) for name in _names(protocol or "")))
    splits = o.open_splits(
        protocols or [None if ready else "article"],
        data,
        train_file,
        test_file,
        reading,
    )
    tables = not json or json_file is not None
    figures = []
    for split in splits:
        try:
            result = compare_models(
                _names(models),
                split,
                seeds=seeds,
                k=k,
                settings=model_settings,
                references=references,
                results_folder=cache_folder() / "comparisons",
                resume=resume,
            )
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt(f"{error}; the same command with --resume goes on from there") from None
        figures.append(result.to_json())
        if tables:
            if len(figures) > 1:
                output.say()
            output.comparison(result)
    document = figures[0] if len(figures) == 1 else {"comparisons": figures}
    if not tables:
        output.as_json(document)
    if json_file is not None:
        output.write_json(json_file, document)
    if html is not None:
        write_page(html, figures)


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
