"""The command `cold-start`: quality for new users and new items."""

from typing import TYPE_CHECKING, Annotated

import typer

from tastespace.cli import options as o
from tastespace.cli import output
from tastespace.data.read_options import ReadOptions

if TYPE_CHECKING:
    from tastespace.experiments.cold_start import ColdStartReport


@o.with_read_options
def cold_start(
    data: o.Data = None,
    model: Annotated[str, typer.Option(help="Name of the model; `tastespace models` lists them.")] = "mf",
    seeds: Annotated[int, typer.Option(help="Number of model seeds (0, 1, ...), averaged.")] = 1,
    k: o.K = 10,
    settings: o.Settings = None,
    reading: ReadOptions = o.READING,
    json: o.AsJson = False,
) -> None:
    """Measure the quality for new users and new items, by each cold-start route.

    New users by their history, a few positives, their attributes or nothing, beside a model that was trained on them;
    new items by their attributes, beside simpler placements.

    Example: tastespace cold-start --data ml-100k --model mf
    """
    from tastespace.experiments.cold_start import measure_cold_start

    dataset = o.open_split(
        None,
        data,
        None,
        None,
        reading,
    ).dataset
    report = measure_cold_start(model, dataset, seeds=seeds, k=k, settings=o.parse_settings(settings))
    if json:
        output.as_json(report.to_json())
        return
    _show(report)


def _show(report: "ColdStartReport") -> None:
    seeds = "1 seed" if report.seeds == 1 else f"{report.seeds} seeds"
    output.say(f"{report.model} on {report.data}, {seeds}, NDCG@{report.k} with 95 % intervals over users")
    for title, rows in (
        ("new users:", report.users),
        ("new items, ranked among themselves:", report.items),
    ):
        if not rows:
            continue
        output.say()
        output.say(title)
        cells = [
            [row.route, row.about, f"{row.ndcg.value:.4f}", f"[{row.ndcg.low:.4f}, {row.ndcg.high:.4f}]"]
            for row in rows
        ]
        output.table(
            ["route", "given" if rows is report.users else "placed at", f"NDCG@{report.k}", "interval"],
            cells,
            numbers_from=2,
        )
    if not report.items:
        output.say()
        output.say("the items have no attributes, so new ones cannot be placed")
