"""Judging rules: without rules the figures of an evaluation; with them what each is there for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tastespace as ts
from tastespace.data.dataset import Dataset, Table
from tastespace.data.split import split, whole
from tastespace.errors import LeakError, OptionError
from tastespace.experiments.bundle_evaluation import evaluate_bundle
from tastespace.experiments.rule_impact import measure_rule_impact
from tastespace.serving.rules_yaml import parse_rules


@pytest.fixture(scope="module")
def shop(board: Dataset) -> Dataset:
    n = board.interactions.n_items
    return replace(board, item_table=Table({"half": np.arange(n) // 30}))


@pytest.mark.parametrize("name", ["mf", "ease", "popularity"])
@pytest.mark.parametrize("protocol", ["article", "leave-last-out", "new-users"])
def test_no_rules_are_the_plain_figures(shop: Dataset, tmp_path: Path, name: str, protocol: str) -> None:
    on = split(shop, protocol)
    fit = ts.train(name, on, **({"dim": 8, "epochs": 3} if name == "mf" else {}))
    recommender = ts.Recommender.build(fit, tmp_path / "b")
    plain, every = measure_rule_impact(recommender, on, parse_rules("cap: [{of: half, at_most: 5}]"))
    report = evaluate_bundle(recommender, on)
    assert (plain.rules, every.rules) == ("none", "all")
    assert plain.ndcg == pytest.approx(report.mean("ndcg@10"), abs=1e-6)
    assert plain.recall == pytest.approx(report.mean("recall@10"), abs=1e-6)
    assert plain.coverage == pytest.approx(report.overall["coverage@10"])
    assert (plain.diversity is None) == (name == "popularity")


def test_every_kind_has_a_row_and_does_what_it_is_for(shop: Dataset, tmp_path: Path) -> None:
    on = split(shop, "article")
    recommender = ts.Recommender.build(ts.train("mf", on, dim=8, epochs=5), tmp_path / "b")
    text = "mmr: 0.3\npopularity_penalty: 2\ndemote: [{where: half = 0}]\nfresh: {column: half, within: 0}"
    rows = {row.rules: row for row in measure_rule_impact(recommender, on, parse_rules(text), k=5)}
    assert list(rows) == ["none", "all", "demote", "fresh", "mmr", "popularity_penalty"]
    assert rows["mmr"].diversity > rows["none"].diversity  # type: ignore[operator]
    assert rows["popularity_penalty"].popularity < rows["none"].popularity
    assert rows["demote"].coverage <= 0.5 < rows["none"].coverage
    assert rows["fresh"].ndcg < rows["none"].ndcg


def test_what_cannot_be_judged_is_refused(shop: Dataset, tmp_path: Path) -> None:
    recommender = ts.Recommender.build(ts.train("popularity", whole(shop)), tmp_path / "b")
    with pytest.raises(LeakError, match="trained on"):
        measure_rule_impact(recommender, split(shop, "article"), parse_rules("mmr: 0.5"))
    honest = ts.Recommender.build(ts.train("popularity", split(shop, "article")), tmp_path / "honest")
    with pytest.raises(OptionError, match="holds no rule, so there is nothing to evaluate"):
        measure_rule_impact(honest, split(shop, "article"), parse_rules(""))
    with pytest.raises(OptionError, match="popularity has no vectors to compare items by"):
        measure_rule_impact(honest, split(shop, "article"), parse_rules("mmr: 0.5"))
