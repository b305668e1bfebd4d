"""The command that tests a saved model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tastespace.cli import options as o
from tastespace.cli import output
from tastespace.data.read_options import ReadOptions
from tastespace.errors import OptionError

if TYPE_CHECKING:
    from tastespace.data.split import Split
    from tastespace.serving.recommender import Recommender


@o.with_read_options
def evaluate(
    bundle: o.Bundle,
    data: o.Data = None,
    protocol: o.Protocol = None,
    k: o.K = 10,
    train_file: o.TrainFile = None,
    test_file: o.TestFile = None,
    reading: ReadOptions = o.READING,
    rules: Annotated[
        Path | None,
        typer.Option(help="YAML file of rules; the impact of each on the lists is measured.", show_default=False),
    ] = None,
    json: o.AsJson = False,
) -> None:
    """Test a saved model on the test rows of a protocol.

    Refused for a model that was trained on any of them.

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
        reading,
    )
    if rules is not None:
        _show_rule_impact(recommender, split, rules, k, json)
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
                "baselines": None if recommender.baselines is None else recommender.baselines.to_json(),
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
        text = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        output.say(f"  {group}: {text}")
    for finding in findings:
        output.say(f"  {finding.kind}: {finding.message}")
    output.baselines(recommender.baselines)


def _show_rule_impact(recommender: "Recommender", split: "Split", file: Path, k: int, json: bool) -> None:
    from tastespace.experiments.rule_impact import measure_rule_impact
    from tastespace.serving.rules_yaml import read_rules

    impacts = measure_rule_impact(recommender, split, read_rules(file), k=k)
    if json:
        about = {"data": split.dataset.name, "protocol": split.protocol, "k": k, "rules_file": str(file)}
        output.as_json({**about, "rows": [impact.to_json() for impact in impacts]})
        return
    output.say(split.describe())
    rows = [
        [
            impact.rules,
            f"{impact.recall:.4f}",
            f"{impact.ndcg:.4f}",
            f"{impact.coverage:.3f}",
            "-" if impact.diversity is None else f"{impact.diversity:.3f}",
            f"{impact.popularity:.0f}",
            str(impact.short),
        ]
        for impact in impacts
    ]
    output.table(["rules", f"Recall@{k}", f"NDCG@{k}", "coverage", "diversity", "mean popularity", "short lists"], rows)
