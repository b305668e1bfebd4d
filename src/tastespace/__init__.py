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
    from tastespace.batch import recommend_all
    from tastespace.comparison import Comparison, compare, evaluate
    from tastespace.data.dataset import Dataset, Table
    from tastespace.data.interactions import Interactions
    from tastespace.data.queries import Queries
    from tastespace.data.readers import read
    from tastespace.data.sources import fetch, load_dataset, open_data
    from tastespace.data.split import Split, split
    from tastespace.data.vocabulary import Vocabulary
    from tastespace.evaluation.evaluate import Report
    from tastespace.evaluation.leaks import find_leaks
    from tastespace.judging import judge_rules
    from tastespace.reasons import Explanation, Reason
    from tastespace.recommender import Answer, Recommender
    from tastespace.routes import Routes, measure_routes
    from tastespace.rules import Rules
    from tastespace.training import Fit, fit, train

__version__ = "0.1.0"

_HOME = {
    "Answer": "recommender",
    "Comparison": "comparison",
    "Dataset": "data.dataset",
    "Explanation": "reasons",
    "Fit": "training",
    "Interactions": "data.interactions",
    "Queries": "data.queries",
    "Reason": "reasons",
    "Recommender": "recommender",
    "Report": "evaluation.evaluate",
    "Routes": "routes",
    "Rules": "rules",
    "Split": "data.split",
    "Table": "data.dataset",
    "Vocabulary": "data.vocabulary",
    "compare": "comparison",
    "evaluate": "comparison",
    "fetch": "data.sources",
    "find_leaks": "evaluation.leaks",
    "fit": "training",
    "judge_rules": "judging",
    "load_dataset": "data.sources",
    "measure_routes": "routes",
    "open_data": "data.sources",
    "read": "data.readers",
    "recommend_all": "batch",
    "split": "data.split",
    "train": "training",
}

__all__ = [
    "Answer",
    "Comparison",
    "Dataset",
    "Explanation",
    "Fit",
    "Interactions",
    "Queries",
    "Reason",
    "Recommender",
    "Report",
    "Routes",
    "Rules",
    "Split",
    "Table",
    "TastespaceError",
    "Vocabulary",
    "compare",
    "evaluate",
    "fetch",
    "find_leaks",
    "fit",
    "judge_rules",
    "load_dataset",
    "measure_routes",
    "open_data",
    "read",
    "recommend_all",
    "split",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tastespace' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tastespace.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
