"""Do the defaults hold on any log? Every model with its defaults, on logs of very different kinds.

    .venv/bin/python benchmarks/defaults.py [--logs shop,few] [--models mf,spectral] [--data FOLDER] [--again]

Validation rows alone: a model is trained on the inner training rows, with the search and the choice of the epoch that
`fit` makes, and ranks for at most 20,000 validation users: a sparse log has one hit in ten of them, and 2,000 would be
noise. `before` are the constants that were the defaults until the rules of `Model.ranges` replaced them, in the code of
today, which stops where the curve is flat; `no search` leaves out the search, `equal rows` the weights by recency,
`one rate` the rule of the learning rate, `random start` the SVD. Real logs besides MovieLens 100K are read from FOLDER
and left out without it. Figures are added to results/defaults.json as they are measured, and known ones are kept;
`--again` measures them anew.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import tastespace as ts
from tastespace import models
from tastespace._atomic import write_text
from tastespace.cold_start import scorer_wrapper
from tastespace.data.lines import read_ready_split
from tastespace.data.sources import open_data
from tastespace.data.split import Split, ready_split
from tastespace.data.synthetic import planted_taste
from tastespace.errors import TastespaceError
from tastespace.evaluation import Evaluator
from tastespace.training.build import build_model
from tastespace.training.validation import sample_users

RESULTS = Path(__file__).parent / "results" / "defaults.json"
MODELS = ("item_knn", "ease", "ials", "spectral", "mf", "lightgcn", "two_tower", "ncf", "sasrec", "bert4rec")
CLOSED = ("item_knn", "ease", "ials", "spectral")
_MOST_USERS = 20_000

# users, items, rows a user, then the other arguments of `planted_taste`, and the protocol
MADE: dict[str, tuple[tuple[int, int, float], dict[str, Any], str]] = {
    "shop": (
        (15_000, 10_000, 8),
        {"n_tastes": 400, "tastes_per_user": 2.5, "skew": 0.7, "noise": 0.25},
        "leave-last-out",
    ),
    "few": ((8_000, 1_000, 3.5), {"n_tastes": 25, "tastes_per_user": 2, "skew": 0.9}, "article"),
    "dense": ((1_500, 1_500, 100), {"n_tastes": 20, "tastes_per_user": 4}, "article"),
    "plays": ((2_000, 15_000, 50), {"n_tastes": 300}, "article"),
    "heavy": ((1_500, 6_000, 200), {"n_tastes": 100, "tastes_per_user": 5}, "article"),
    "noisy": ((3_000, 3_000, 30), {"n_tastes": 40, "skew": 1.0, "noise": 0.65}, "article"),
    "walk": ((6_000, 2_000, 20), {"n_tastes": 30, "noise": 0.15, "order": 0.5}, "leave-last-out"),
    "longtail": ((8_000, 100_000, 20), {"n_tastes": 1_000, "skew": 1.0}, "article"),
}
ML_100K = {f"ml-100k {protocol}": protocol for protocol in ("article", "leave-last-out", "random-811", "new-users")}

_SOFTMAX = {
    "dim": 64,
    "loss": "softmax",
    "temperature": 1.2,
    "interaction_temperature": 0.45,
    "init": "default",
    "metric": "recall@10",
    "degree_exponent": 0.0,
}
BEFORE: dict[str, dict[str, Any]] = {
    "mf": {**_SOFTMAX, "learning_rate": 0.06, "patience": 15},
    "lightgcn": {**_SOFTMAX, "learning_rate": 0.06, "patience": 15},
    "ncf": {**_SOFTMAX, "learning_rate": 0.06},
    "two_tower": {**_SOFTMAX, "learning_rate": 0.01},
    "sasrec": {**_SOFTMAX, "temperature": 0.7, "transformer_weight": 0.1},
    "bert4rec": {**_SOFTMAX, "temperature": 0.7, "transformer_weight": 0.1},
    "spectral": {"dim": 64, "smoothing": 0.0, "degree_exponent": 0.5, "power_iterations": 0},
    "ials": {"dim": 64, "unobserved_weight": 0.1, "l2": 0.4},
    "item_knn": {"weighting": "none", "neighbours": 200},
}
BEFORE = {name: {**settings, "recency": 1.0} for name, settings in BEFORE.items()}
ABLATIONS: dict[str, dict[str, Any]] = {
    "no search": {"search": False},
    "equal rows": {"recency": 1.0},
    "equal lengths": {"degree_exponent": 0.0},
    "one rate": {"learning_rate": 0.02},
    "random start": {"init": "default", "learning_rate": 0.06, "patience": 15},
}


def logs(folder: Path | None) -> Mapping[str, Callable[[], Split]]:
    """What makes each split, by name."""
    made = {
        name: lambda sizes=sizes, more=more, protocol=protocol: ts.split(planted_taste(*sizes, **more), protocol)
        for name, (sizes, more, protocol) in MADE.items()
    }
    public = {
        name: lambda protocol=protocol: ts.split(ts.load_dataset("ml-100k"), protocol)
        for name, protocol in ML_100K.items()
    }
    if folder is None:
        return {**public, **made}
    ready = [folder / "gowalla" / f"{part}.txt" for part in ("train", "test")]
    return {
        **public,
        "beauty": lambda: ts.split(open_data(folder / "beauty"), "leave-last-out"),
        "gowalla": lambda: ready_split("gowalla", *read_ready_split(*ready)),
        **made,
    }


def measure(split: Split, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Validation NDCG@10 of a model with some settings, the seconds of its training, and what was settled."""
    inner, gradient = split.for_validation(), models.get(name).learns_by_gradient()
    started = time.perf_counter()
    fitted = ts.train(name, split, baselines=False, **settings, **({"refit": False} if gradient else {}))
    seconds, model = time.perf_counter() - started, fitted.model
    if not gradient and split.validation is None:
        model = build_model(name, model.config, model.shapes, fitted.options, inner.train, None).eval()
    evaluator = Evaluator(sample_users(inner, _MOST_USERS), 10)
    with torch.no_grad():
        values = evaluator.values(evaluator.rank(scorer_wrapper(inner)(model.scorer())), "ndcg")
    found = {} if fitted.search is None else fitted.search.settings
    return {
        "ndcg@10": round(float(values.mean()), 5),
        "standard error": round(float(values.std() / np.sqrt(len(values))), 5),
        "seconds": round(seconds, 1),
        "epochs": len(fitted.history),
        "settled": dict(found),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "machine": f"{platform.machine()} with {os.cpu_count()} cores",
    }


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: of each log the reference, and each model as a share of it, before and now."""
    lines = [
        "# Defaults on logs of every kind",
        "",
        "Made by `benchmarks/defaults.py`. Validation NDCG@10 of at most 20,000 users, one seed. `best` is the best of",
        f"{', '.join(CLOSED)}; every other cell is a share of it, before -> now, with the seconds of the training now",
        "(on a machine that did other work too, unless the load in defaults.json says otherwise).",
        "",
        f"| log | best | {' | '.join(MODELS)} |",
        "|---|---|" + "---|" * len(MODELS),
    ]
    for log, found in results.items():
        best = max((found[key]["ndcg@10"] for key in CLOSED if "ndcg@10" in found.get(key, {})), default=0.0)
        if best == 0:
            continue
        cells = [
            f"{_share(found.get(f'{name}, before'), best)} -> {_share(found.get(name), best)}, {_seconds(found, name)}"
            if f"{name}, before" in found or name in found
            else "-"
            for name in MODELS
        ]
        lines.append(f"| {log} | {best:.4f} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_ablations(results)]) + "\n"


def _ablations(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lines: `mf` without one of its rules, as a share of it with all."""
    lines = [
        "## `mf` without one rule, as a share of its NDCG@10 with all",
        "",
        "| log | " + " | ".join(ABLATIONS) + " |",
    ]
    lines.append("|---|" + "---|" * len(ABLATIONS))
    for log, found in results.items():
        full = found.get("mf", {}).get("ndcg@10")
        if full and any(f"mf, {name}" in found for name in ABLATIONS):
            lines.append(
                f"| {log} | " + " | ".join(_share(found.get(f"mf, {name}"), full) for name in ABLATIONS) + " |"
            )
    return lines


