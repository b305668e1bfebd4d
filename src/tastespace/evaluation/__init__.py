"""Evaluation: whole-catalogue ranking, metrics with intervals, paired tests, leaks, health. Knows no model."""

from tastespace.evaluation.evaluate import Evaluator, Report, average, evaluate, parse_metric
from tastespace.evaluation.health import Health
from tastespace.evaluation.significance import Estimate, Test, compare_pairs

__all__ = [
    "Estimate",
    "Evaluator",
    "Health",
    "Report",
    "Test",
    "average",
    "compare_pairs",
    "evaluate",
    "parse_metric",
]
