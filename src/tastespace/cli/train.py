"""The command that trains a model and saves it."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tastespace.cli import options as o
from tastespace.cli import output
from tastespace.data.read_options import ReadOptions
from tastespace.errors import OptionError

if TYPE_CHECKING:
    from tastespace.training.forecast import Forecast

_NOT_REPEATED = ("model", "settings", "config_file", "force", "resume", "baselines", "json")  # of another model


@o.with_read_options
def train(
    context: typer.Context,
    data: o.Data = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Name of the model; `tastespace models` lists them. Default: mf, or that of --config.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Directory to save the model to.")] = Path("models/default"),
    protocol: o.Protocol = None,
    settings: o.Settings = None,
    config_file: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="Model and options in TOML, as `tastespace tune --out` writes them; --set overrides them.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace a model that is there already.")] = False,
    resume: Annotated[bool, typer.Option(help="Resume an interrupted training.")] = False,
    baselines: Annotated[
        bool, typer.Option(help="Compare with item_knn and popularity on the validation rows.")
    ] = True,
    train_file: o.TrainFile = None,
    test_file: o.TestFile = None,
    reading: ReadOptions = o.READING,
    json: o.AsJson = False,
) -> None:
    """Train a model and save it.

    Without --protocol the model is trained on every row; with one, it is trained on the training rows and tested on the
    test rows. A model that loses to counting, on validation rows, is warned of.

    Example: tastespace train --data ml-100k --model mf --out models/films
    """
    from tastespace.experiments.comparison import evaluate as evaluate_fit
    from tastespace.experiments.comparison import report_to_json
    from tastespace.serving.bundle import check_can_write
    from tastespace.serving.recommender import Recommender
    from tastespace.training.fit import configure, fit

    model, chosen = _model_and_settings(model, config_file, o.parse_settings(settings))
    config, options = configure(model, chosen)
    check_can_write(out, force=force)
    split = o.open_split(
        protocol,
        data,
        train_file,
        test_file,
        reading,
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
            on_forecast=None if json else lambda forecast: _show_forecast(model, forecast),
            baselines=baselines,
        )
    except KeyboardInterrupt:
        advice = "the same command with --resume goes on from there" if checkpoint.exists() else "start it again"
        raise KeyboardInterrupt(f"interrupted; no model was written, {advice}") from None
    report = evaluate_fit(fitted) if len(split.test) else None
    metrics = {} if report is None else report_to_json(report)
    recommender = Recommender.build(fitted, out, metrics=metrics, force=force)
    if json:
        output.as_json(
            {
                "model": model,
                "out": str(out),
                "protocol": split.protocol,
                "settings": dict(fitted.search.settings) if fitted.search is not None else {},
                "epochs": fitted.best_epoch,
                "train_seconds": fitted.seconds,
                "metrics": metrics,
                "neighbourhood_overlap": recommender.bundle.manifest["neighbourhood_overlap"],
                "health": None if fitted.health is None else fitted.health.to_json(),
                "baselines": None if fitted.baselines is None else fitted.baselines.to_json(),
            }
        )
        return
    if fitted.search is not None:
        output.say(str(fitted.search))
    epochs = f", {fitted.best_epoch} epochs" if fitted.best_epoch else ""
    output.say(f"trained {model} in {fitted.seconds:.1f} s{epochs}")
    if report is not None:
        output.say(
            f"  Recall@10 {output.interval(metrics, 'recall@10')}  NDCG@10 {output.interval(metrics, 'ndcg@10')}"
        )
    if fitted.baselines is not None:
        output.say(output.indented(str(fitted.baselines)))
    if fitted.health is not None:
        output.health(fitted.health)
    overlap = recommender.bundle.manifest["neighbourhood_overlap"]
    if overlap is not None:
        output.say(
            f"  {overlap:.0%} of the 10 nearest neighbours of an item are those of the replaced model, on average"
        )
    output.say(f"model saved to {out}")
    user = recommender.bundle.users.ids[0]
    output.say(f"try: tastespace recommend {out} --user {user}")
    if fitted.baselines is not None and fitted.baselines.better is not None:
        output.baseline_warning(fitted.baselines, _command_for(fitted.baselines.better, context))


def _command_for(model: str, context: typer.Context) -> str:
    """Write the command that trains another model as this one was trained, in its place."""
    words = ["tastespace", "train", "--model", model]
    for option in context.command.params:
        name = option.name or ""
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE" and name not in _NOT_REPEATED:
            words += [option.opts[0], str(context.params[name])]
    return shlex.join([*words, "--force"])


def _model_and_settings(
    model: str | None, config_file: Path | None, settings: dict[str, str]
) -> tuple[str, dict[str, Any]]:
    """The model and its options: from the config file where there is one, overridden by --set."""
    from tastespace.training.config_file import read_config

    if config_file is None:
        return model or "mf", dict(settings)
    found = read_config(config_file)
    if model not in (None, found.model):
        raise OptionError(f"{config_file} is for {found.model}, not for {model}; leave --model out")
    return found.model, {**found.settings, **settings}


def _show_forecast(model: str, forecast: "Forecast") -> None:
    output.say(f"{model}: {forecast}")