def _share(entry: Mapping[str, Any] | None, best: float) -> str:
    return "-" if entry is None or "ndcg@10" not in entry else f"{entry['ndcg@10'] / best:.2f}"


def _seconds(found: Mapping[str, Any], name: str) -> str:
    return f"{found[name]['seconds']:.0f} s" if "seconds" in found.get(name, {}) else "-"


def main() -> None:
    """Measure what is not known yet, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--logs", default="")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--variants", default="now,before", help=f"of now, before, {', '.join(ABLATIONS)}")
    parser.add_argument("--again", action="store_true")
    arguments = parser.parse_args()
    results: dict[str, dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for log, make in logs(arguments.data).items():
        if arguments.logs and log not in arguments.logs.split(","):
            continue
        split: Split | None = None
        for name in arguments.models.split(","):
            for variant in arguments.variants.split(","):
                key = name if variant == "now" else f"{name}, {variant}"
                settings = {"now": {}, "before": BEFORE.get(name), **ABLATIONS}[variant]
                known = results.setdefault(log, {})
                if settings is None or (key in known and not arguments.again):
                    continue
                split = split or make()
                try:
                    known[key] = measure(split, name, settings)
                except TastespaceError as error:
                    known[key] = {"error": str(error)}
                print(f"{log:24}{key:24}{known[key]}", flush=True)
                write_text(RESULTS, json.dumps(results, indent=1) + "\n")
                write_text(RESULTS.with_suffix(".md"), table(results))
    write_text(RESULTS.with_suffix(".md"), table(results))


if __name__ == "__main__":
    main()
