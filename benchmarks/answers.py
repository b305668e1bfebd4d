"""Time to load a bundle and to answer a request, and indexes compared: results/answers.{json,md}.

    .venv/bin/python benchmarks/answers.py [--items 1000000] [--batch 100000] [--kinds ivf,pq]

MovieLens 100K (`mf`), and planted vectors: a mixture of directions whose norms follow a power law, with users who have
seen 200 items each, for each kind of index. Single requests use one thread, builds and batches all of them.
`--indexes-only` prints the table of indexes and writes nothing.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

import tastespace as ts
from figures import rounded
from tastespace._atomic import write_text
from tastespace.data.dataset import Table
from tastespace.data.histories import Histories
from tastespace.data.vocabulary import Vocabulary
from tastespace.index import ExactIndex, Index, build_index
from tastespace.serving.bundle import Bundle, write_bundle

RESULTS = Path(__file__).parent / "results"
DIM, N_SEEN, N_QUERIES = 64, 200, 300
POWERS = (3.0, 10.0)  # of the distribution of norms: heavy and light tail


def planted(n: int, queries: int, power: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (n, D) around 2,000 directions of uneven popularity, and queries around the same directions."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(2000, DIM))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    share = np.arange(1, 2001) ** -0.7
    share /= share.sum()
    vectors = np.empty((n, DIM), dtype=np.float32)
    for part in np.array_split(np.arange(n), max(1, n // 100_000)):
        near = centres[rng.choice(2000, len(part), p=share)] + rng.normal(size=(len(part), DIM)) * 0.9 / DIM**0.5
        length = np.minimum((1 - rng.random(len(part))) ** (-1 / power), 50)
        vectors[part] = near / np.linalg.norm(near, axis=1, keepdims=True) * length[:, None]
    near = centres[rng.choice(2000, queries, p=share)] + rng.normal(size=(queries, DIM)) * 0.9 / DIM**0.5
    return vectors, near.astype(np.float32)


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of a call, and its result."""
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def milliseconds(run: Callable[[int], Any], times: int) -> dict[str, float]:
    """p50 and p95 of calls with 0, 1, ..."""
    run(0)
    durations = [1000 * timed(lambda row=row: run(row))[0] for row in range(times)]
    return {"p50_ms": median(durations), "p95_ms": float(np.quantile(durations, 0.95))}


def measure_indexes(n: int, power: float, kinds: list[str], folder: Path) -> Iterator[dict[str, Any]]:
    """Measure each kind of index of the same planted vectors."""
    vectors, queries = planted(n, N_QUERIES, power)
    truth = ExactIndex.build(vectors).search(queries, 400).indices
    exact = milliseconds(lambda row: ExactIndex.build(vectors).search(queries[row : row + 1], 10), 20)["p50_ms"]
    for kind in kinds:
        (folder / f"{kind}-{power:g}").mkdir()
        measures = measure_index(vectors, queries, truth, kind, folder / f"{kind}-{power:g}")
        yield {"power": power, **measures, "exact_p50_ms": exact}


def measure_index(
    vectors: np.ndarray, queries: np.ndarray, truth: np.ndarray, kind: str, folder: Path
) -> dict[str, Any]:
    """Measure build, size, latency, and recall with 200 of the best 400 hidden."""
    seconds, (index, report) = timed(lambda: build_index(vectors, queries, kind=kind, recall=0.98))
    rng = np.random.default_rng(1)
    seen = [row[rng.permutation(400)[:N_SEEN]] for row in truth]
    relevant = [row[~np.isin(row, hidden)][:10] for row, hidden in zip(truth, seen, strict=True)]
    retrieved = [index.search(queries[row : row + 1], 10, exclude=[seen[row]]).indices[0] for row in range(N_QUERIES)]
    recall = np.mean([np.isin(best, row).mean() for best, row in zip(relevant, retrieved, strict=True)])
    latency = milliseconds(lambda row: index.search(queries[row : row + 1], 10, exclude=[seen[row]]), N_QUERIES)
    index.save(folder)
    load_seconds, loaded = timed(lambda: type(index).load(folder, vectors))
    loaded.search(queries[:1], 10)
    return {
        **report.to_json(),
        "build_and_measure_seconds": seconds,
        "recall_with_seen_hidden": float(recall),
        **{f"seen_hidden_{name}": value for name, value in latency.items()},
        "load_seconds": load_seconds,
        "allow_p50_ms": allow_lists(index, vectors, queries),
    }


def allow_lists(index: Index, vectors: np.ndarray, queries: np.ndarray) -> dict[str, float]:
    """p50 ms of searches in a share of the vectors."""
    rng = np.random.default_rng(2)
    latency = {}
    for share in (0.0001, 0.01, 0.1, 0.5):
        allow = rng.random(len(vectors)) < share
        search = partial(_search_allowed, index, queries, allow)
        latency[f"{share:g}"] = milliseconds(search, 20)["p50_ms"]
    return latency


def _search_allowed(index: Index, queries: np.ndarray, allow: np.ndarray, row: int) -> object:
    return index.search(queries[row : row + 1], 10, allow=allow)


