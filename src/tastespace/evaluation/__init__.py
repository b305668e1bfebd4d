"""Evaluation: whole-catalogue ranking, metrics with intervals, paired tests, leaks. Knows no model."""

from tastespace.evaluation.evaluate import Report, evaluate
from tastespace.evaluation.significance import Estimate, Test, compare_pairs

__all__ = ["Estimate", "Report", "Test", "compare_pairs", "evaluate"]
