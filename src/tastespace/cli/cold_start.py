"""The command that measures what it costs to know little."""

from typing import TYPE_CHECKING, Annotated

import typer

from tastespace.cli import options as o
from tastespace.cli import output

if TYPE_CHECKING:
    from tastespace.experiments.cold_start import ColdStartReport


def cold_start(
    data: o.Data = None,
    model: Annotated[str, typer.Option(help="The model; `tastespace models` lists them.")] = "mf",
    seeds: Annotated[int, typer.Option(help="Model seeds 0 to SEEDS - 1, averaged.")] = 1,
    k: o.K = 10,
    settings: o.Settings = None,
    user_column: o.UserColumn = None,
    item_column: o.ItemColumn = None,
    value_column: o.ValueColumn = None,
    time_column: o.TimeColumn = None,
    like_from: o.LikeFrom = None,
    duplicates: o.Duplicates = "error",
    format: o.Format = None,
    encoding: o.Encoding = "utf-8",
    json: o.AsJson = False,
) -> None:
    """Measure what each route costs: users and items that training never saw.

    Unseen users by their history, by a few likes, by their attributes and by nothing, beside the model that was trained
    on them; unseen items placed by their attributes, beside simpler places.

    Example: tastespace cold-start --data ml-100k --model mf
    """
    from tastespace.experiments.cold_start import measure_cold_start

    dataset = o.open_split(
        None,
        data,
        None,
        None,
        user_column=user_column,
        item_column=item_column,
        value_column=value_column,
        time_column=time_column,
        like_from=like_from,
        duplicates=duplicates,
        format=format,
        encoding=encoding,
    ).dataset
    found = measure_cold_start(model, dataset, seeds=seeds, k=k, settings=o.parse_settings(settings))
    if json:
        output.as_json(found.to_json())
        return
    _show(found)


def _show(found: "ColdStartReport") -> None:
    seeds = "1 seed" if found.seeds == 1 else f"{found.seeds} seeds"
    output.say(f"{found.model} on {found.data}, {seeds}, NDCG@{found.k} with 95 % intervals over users")
    for title, rows in (
        ("unseen users, of whom this is known:", found.users),
        ("unseen items, ranked among themselves, placed:", found.items),
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
            ["route", "what is known" if rows is found.users else "where", f"NDCG@{found.k}", "interval"],
            cells,
            numbers_from=2,
        )
    if not found.items:
        output.say()
        output.say("the items have no attributes, so unseen ones cannot be placed")