def large_bundle(path: Path, n_users: int, n_items: int, seen: int) -> None:
    """A bundle of planted vectors, with whole numbers as ids."""
    items, users = planted(n_items, n_users, POWERS[1])
    rng = np.random.default_rng(3)
    histories = Histories(
        rng.integers(0, n_items, n_users * seen, dtype=np.int32),
        np.arange(0, n_users * seen + 1, seen, dtype=np.int64),
        np.ones(n_users * seen, dtype=np.float32),
    )
    manifest = {
        "model": "mf",
        "config": {},
        "counts": {"users": n_users, "items": n_items, "rows": n_users * seen},
        "data": {"name": "planted", "fingerprint": "", "signal": []},
        "split": {"protocol": "all", "seed": 0},
        "bias_coordinates": 0,
        "fold_in": None,
    }
    names = (Vocabulary(np.arange(n_users), "user"), Vocabulary(np.arange(n_items), "item"))
    vectors = {"users": users, "items": items}
    write_bundle(path, Bundle(manifest, *names, Table(), Table(), histories, vectors, {}))


def measure_bundle(path: Path) -> dict[str, Any]:
    """Measure how long a bundle takes to load, and to answer known users."""
    load_seconds, recommender = timed(lambda: ts.Recommender.load(path))
    users = recommender.bundle.users.ids[: N_QUERIES + 1].tolist()
    latency = milliseconds(lambda row: recommender.recommend(users[row], k=10), N_QUERIES)
    return {"load_seconds": load_seconds, **latency}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=100_000, help="users, and items, of the batch")
    parser.add_argument("--kinds", default="ivf,pq", help="of index")
    parser.add_argument("--indexes-only", action="store_true", help="print the table of indexes alone")
    options = parser.parse_args()
    results: dict[str, Any] = {"measured": time.strftime("%Y-%m-%d"), "machine": machine(), "items": options.items}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results["indexes"] = []
        for power in POWERS:
            for row in measure_indexes(options.items, power, options.kinds.split(","), folder):
                results["indexes"].append(row)
                print(row, flush=True)
        if options.indexes_only:
            print("\n".join(table(results)))
            return
        fit = ts.train("mf", ts.split(ts.load_dataset("ml-100k"), "article"))
        ts.Recommender.build(fit, folder / "films")
        results["films"] = measure_bundle(folder / "films")
        print(results["films"], flush=True)
        large_bundle(folder / "large", 2_000, options.items, N_SEEN)
        ts.Recommender.reindex(folder / "large")
        results["large"] = measure_bundle(folder / "large")
        print(results["large"], flush=True)
        large_bundle(folder / "batch", options.batch, options.batch, 20)
        recommender = ts.Recommender.load(folder / "batch")
        results["batch"] = {"users": options.batch, "items": options.batch}
        results["batch"]["seconds"] = timed(lambda: ts.recommend_all(recommender, folder / "recs.parquet"))[0]
        print(results["batch"], flush=True)
    write_text(RESULTS / "answers.json", json.dumps(rounded(results), indent=1) + "\n")
    write_text(RESULTS / "answers.md", "\n".join(page(results)) + "\n")


def machine() -> str:
    """Description of this machine."""
    return f"{platform.machine()} with {os.cpu_count()} cores, torch on {torch.get_num_threads()} threads"


def page(results: dict[str, Any]) -> list[str]:
    """Results as Markdown."""
    films, large, batch = results["films"], results["large"], results["batch"]
    lines = ["# Answers", "", f"Measured {results['measured']} on {results['machine']} by benchmarks/answers.py.", ""]
    lines += ["| bundle | load s | known user, p50 ms | p95 ms |", "|---|---|---|---|"]
    for name, row in (("MovieLens 100K, mf", films), (f"{results['items']:,} items x {DIM}, indexed", large)):
        lines.append(f"| {name} | {row['load_seconds']:.2f} | {row['p50_ms']:.3f} | {row['p95_ms']:.3f} |")
    lines += [
        "",
        f"{batch['users']:,} users x {batch['items']:,} items, top 10 of every user: {batch['seconds']:.0f} s.",
        "",
    ]
    return lines + table(results)


def table(results: dict[str, Any]) -> list[str]:
    """Results of the indexes as Markdown."""
    names = ["norms", "kind", "build s", "MiB beside the vectors", "recall@10", "p50 ms", "seen hidden: recall@10"]
    names += ["p50 ms", "p95 ms", "exact p50 ms", "load s", "allow 0.01 %", "1 %", "10 %", "50 %"]
    lines = [
        f"Indexes of {results['items']:,} planted vectors x {DIM}; seen: {N_SEEN} of the best 400 of each query.",
        "",
        "| " + " | ".join(names) + " |",
        "|" + "---|" * len(names),
    ]
    for row in results["indexes"]:
        cells = [f"power law, {row['power']:g}", searched(row), f"{row['seconds']:.1f}", f"{row['bytes'] / 2**20:.0f}"]
        cells += [f"{row['recall']:.4f}", f"{row['p50_ms']:.2f}", f"{row['recall_with_seen_hidden']:.4f}"]
        cells += [f"{row['seen_hidden_p50_ms']:.2f}", f"{row['seen_hidden_p95_ms']:.2f}"]
        cells += [f"{row['exact_p50_ms']:.1f}", f"{row['load_seconds']:.3f}"]
        cells += [f"{value:.2f}" for value in row["allow_p50_ms"].values()]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def searched(row: dict[str, Any]) -> str:
    """A kind, and the extent of its search."""
    if row["n_lists"] is None:
        return str(row["kind"])
    rescored = "" if row["n_rescored"] is None else f", {row['n_rescored']} rescored"
    return f"{row['kind']}, {row['nprobe']} of {row['n_lists']} lists{rescored}"


if __name__ == "__main__":
    main()
