"""Choose the defaults of a model on validation rows alone; the test rows of no protocol are read.

    .venv/bin/python benchmarks/tune.py MODEL [--only NAME]

Every candidate is trained and judged on the validation part of each protocol (for both article protocols three
different draws of it), its epoch picked on a further cut of what is left. Writes results/tune_MODEL.json, candidate by
candidate, and prints a table.
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
PLAIN = {"interaction_weight": 0.0, "neutral_weight": 0.0, "hard_negative_weight": 0.0}
MF: dict[str, dict[str, object]] = {
    "low ratings unused": PLAIN,
    "low ratings unused, temperatures 0.35": {**PLAIN, "temperature": 0.35, "interaction_temperature": 0.35},
    "low ratings unused, temperatures 0.5": {**PLAIN, "temperature": 0.5, "interaction_temperature": 0.5},
    "bpr": {"loss": "bpr", "learning_rate": 0.01, "epochs": 60},
    "bce": {"loss": "bce", "learning_rate": 0.02, "epochs": 60, "l2": 0.1},
    "sampled-softmax": {"loss": "sampled-softmax"},
    "interaction_weight 0": {"interaction_weight": 0.0},
    "interaction_weight 1": {"interaction_weight": 1.0},
    "push 0": {"hard_negative_weight": 0.0},
    "push 2": {"hard_negative_weight": 2.0},
    "push 8": {"hard_negative_weight": 8.0},
    "neutral_weight 0": {"neutral_weight": 0.0},
    "neutral_weight 0.4": {"neutral_weight": 0.4},
    "temperature 0.8": {"temperature": 0.8},
    "temperature 1.6": {"temperature": 1.6},
    "interaction_temperature 0.35": {"interaction_temperature": 0.35},
    "interaction_temperature 0.55": {"interaction_temperature": 0.55},
    "learning_rate 0.03": {"learning_rate": 0.03},
    "learning_rate 0.1": {"learning_rate": 0.1},
    "batch 2800": {"batch_size": 2800},
    "batch 11000": {"batch_size": 11000},
    "cosine schedule, 16 epochs": {"final_lr_fraction": 0.0, "epochs": 16, "patience": 16},
    "dim 32": {"dim": 32},
    "dim 128": {"dim": 128},
}


CANDIDATES: dict[str, dict[str, dict[str, object]]] = {
    "mf": MF,
    "ncf": {
        "gmf path alone": {"paths": "gmf"},
        "pretrain": {"pretrain": True},
    },
    "lightgcn": {
        "layers 1": {"layers": 1},
        "layers 2": {"layers": 2},
        "layers 4": {"layers": 4},
        "learning_rate 0.03": {"learning_rate": 0.03, "epochs": 50},
        "batch 2750": {"batch_size": 2750},
        "layer_l2 0.001": {"layer_l2": 0.001},
        "low_rated ranked": {"low_rated": "ranked"},
        "low_rated hidden": {"low_rated": "hidden"},
    },
    "two_tower": {
        "batch 5500": {"batch_size": 5500},
        "learning_rate 0.03": {"learning_rate": 0.03},
        "history_share 0.35": {"history_share": 0.35},
        "history_share 0.65": {"history_share": 0.65},
        "user_id_dropout 0.5": {"user_id_dropout": 0.5},
        "pooling 0.7": {"pooling_exponent": 0.7},
        "hidden 128": {"hidden": 128},
        "temperature learnt": {"learn_temperature": True},
        "start features": {"init": "features"},
    },
    "ials": {
        "l2 0.2": {"l2": 0.2},
        "l2 0.8": {"l2": 0.8},
        "l2_exponent 1, l2 0.03": {"l2_exponent": 1.0, "l2": 0.03},
        "unobserved 0.05": {"unobserved_weight": 0.05},
        "unobserved 0.2": {"unobserved_weight": 0.2},
        "disliked 0.3": {"disliked_weight": 0.3},
        "dim 128": {"dim": 128},
    },
    "bert4rec": {
        "mask_prob 0.35": {"mask_prob": 0.35},
        "mask_prob 0.65": {"mask_prob": 0.65},
        "transformer_weight 1": {"transformer_weight": 1.0},
    },
}


def validation_parts() -> dict[str, Split]:
    """Splits whose test rows are validation rows of the protocols."""
    data = ts.load_dataset("ml-100k")
    parts = {}
    for protocol in ("article", "article-rated"):
        made = ts.split(data, protocol)
        parts |= {f"{protocol}/{seed}": dataclasses.replace(made, seed=seed).for_validation() for seed in (42, 1, 2)}
    for protocol in ("random-811", "leave-last-out"):
        parts[protocol] = ts.split(data, protocol).for_validation()
    return parts


def judge(model: str, settings: dict[str, object], parts: dict[str, Split]) -> dict[str, object]:
    """Recall@10 and NDCG@10 of one candidate on every protocol (mean of its draws), and seconds on average."""
    figures: dict[str, list[tuple[float, float]]] = {}
    seconds, epochs = [], []
    for name, part in parts.items():
        fit = ts.train(model, part, baselines=False, **settings)
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
    candidates = {"default": {}, **CANDIDATES[asked.model]}
    jobs = [(name, name, {}) for name in ("popularity", "ease", "spectral") if asked.only is None]
    jobs += [
        (name, asked.model, settings) for name, settings in candidates.items() if name.startswith(asked.only or "")
    ]
    RESULTS.mkdir(exist_ok=True)
    about = {"machine": f"{platform.machine()}, 2 cores", "date": time.strftime("%Y-%m-%d"), "seed": 0}
    runs = {}
    for name, model, settings in jobs:
        runs[name] = judge(model, settings, parts)
        print(f"{name:48}", runs[name], flush=True)
        if asked.only is None:
            file = RESULTS / f"tune_{asked.model}.json"
            file.write_text(json.dumps({**about, "runs": runs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
