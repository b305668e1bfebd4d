"""A published figure, reached with one stated configuration: what every script of this folder has in common.

    .venv/bin/python benchmarks/published/NAME.py [--seeds 0,1,2] [--data FOLDER]

Trains with each seed, ranks the whole catalogue for the test rows once, and writes results/published/NAME.json and
the table of all such files, results/published.md. Settings were chosen on validation rows alone.
Finished seeds are kept in the cache folder, and a run that was interrupted goes on from its last epochs.
"""

import argparse
import dataclasses
import json
import platform
import resource
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import tastespace as ts
from tastespace import config as configs
from tastespace import models
from tastespace._atomic import write_text
from tastespace.data.lines import read_ready_split
from tastespace.data.sources import cache_folder, open_data
from tastespace.data.split import Split, ready_split
from tastespace.experiments import results
from tastespace.models.base import Options
from tastespace.training.fit import Fit, configure, fit

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "published"


@dataclasses.dataclass(frozen=True)
class Claim:
    """A model with settings on a data set, and the figures (Recall@k, NDCG@k) that it should reach; 0: none set.

    Under leave-last-out there is one right answer a user, so that Recall@k is the hit rate.
    """

    name: str
    data: str
    model: str
    k: int
    settings: Mapping[str, Any]
    must: tuple[float, float]
    goal: tuple[float, float]
    published: str


def beauty(folder: Path) -> Split:
    """Amazon Beauty as S3-Rec prepared it, every user's last item test and the one before it validation."""
    return ts.split(open_data(folder / "beauty"), "leave-last-out")


def gowalla(folder: Path) -> Split:
    """The split of NGCF and LightGCN; a tenth of each user's training rows picks the epoch."""
    return ready_split("gowalla", *read_ready_split(folder / "gowalla" / "train.txt", folder / "gowalla" / "test.txt"))


def random_811(folder: Path) -> Split:
    """MovieLens 100K as RecBole cuts it: every rating a like, per user a tenth test and a tenth validation."""
    return ts.split(ts.load_dataset("ml-100k"), "random-811")


ON_BEAUTY = {  # of both transformers
    "dim": 128,
    "max_length": 50,
    "transformer_weight": 1.0,
    "dropout": 0.2,
    "temperature": 0.3,
    "interaction_temperature": 0.15,
    "learning_rate": 0.003,
}
ON_GOWALLA = {  # of all that are trained there
    "dim": 256,
    "init": "svd",
    "loss": "sampled-softmax",
    "shared_negatives": 8192,
    "temperature": 0.2,
    "interaction_temperature": 0.2,
    "final_lr_fraction": 0.05,
    "validate_every": 2,
    "metric": "recall@20",
}
DATA = {"beauty": beauty, "gowalla": gowalla, "ml-100k random-811": random_811}


def machine() -> str:
    """What this machine is called in results."""
    return f"{platform.machine()}, {torch.get_num_threads()} threads"


def train_once(claim: Claim, split: Split, config: Any, options: Options, checkpoint: Path) -> Fit:
    """A trained model, going on where an interrupted run stopped."""
    train = partial(fit, claim.model, split, config=config, options=options, checkpoint=checkpoint, baselines=False)
    try:
        return train(resume=checkpoint.exists())
    except ts.OptionError:  # a checkpoint of other settings or other code
        return train()


def measure(claim: Claim, split: Split, seed: int) -> dict[str, Any]:
    """Figures of one seed on the test rows, with 95 % bootstrap intervals over users."""
    config, options = configure(claim.model, {**claim.settings, "seed": seed})
    identity = results.identify(claim.model, split, config, options, claim.k)
    folder = cache_folder() / "published"
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"{claim.name}-{seed}.json"
    if place.is_file() and (known := json.loads(place.read_text()))["identity"] == identity:
        return dict(known["figures"])
    done = train_once(claim, split, config, options, place.with_suffix(".part"))
    report = ts.evaluate(done, k=claim.k)
    figures: dict[str, Any] = {"seed": seed, "epochs": done.best_epoch, "seconds": round(done.seconds, 1)}
    figures["seconds of the search"] = round(sum(epoch.seconds for epoch in done.history), 1)
    figures["seconds of ranking the test users"] = round(report.seconds, 1)
    figures["peak MiB, whole process"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    for metric in (f"recall@{claim.k}", f"ndcg@{claim.k}"):
        found = report.estimate(metric)
        figures[metric] = [round(float(v), 4) for v in (found.value, found.low, found.high)]
    write_text(place, json.dumps({"identity": identity, "figures": figures}))
    return figures


def run(claim: Claim) -> None:
    """Measure a claim as asked on the command line, and write its file and the table of all of them."""
    parser = argparse.ArgumentParser(description=f"{claim.model} on {claim.data}: {claim.published}")
    parser.add_argument("--seeds", default="0", help="model seeds, for example 0,1,2")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the data sets")
    asked = parser.parse_args()
    split = DATA[claim.data](asked.data)
    print(split.describe(), flush=True)
    runs = []
    for seed in (int(text) for text in asked.seeds.split(",")):
        runs.append(measure(claim, split, seed))
        print(runs[-1], flush=True)
    config, options = configure(claim.model, claim.settings)
    told = {
        "claim": {**dataclasses.asdict(claim), "settings": dict(claim.settings)},
        "config": configs.to_mapping(models.get(claim.model).resolve_config(config, split)),
        "options": configs.to_mapping(options),
        "protocol": split.describe(),
        "machine": machine(),
        "date": time.strftime("%Y-%m-%d"),
        "versions": {"tastespace": ts.__version__, "torch": torch.__version__, "numpy": np.__version__},
        "runs": runs,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    write_text(RESULTS / f"{claim.name}.json", json.dumps(told, indent=1) + "\n")
    write_text(RESULTS.parent / "published.md", table())


def table() -> str:
    """Every measured claim as Markdown."""
    lines = ["Measured by the scripts in benchmarks/published; one row a claim, means over the seeds.\n"]
    lines.append(
        "| data | model | Recall@K / NDCG@K | 95 % of users (first seed) | must | goal | published | seconds | seeds |"
    )
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for file in sorted(RESULTS.glob("*.json")):
        told = json.loads(file.read_text())
        claim, runs = told["claim"], told["runs"]
        keys = (f"recall@{claim['k']}", f"ndcg@{claim['k']}")
        means = [float(np.mean([run[key][0] for run in runs])) for key in keys]
        spread = " / ".join(f"{runs[0][key][1]:.4f} to {runs[0][key][2]:.4f}" for key in keys)
        both = [" / ".join(f"{value:.3f}" if value else "-" for value in claim[key]) for key in ("must", "goal")]
        seconds = np.mean([run["seconds"] for run in runs])
        cells = [f"{claim['data']}, K = {claim['k']}", claim["model"], f"{means[0]:.4f} / {means[1]:.4f}", spread]
        cells += [*both, claim["published"], f"{seconds:.0f}", ", ".join(str(run["seed"]) for run in runs)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit("run one of the scripts beside this file, or all of them: make bench")
