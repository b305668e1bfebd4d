"""What `ease` costs on large catalogues: seconds, memory beside its forecast, and the loss of single precision.

    .venv/bin/python benchmarks/ease.py                    # all rows of results/ease.json
    .venv/bin/python benchmarks/ease.py 1900 17632 50 items   # users, items, rows a user, matrix inverted

Each row runs in a process of its own, on a made-up log.
"""

import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from tastespace.data.interactions import Interactions
from tastespace.data.synthetic import planted_taste
from tastespace.models import ease
from tastespace.models.base import Shapes

RESULTS = Path(__file__).parent / "results" / "ease.json"
ROWS = [
    ("1900", "17632", "50", "users"),
    ("1900", "17632", "50", "items"),
    ("5600", "17000", "37", "users"),
    ("19000", "12000", "9", "items"),
    ("6000", "3600", "140", "items"),
]
_SAMPLE = 20  # columns of weights that are checked against double precision


def row(n_users: int, n_items: int, rows_per_user: float, inverted: str) -> dict[str, object]:
    """One training: seconds, MiB and the error of a sample of the weights."""
    prepare(planted_taste(100, 100, 5.0).interactions, inverted)  # libraries are loaded
    log = planted_taste(n_users, n_items, rows_per_user, n_tastes=300).interactions
    before = peak()
    started, processor = time.perf_counter(), time.process_time()
    model = prepare(log, inverted)
    return {
        "users": n_users,
        "items": n_items,
        "rows": len(log),
        "inverted": inverted,
        "seconds": round(time.perf_counter() - started, 1),
        "processor seconds": round(time.process_time() - processor, 1),
        "MiB of the weights": round(4 * n_items**2 / 2**20),
        "MiB taken": round((peak() - before) / 2**20),
        "MiB forecast": round(model.memory_bytes(model.config, model.shapes, len(log), 0) / 2**20),
        "largest residual": residual(model.weights, log, model.config.l2),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "machine": f"{platform.machine()} with {os.cpu_count()} cores",
    }


def peak() -> int:
    """Largest memory that this process has had, in bytes; Linux alone."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return 1024 * int(found[1]) if found else 0


def prepare(log: Interactions, inverted: str) -> ease.Ease:
    """Train on a log, by the matrix of the items or of the users."""
    ease._by_users = lambda *_: inverted == "users"
    model = ease.Ease(ease.EaseConfig(), Shapes(log.n_users, log.n_items))
    model.prepare(log)
    return model


def residual(weights: torch.Tensor, log: Interactions, l2: float) -> float:
    """How far (X'X + lambda I)(I - B) is from diagonal, for the most liked items, against its diagonal."""
    liked = log.positives().matrix().astype(np.float64)
    columns = np.argsort(-np.bincount(log.item, minlength=log.n_items))[:_SAMPLE]
    solution = -weights[:, torch.from_numpy(columns)].double().numpy()
    solution[columns, np.arange(_SAMPLE)] += 1.0
    product = liked.T @ (liked @ solution) + l2 * solution
    own = np.abs(product[columns, np.arange(_SAMPLE)])
    product[columns, np.arange(_SAMPLE)] = 0.0
    return float(f"{(np.abs(product) / own).max():.2g}")


def main() -> None:
    """Print and save all rows, or one."""
    if len(sys.argv) > 1:
        users, items, rows, inverted = sys.argv[1:]
        print(json.dumps(row(int(users), int(items), float(rows), inverted)))
        return
    found = []
    for words in ROWS:
        done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=True)
        print(done.stdout, end="", flush=True)
        found.append(json.loads(done.stdout))
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
