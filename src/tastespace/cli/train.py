"""The command that trains a model and saves it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tastespace.cli import options as o
from tastespace.cli import output

if TYPE_CHECKING:
    from tastespace.training.forecast import Forecast


def train(
    data: o.Data = None,
    model: Annotated[str, typer.Option(help="The model; `tastespace models` lists them.")] = "mf",
    out: Annotated[Path, typer.Option(help="Where the model directory goes.")] = Path("models/default"),
    protocol: o.Protocol = None,
    settings: o.Settings = None,
    force: Annotated[bool, typer.Option(help="Replace a model that is there already.")] = False,
    resume: Annotated[bool, typer.Option(help="Resume an interrupted training.")] = False,
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
    json: o.AsJson = False,
) -> None:
    """Train a model and write it as a bundle.

    Without --protocol every row is trained on; with one, the test rows are kept out and the model is tested on them.

    Example: tastespace train --data ml-100k --model mf --out models/films
    """
    from tastespace.experiments.comparison import evaluate as evaluate_fit
    from tastespace.experiments.comparison import report_to_json
    from tastespace.serving.bundle import check_can_write
    from tastespace.serving.recommender import Recommender
    from tastespace.training.fit import configure, fit

    config, options = configure(model, o.parse_settings(settings))
    check_can_write(out, force=force)
    split = o.open_split(
        protocol,
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
    checkpoint = out.parent / f".{out.name}.checkpoint"
    if not json:
        output.say(split.describe())
    try:
        fitted = fit(
            model,
            split,
            config=config,
            options=options,
            checkpoint=checkpoint,
            resume=resume,
            on_forecast=None if json else lambda forecast: _tell(model, forecast),
        )
    except KeyboardInterrupt:
        left = "the same command with --resume goes on from there" if checkpoint.exists() else "start it again"
        raise KeyboardInterrupt(f"interrupted; no model was written, {left}") from None
    report = evaluate_fit(fitted) if len(split.test) else None
    metrics = {} if report is None else report_to_json(report)
    recommender = Recommender.build(fitted, out, metrics=metrics, force=force)
    if json:
        output.as_json(
            {
                "model": model,
                "out": str(out),
                "protocol": split.protocol,
                "epochs": fitted.best_epoch,
                "train_seconds": fitted.seconds,
                "metrics": metrics,
                "neighbourhood_overlap": recommender.bundle.manifest["neighbourhood_overlap"],
                "health": None if fitted.health is None else fitted.health.to_json(),
            }
        )
        return
    epochs = f", {fitted.best_epoch} epochs" if fitted.best_epoch else ""
    output.say(f"trained {model} in {fitted.seconds:.1f} s{epochs}")
    if report is not None:
        output.say(
            f"  Recall@10 {output.interval(metrics, 'recall@10')}  NDCG@10 {output.interval(metrics, 'ndcg@10')}"
        )
    if fitted.health is not None:
        output.health(fitted.health)
    overlap = recommender.bundle.manifest["neighbourhood_overlap"]
    if overlap is not None:
        output.say(f"  an item keeps {overlap:.0%} of its 10 nearest neighbours in the model that this one replaces")
    output.say(f"the bundle lies in {out}")
    some = recommender.bundle.users.ids[0]
    output.say(f"try: tastespace recommend {out} --user {some}")


def _tell(model: str, forecast: "Forecast") -> None:
    output.say(f"{model}: {forecast}")
