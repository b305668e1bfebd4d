"""Figures of a comparison: order of models and leads."""

import pytest

from tastespace.experiments.report.figures import Figures
from tests.experiments.report.examples import document, row


def test_a_lead_is_positive_for_the_winner_whichever_way_the_pair_was_tested() -> None:
    told = document()
    for test in told["tests"]:
        test["a"], test["b"], test["difference"] = test["b"], test["a"], -test["difference"]
    assert [margin.difference for margin in Figures(told).margins] == pytest.approx([0.05, 0.1])


def test_rows_are_sorted_by_quality() -> None:
    told = document(row("low", 0.1), row("none", 0.5, **{"ndcg@10": None}), row("high", 0.4))
    assert [one.name for one in Figures(told).rows] == ["high", "low", "none"]
