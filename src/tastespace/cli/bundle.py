"""Commands that change a model directory: index, add-items."""

from pathlib import Path
from typing import Annotated

import typer

from tastespace.cli import output
from tastespace.cli.options import AsJson, K


def index(
    bundle: Annotated[Path, typer.Argument(help="Directory of a saved model.", show_default=False)],
    kind: Annotated[
        str,
        typer.Option(
            help="exact; ivf, inverted lists of vectors; pq, inverted lists of quantised codes, in a tenth of the "
            "memory; or auto: exact or ivf, by the number of items."
        ),
    ] = "auto",
    recall: Annotated[float, typer.Option(help="Least mean recall of the best items, against exact search.")] = 0.95,
    k: K = 10,
    json: AsJson = False,
) -> None:
    """Build the index of a model's items again, and report its recall and speed.

    Example: tastespace index models/shop --recall 0.98
    """
    from tastespace.serving.recommender import Recommender

    _, report = Recommender.reindex(bundle, kind=kind, recall=recall, k=k)
    if json:
        output.as_json({"bundle": str(bundle), **report.to_json()})
        return
    output.say(f"{report.kind} index of {report.n:,} items, {report.bytes / 2**20:,.1f} MiB beside the vectors")
    if report.nprobe is not None:
        rescored = "" if report.n_rescored is None else f" and rescores {report.n_rescored:,} more candidates"
        output.say(
            f"a search scans {report.nprobe:,} of {report.n_lists:,} lists{rescored}; built in {report.seconds:.1f} s"
        )
    output.say(
        f"recall@{report.k} {report.recall:.4f} against exact search; a query takes {report.p50_ms:.2f} ms in the "
        f"median, {report.p95_ms:.2f} ms at the 95th percentile ({report.queries} users)"
    )


def add_items(
    bundle: Annotated[Path, typer.Argument(help="Directory of a saved model.", show_default=False)],
    items: Annotated[Path, typer.Argument(help="A table of items with their attributes.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(help="Directory for the extended model; with --force the same one.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a model that is there.")] = False,
    item_column: Annotated[
        str | None, typer.Option(help="Column of the item id; usual names are recognised.", show_default=False)
    ] = None,
    json: AsJson = False,
) -> None:
    """Add new items by their attributes, recommendable at once; nothing is trained.

    Items that the model knows already are left out.

    Example: tastespace add-items models/shop new.csv --force
    """
    from tastespace.data.readers import read_new
    from tastespace.serving.bundle import check_can_write
    from tastespace.serving.recommender import Recommender

    target = out or bundle
    check_can_write(target, force=force)
    recommender = Recommender.load(bundle)
    new = read_new(items, recommender.bundle.items, "item", item_column)
    updated = recommender.with_items(new).write(target, force=force)
    if json:
        output.as_json({"bundle": str(target), "added": len(new), "items": len(updated.bundle.items)})
        return
    output.say(f"{len(new):,} items added; the model in {target} holds {len(updated.bundle.items):,}")
