"""How fast: reading, ranking, training, comparing, help. Each figure is the median of several runs: results/speed.json.

    .venv/bin/python benchmarks/speed.py

Ranking is also given as a ratio to what the same matrix product alone takes in the same run.
"""

import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import tastespace as ts
from figures import median_seconds
from tastespace.data.histories import Histories
from tastespace.data.queries import Queries
from tastespace.evaluation.ranking import rank

RESULTS = Path(__file__).parent / "results"


def timed(job: Callable[[], object], runs: int = 5) -> float:
    """Median seconds, to a tenth of a millisecond."""
    return round(median_seconds(job, runs), 4)


def reading() -> dict[str, float]:
    """Rows a second from Parquet into `Interactions`, with text item ids and with integers alone."""
    import duckdb

    rows = 3_000_000
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, item in (("text ids", "'item ' || (hash(i) % 50000)"), ("integer ids", "hash(i) % 50000")):
            path = f"{folder}/log.parquet"
            with duckdb.connect() as connection:
                connection.execute(
                    f"COPY (SELECT (i * 7919) % 200000 AS user, {item} AS item, i AS time FROM range({rows}) t(i)) "  # noqa: S608
                    f"TO '{path}' (FORMAT parquet)"
                )
            seconds = timed(lambda at=path: ts.read(at, duplicates="keep"), runs=3)
            found[f"rows a second, {kind}"] = round(rows / seconds)
    return found


def ranking() -> dict[str, float]:
    """20,000 users x 20,000 items, 64 coordinates, 50 hidden items each, the 10 best."""
    n, rng = 20_000, np.random.default_rng(0)
    users = torch.from_numpy(rng.normal(size=(n, 64)).astype(np.float32))
    items = torch.from_numpy(rng.normal(size=(n, 64)).astype(np.float32)).T.contiguous()
    lists = Histories(
        rng.integers(0, n, n * 50).astype(np.int32), np.arange(0, n * 50 + 1, 50), np.ones(n * 50, dtype=np.float32)
    )
    everyone = np.arange(n)

    def products() -> None:
        for start in range(0, n, 838):
            users[start : start + 838] @ items

    def ranked() -> None:
        rank(
            lambda q: users[torch.from_numpy(q.users)] @ items,
            Queries.of_users(everyone, lists),
            lists,
            n_items=n,
            k=10,
        )

    alone, whole = timed(products, 3), timed(ranked, 3)
    return {"seconds": whole, "matrix product alone": alone, "ratio": round(whole / alone, 2)}


def training() -> dict[str, float]:
    """Defaults on MovieLens 100K, `article`, search and refit."""
    on = ts.split(ts.load_dataset("ml-100k"), "article")
    found = {
        name: timed(lambda n=name: ts.train(n, on, baselines=False)) for name in ("mf", "spectral", "ease", "item_knn")
    }
    return {f"{name} seconds": seconds for name, seconds in found.items()}


def five_models() -> dict[str, float]:
    """The five architectures and the references on `article`, one seed, defaults: a whole comparison, run once."""
    on = ts.split(ts.load_dataset("ml-100k"), "article")
    began = time.perf_counter()
    table = ts.compare(["mf", "ncf", "lightgcn", "bert4rec", "two_tower"], on)
    found = {"whole seconds": round(time.perf_counter() - began, 1)}
    return found | {f"{row.model} seconds": round(row.train_seconds, 2) for row in table.rows}


def help_text() -> dict[str, float]:
    """A new process that prints the help."""
    command = [sys.executable, "-m", "tastespace", "--help"]
    return {"seconds": timed(lambda: subprocess.run(command, check=True, capture_output=True))}


def main() -> None:
    machine = {"machine": f"{platform.machine()}, 2 cores", "date": time.strftime("%Y-%m-%d")}
    found: dict[str, object] = dict(machine)
    for job in (ranking, reading, training, five_models, help_text):
        found[job.__name__] = job()
        print(job.__name__, found[job.__name__], flush=True)
        if job is ranking:
            found["ranking peak MiB, whole process"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "speed.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
