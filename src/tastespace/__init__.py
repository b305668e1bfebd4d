"""tastespace: from a log of who-used-what to user and item embeddings, and from those to recommendations.

    import tastespace as ts
    split = ts.split(ts.load_dataset("ml-100k"), "article")
    fit = ts.train("mf", split)
    ts.Recommender.build(fit, "models/films").recommend(user=42, k=10)

Names are loaded on first use, so that importing this package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

from tastespace.errors import TastespaceError

if TYPE_CHECKING:
    from tastespace.data.dataset import Dataset, Table
    from tastespace.data.interactions import Interactions
    from tastespace.data.queries import Queries
    from tastespace.data.read_options import ReadOptions
    from tastespace.data.readers import read
    from tastespace.data.sources import fetch, load_dataset, open_data
    from tastespace.data.split import Split, split
    from tastespace.data.vocabulary import Vocabulary
    from tastespace.evaluation.evaluate import Report
    from tastespace.evaluation.leaks import find_leaks
    from tastespace.experiments.bundle_evaluation import evaluate_bundle
    from tastespace.experiments.cold_start import ColdStartReport, measure_cold_start
    from tastespace.experiments.comparison import Comparison, compare, evaluate
    from tastespace.experiments.rule_impact import measure_rule_impact
    from tastespace.experiments.tuning import tune
    from tastespace.experiments.tuning.result import Trial, Tuning
    from tastespace.serving.answer import Answer, Explanation, Reason
    from tastespace.serving.batch import recommend_all
    from tastespace.serving.recommender import Recommender
    from tastespace.serving.rules import Rules
    from tastespace.serving.rules_yaml import read_rules
    from tastespace.training.fit import Fit, fit, train

__version__ = "0.1.0"

_HOME = {
    "Answer": "serving.answer",
    "ColdStartReport": "experiments.cold_start",
    "Comparison": "experiments.comparison",
    "Dataset": "data.dataset",
    "Explanation": "serving.answer",
    "Fit": "training.fit",
    "Interactions": "data.interactions",
    "Queries": "data.queries",
    "ReadOptions": "data.read_options",
    "Reason": "serving.answer",
    "Recommender": "serving.recommender",
    "Report": "evaluation.evaluate",
    "Rules": "serving.rules",
    "Split": "data.split",
    "Table": "data.dataset",
    "Trial": "experiments.tuning.result",
    "Tuning": "experiments.tuning.result",
    "Vocabulary": "data.vocabulary",
    "compare": "experiments.comparison",
    "evaluate": "experiments.comparison",
    "evaluate_bundle": "experiments.bundle_evaluation",
    "fetch": "data.sources",
    "find_leaks": "evaluation.leaks",
    "fit": "training.fit",
    "load_dataset": "data.sources",
    "measure_cold_start": "experiments.cold_start",
    "measure_rule_impact": "experiments.rule_impact",
    "open_data": "data.sources",
    "read": "data.readers",
    "read_rules": "serving.rules_yaml",
    "recommend_all": "serving.batch",
    "split": "data.split",
    "train": "training.fit",
    "tune": "experiments.tuning",
}

__all__ = [
    "Answer",
    "ColdStartReport",
    "Comparison",
    "Dataset",
    "Explanation",
    "Fit",
    "Interactions",
    "Queries",
    "ReadOptions",
    "Reason",
    "Recommender",
    "Report",
    "Rules",
    "Split",
    "Table",
    "TastespaceError",
    "Trial",
    "Tuning",
    "Vocabulary",
    "compare",
    "evaluate",
    "evaluate_bundle",
    "fetch",
    "find_leaks",
    "fit",
    "load_dataset",
    "measure_cold_start",
    "measure_rule_impact",
    "open_data",
    "read",
    "read_rules",
    "recommend_all",
    "split",
    "train",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tastespace' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tastespace.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
