"""Commands that change a model directory: index."""

from pathlib import Path
from typing import Annotated

import typer

from tastespace.cli import show
from tastespace.cli.options import AsJson, K


def index(
    bundle: Annotated[Path, typer.Argument(help="A model directory.", show_default=False)],
    kind: Annotated[str, typer.Option(help="exact, ivf, or auto: by the number of items.")] = "auto",
    recall: Annotated[float, typer.Option(help="Share of the best items that must be found in the mean.")] = 0.95,
    k: K = 10,
    json: AsJson = False,
) -> None:
    """Build the index of a model's items anew, and tell what it reaches.

    Example: tastespace index models/shop --recall 0.98
    """
    from tastespace.recommender import Recommender

    _, figures = Recommender.reindex(bundle, kind=kind, recall=recall, k=k)
    if json:
        show.as_json({"bundle": str(bundle), **figures.to_json()})
        return
    show.say(f"{figures.kind} index of {figures.n:,} items, {figures.bytes / 2**20:,.1f} MiB beside the vectors")
    if figures.lists is not None:
        show.say(f"a search looks at {figures.reach:,} of {figures.lists:,} lists; built in {figures.seconds:.1f} s")
    show.say(
        f"recall@{figures.k} {figures.recall:.4f} against exact search; a query takes {figures.p50_ms:.2f} ms in the "
        f"median, {figures.p95_ms:.2f} ms at the 95th percentile ({figures.queries} users)"
    )
