"""The command `tastespace`: a thin skin over the library. Every import that costs time happens inside a command."""

from typing import Annotated

import typer

from tastespace.cli import bundle, cold_start, compare, demo, evaluate, info, recommend, train, tune
from tastespace.cli.errors import guarded

app = typer.Typer(
    name="tastespace",
    help="Turn a log of who-used-what into embeddings, and those into recommendations.\n\nStart with: tastespace demo",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

for command in (
    demo.demo,
    info.fetch,
    train.train,
    tune.tune,
    evaluate.evaluate,
    compare.compare,
    cold_start.cold_start,
    recommend.recommend,
    recommend.explain,
    recommend.similar_items,
    recommend.similar_users,
    info.info,
    bundle.index,
    bundle.add_items,
    info.models,
    info.doctor,
):
    app.command(command.__name__.replace("_", "-"))(guarded(command))


def _version(requested: bool) -> None:
    if requested:
        import tastespace

        typer.echo(f"tastespace {tastespace.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Turn a log of who-used-what into embeddings, and those into recommendations."""


def main() -> None:
    """Entry point of the command."""
    app()
