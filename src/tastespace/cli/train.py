"""Commands that train and judge: train, evaluate, compare."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tastespace.cli import options as o
from tastespace.cli import output
from tastespace.errors import OptionError

if TYPE_CHECKING:
    from tastespace.data.split import Split
    from tastespace.serving.recommender import Recommender
    from tastespace.training.forecast import Forecast

Protocol = Annotated[
    str | None,
    typer.Option(
        help="How the log is cut: article, article-rated, random-811, leave-last-out, at-time, new-users, new-items.",
        show_default=False,
    ),
]
Bundle = Annotated[Path, typer.Argument(help="A model directory.", show_default=False)]


def train(
    data: o.Data = None,
    model: Annotated[str, typer.Option(help="The model; `tastespace models` lists them.")] = "mf",
    out: Annotated[Path, typer.Option(help="Where the model directory goes.")] = Path("models/default"),
    protocol: Protocol = None,
    settings: o.Settings = None,
    force: Annotated[bool, typer.Option(help="Replace a model that is there already.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on where an interrupted training stopped.")] = False,
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


def evaluate(
    bundle: Bundle,
    data: o.Data = None,
    protocol: Protocol = None,
    k: o.K = 10,
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
    rules: Annotated[
        Path | None, typer.Option(help="A YAML file of rules: what each does to the lists.", show_default=False)
    ] = None,
    json: o.AsJson = False,
) -> None:
    """Test a bundle on the test rows of a protocol.

    Refused where the bundle was trained on any of them.

    Example: tastespace evaluate models/films --data ml-100k --protocol article
    """
    from tastespace.evaluation.leaks import find_leaks
    from tastespace.experiments.comparison import report_to_json
    from tastespace.serving.recommender import Recommender

    recommender = Recommender.load(bundle)
    if protocol is None and train_file is None and test_file is None:
        raise OptionError("say which rows to test on with --protocol, for example --protocol article")
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
    if rules is not None:
        _judge(recommender, split, rules, k, json)
        return
    report = recommender.evaluate(split, k=k)
    figures = report_to_json(report)
    findings = find_leaks(split)
    if json:
        output.as_json(
            {
                "bundle": str(bundle),
                "model": recommender.bundle.manifest["model"],
                "data": split.dataset.name,
                "protocol": split.protocol,
                "k": k,
                "users": len(report.users),
                **figures,
                "findings": [{"kind": f.kind, "name": f.name, "rows": f.rows, "message": f.message} for f in findings],
            }
        )
        return
    output.say(split.describe())
    output.say(f"{recommender.bundle.manifest['model']}, {len(report.users)} users with a test positive")
    for metric in report.per_user:
        output.say(f"  {metric:14} {output.interval(figures, metric)}")
    for metric, value in report.overall.items():
        output.say(f"  {metric:14} {value:.4f}")
    for group, values in report.groups.items():
        told = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        output.say(f"  {group}: {told}")
    for finding in findings:
        output.say(f"  {finding.kind}: {finding.message}")


def _judge(recommender: "Recommender", split: "Split", file: Path, k: int, json: bool) -> None:
    from tastespace.experiments.rule_impact import measure_rule_impact
    from tastespace.serving.rules_yaml import read_rules

    effects = measure_rule_impact(recommender, split, read_rules(file), k=k)
    if json:
        about = {"data": split.dataset.name, "protocol": split.protocol, "k": k, "rules_file": str(file)}
        output.as_json({**about, "rows": [effect.to_json() for effect in effects]})
        return
    output.say(split.describe())
    rows = [
        [
            one.rules,
            f"{one.recall:.4f}",
            f"{one.ndcg:.4f}",
            f"{one.coverage:.3f}",
            "-" if one.diversity is None else f"{one.diversity:.3f}",
            f"{one.popularity:.0f}",
            str(one.short),
        ]
        for one in effects
    ]
    output.table(["rules", f"Recall@{k}", f"NDCG@{k}", "coverage", "diversity", "likes", "short lists"], rows)


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


def _tell(model: str, forecast: "Forecast") -> None:
    output.say(f"{model}: {forecast}")
