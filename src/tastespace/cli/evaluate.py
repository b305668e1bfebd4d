"""The command that tests a saved model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tastespace.cli import options as o
from tastespace.cli import output
from tastespace.errors import OptionError

if TYPE_CHECKING:
    from tastespace.data.split import Split
    from tastespace.serving.recommender import Recommender


def evaluate(
    bundle: o.Bundle,
    data: o.Data = None,
    protocol: o.Protocol = None,
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
    from tastespace.experiments.bundle_evaluation import evaluate_bundle
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
    report = evaluate_bundle(recommender, split, k=k)
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
