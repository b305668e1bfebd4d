"""What the constants of folding a history in are worth, on validation rows: results/fold_in.json.

    .venv/bin/python benchmarks/fold_in.py

MovieLens 100K. `ridge`: every user of the validation part is ranked twice, by the row that was trained and by their
history alone (mf, seed 0). `step`: unseen users (`new-users`), by their whole history and by their first five likes,
for steps up the likelihood of several lengths (mf, lightgcn and two_tower, mean of seeds 0 to 2). `lean`: the same
users by their first one, two, five and ten likes, where popularity counts so many times as much as it does (all models,
seed 0).
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from torch import Tensor

import tastespace as ts
from tastespace import models
from tastespace.data.queries import Queries
from tastespace.data.split import Split
from tastespace.evaluation import Evaluator
from tastespace.models.parts import fold_in, likelihood_step, popularity_prior

RESULTS = Path(__file__).parent / "results" / "fold_in.json"
Scorer = Callable[[Queries], Tensor]
STEPS = ((0.0, 30), (1.5, 30), (3.0, 0), (3.0, 10), (3.0, 30), (3.0, 100), (6.0, 30), (6.0, 150))
LEANS = (0.0, 0.5, 1.0, 2.0)
TOLD = (1, 2, 5, 10)


def first(score: Scorer, n: int) -> Scorer:
    """Questions with the first `n` likes alone."""

    def asked(queries: Queries) -> Tensor:
        liked = queries.history.positives()
        place = np.arange(len(liked.items)) - np.repeat(liked.offsets[:-1], liked.lengths)
        return score(replace(queries, history=liked.keep(place < n)))

    return asked


@contextmanager
def leaning(times: float) -> Iterator[None]:
    """Popularity counts so many times as much for strangers."""
    plain = popularity_prior.popularity_weight
    holders = [f"tastespace.models.{name}" for name in ("evidence", "fold_in", "layers", *models.names())]
    held = [one for one in holders if hasattr(__import__(one, fromlist=["_"]), "popularity_weight")]
    patches = [patch(f"{one}.popularity_weight", lambda queries: times * plain(queries)) for one in held]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()


def ridges(data: ts.Dataset) -> dict[str, Any]:
    found = {}
    for protocol in ("article", "random-811"):
        part = ts.split(data, protocol).for_validation()
        for ridge in (0.001, 0.01, 0.03, 0.1, 1.0):
            with patch.object(fold_in, "_RIDGE", ridge):
                model = ts.train("mf", part).model
            evaluator = Evaluator(part)
            row = evaluator.report(model.scorer())
            folded = evaluator.report(lambda q, m=model: m.score(Queries.of_histories(q.history)))
            found[f"{protocol}, ridge {ridge}"] = {
                route: [round(report.mean("recall@10"), 4), round(report.mean("ndcg@10"), 4)]
                for route, report in (("trained row", row), ("history alone", folded))
            }
            print(protocol, ridge, found[f"{protocol}, ridge {ridge}"], flush=True)
    return found


def steps(part: Split) -> dict[str, Any]:
    evaluator, found = Evaluator(part), {}
    for name in ("mf", "lightgcn", "two_tower"):
        trained = [ts.train(name, part, seed=seed, metric="ndcg@10").model for seed in range(3)]
        for farthest, half_way in STEPS:
            with patch.multiple(likelihood_step, _LONGEST_STEP=farthest, _HALF_LENGTH_AT=half_way):
                values = [
                    [evaluator.mean(score, "ndcg") for score in (model.scorer(), first(model.scorer(), 5))]
                    for model in trained
                ]
            found[f"{name}, {farthest:g} T / (T + {half_way})"] = np.round(np.mean(values, axis=0), 4).tolist()
            print(name, farthest, half_way, np.round(np.mean(values, axis=0), 4), flush=True)
    return found


def leans(part: Split) -> dict[str, Any]:
    evaluator, found = Evaluator(part), {}
    for name in models.names():
        if name in ("popularity", "recent_popularity"):
            continue
        settings = {"metric": "ndcg@10"} if models.get(name).learns_by_gradient() else {}
        model = ts.train(name, part, **settings).model
        for times in LEANS:
            with leaning(times):
                values = [evaluator.mean(first(model.scorer(), n), "ndcg") for n in TOLD]
            found[f"{name}, {times:g} times"] = [round(value, 4) for value in values]
            print(name, times, np.round(values, 4), flush=True)
    return found


def main() -> None:
    data = ts.load_dataset("ml-100k")
    strangers = ts.split(data, "new-users").for_validation()
    found = {
        "date": time.strftime("%Y-%m-%d"),
        "ridge": {"columns": ["recall@10", "ndcg@10"], "rows": ridges(data)},
        "step": {"columns": ["ndcg@10, whole history", "ndcg@10, first 5 likes"], "rows": steps(strangers)},
        "lean": {"columns": [f"ndcg@10, first {n} likes" for n in TOLD], "rows": leans(strangers)},
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
