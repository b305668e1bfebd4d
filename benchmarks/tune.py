"""Choose the defaults of a model on validation rows alone; the test rows of no protocol are read.

    .venv/bin/python benchmarks/tune.py MODEL [--only NAME]

Every candidate is trained and judged on the validation part of each protocol (for `article` three different draws of
it), its epoch picked on a further cut of what is left. Writes results/tune_MODEL.json and prints a table.
"""

import argparse
import dataclasses
import json
import platform
import time
from pathlib import Path

import numpy as np

import tastespace as ts
from tastespace.data.split import Split

RESULTS = Path(__file__).parent / "results"
PLAIN = {"seen_weight": 0.0, "neutral_weight": 0.0, "push": 0.0}
MF: dict[str, dict[str, object]] = {
    "low ratings unused": PLAIN,
    "low ratings unused, temperatures 0.35": {**PLAIN, "temperature": 0.35, "seen_temperature": 0.35},
    "low ratings unused, temperatures 0.5": {**PLAIN, "temperature": 0.5, "seen_temperature": 0.5},
    "bpr": {"loss": "bpr", "learning_rate": 0.01, "epochs": 60},
    "bce": {"loss": "bce", "learning_rate": 0.02, "epochs": 60, "l2": 0.1},
    "sampled-softmax": {"loss": "sampled-softmax"},
    "seen_weight 0": {"seen_weight": 0.0},
    "seen_weight 1": {"seen_weight": 1.0},
    "push 0": {"push": 0.0},
    "push 2": {"push": 2.0},
    "push 8": {"push": 8.0},
    "neutral_weight 0": {"neutral_weight": 0.0},
    "neutral_weight 0.4": {"neutral_weight": 0.4},
    "temperature 0.8": {"temperature": 0.8},
    "temperature 1.6": {"temperature": 1.6},
    "seen_temperature 0.35": {"seen_temperature": 0.35},
    "seen_temperature 0.55": {"seen_temperature": 0.55},
    "learning_rate 0.03": {"learning_rate": 0.03},
    "learning_rate 0.1": {"learning_rate": 0.1},
    "batch 2800": {"batch_size": 2800},
    "batch 11000": {"batch_size": 11000},
    "cosine schedule, 16 epochs": {"final_rate": 0.0, "epochs": 16, "patience": 16},
    "dim 32": {"dim": 32},
    "dim 128": {"dim": 128},
}


CANDIDATES: dict[str, dict[str, dict[str, object]]] = {
    "mf": MF,
    "ncf": {
        "gmf path alone": {"paths": "gmf"},
        "mlp path alone": {"paths": "mlp"},
        "pretrain": {"pretrain": True},
        "mlp_weight 0.1": {"mlp_weight": 0.1},
        "mlp_weight 1": {"mlp_weight": 1.0},
        "dropout 0.3": {"dropout": 0.3},
        "learning_rate 0.03": {"learning_rate": 0.03},
    },
    "lightgcn": {
        "layers 1": {"layers": 1},
        "layers 2": {"layers": 2},
        "layers 4": {"layers": 4},
        "learning_rate 0.03": {"learning_rate": 0.03, "epochs": 50},
        "batch 2750": {"batch_size": 2750},
        "layer_l2 0.001": {"layer_l2": 0.001},
        "push 2": {"push": 2.0},
    },
    "two_tower": {
        "batch 5500": {"batch_size": 5500},
        "batch 1400": {"batch_size": 1400},
        "learning_rate 0.015": {"learning_rate": 0.015},
        "told_share 0.35": {"told_share": 0.35},
        "withheld 0.5": {"withheld": 0.5},
        "withheld_items 0.1": {"withheld_items": 0.1},
        "hidden 128": {"hidden": 128},
        "temperature learnt": {"learn_temperature": True},
    },
    "ials": {
        "l2 0.01": {"l2": 0.01},
        "l2 0.02": {"l2": 0.02},
        "l2 0.05": {"l2": 0.05},
        "unobserved 0.2, l2 0.02": {"unobserved": 0.2, "l2": 0.02},
        "unobserved 0.3, l2 0.015": {"unobserved": 0.3, "l2": 0.015},
        "disliked 0.3": {"disliked": 0.3},
        "dim 128": {"dim": 128},
    },
    "bert4rec": {
        "blocks 2": {"blocks": 2},
        "mask_share 0.2": {"mask_share": 0.2},
        "mask_share 0.6": {"mask_share": 0.6},
        "learning_rate 0.01": {"learning_rate": 0.01},
        "dropout 0.4": {"dropout": 0.4},
    },
    "sasrec": {
        "blocks 2": {"blocks": 2},
        "learning_rate 0.001": {"learning_rate": 0.001},
        "dropout 0.4": {"dropout": 0.4},
    },
}


def validation_parts() -> dict[str, Split]:
    """Splits whose test rows are validation rows of the protocols."""
    data = ts.load_dataset("ml-100k")
    article = ts.split(data, "article")
    parts = {f"article/{seed}": dataclasses.replace(article, seed=seed).for_validation() for seed in (42, 1, 2)}
    for protocol in ("article-rated", "random-811", "leave-last-out"):
        parts[protocol] = ts.split(data, protocol).for_validation()
    return parts


def judge(model: str, settings: dict[str, object], parts: dict[str, Split]) -> dict[str, object]:
    """Recall@10 and NDCG@10 of one candidate on every part (article: mean of its draws), and seconds on average."""
    figures: dict[str, list[tuple[float, float]]] = {}
    seconds, epochs = [], []
    for name, part in parts.items():
        fit = ts.train(model, part, **settings)
        report = ts.evaluate(fit)
        seconds.append(fit.seconds)
        epochs.append(fit.best_epoch)
        figures.setdefault(name.split("/")[0], []).append((report.mean("recall@10"), report.mean("ndcg@10")))
    means = {name: [round(float(v), 4) for v in np.mean(pairs, axis=0)] for name, pairs in figures.items()}
    return {"settings": settings, **means, "epochs": epochs, "seconds": round(float(np.mean(seconds)), 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=sorted(CANDIDATES))
    parser.add_argument("--only", help="candidates whose name starts so; writes no file")
    asked = parser.parse_args()
    parts = validation_parts()
    runs = {}
    if asked.only is None:
        for reference in ("popularity", "ease", "spectral"):
            runs[reference] = judge(reference, {}, parts)
            print(f"{reference:48}", runs[reference], flush=True)
    for name, settings in {"default": {}, **CANDIDATES[asked.model]}.items():
        if asked.only is None or name.startswith(asked.only):
            runs[name] = judge(asked.model, settings, parts)
            print(f"{name:48}", runs[name], flush=True)
    if asked.only is None:
        RESULTS.mkdir(exist_ok=True)
        about = {"machine": f"{platform.machine()}, 2 cores", "date": time.strftime("%Y-%m-%d"), "seed": 0}
        file = RESULTS / f"tune_{asked.model}.json"
        file.write_text(json.dumps({**about, "runs": runs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
