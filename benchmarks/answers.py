"""How fast a bundle opens and answers: results/answers.{json,md}.

    .venv/bin/python benchmarks/answers.py [--items 1000000] [--batch 100000] [--kinds ivf,pq]

MovieLens 100K (`mf`), and planted vectors: a mixture of directions whose lengths follow a power law, with users who
have seen 200 items each, for each kind of index. One thread where one question is asked, all of them for builds and
batches. `--indexes-only` prints the table of indexes and writes nothing.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
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
DIM, SEEN, ASKED = 64, 200, 300
POWERS = (3.0, 10.0)  # of the lengths' distribution: heavy, and light


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
    """Seconds, and what came of it."""
    began = time.perf_counter()
    found = run()
    return time.perf_counter() - began, found


def milliseconds(run: Callable[[int], Any], times: int) -> dict[str, float]:
    """p50 and p95 of calls with 0, 1, ..."""
    run(0)
    taken = [1000 * timed(lambda place=place: run(place))[0] for place in range(times)]
    return {"p50_ms": median(taken), "p95_ms": float(np.quantile(taken, 0.95))}


def of_indexes(n: int, power: float, kinds: list[str], folder: Path) -> Iterator[dict[str, Any]]:
    """Each kind of index of the same planted vectors."""
    vectors, queries = planted(n, ASKED, power)
    truth = ExactIndex.build(vectors).search(queries, 400).indices
    exact = milliseconds(lambda row: ExactIndex.build(vectors).search(queries[row : row + 1], 10), 20)["p50_ms"]
    for kind in kinds:
        (folder / f"{kind}-{power:g}").mkdir()
        found = of_index(vectors, queries, truth, kind, folder / f"{kind}-{power:g}")
        yield {"power": power, **found, "exact_p50_ms": exact}


def of_index(vectors: np.ndarray, queries: np.ndarray, truth: np.ndarray, kind: str, folder: Path) -> dict[str, Any]:
    """An index: build, size, latency and recall with 200 of the best 400 hidden."""
    seconds, (index, figures) = timed(lambda: build_index(vectors, queries, kind=kind, recall=0.98))
    rng = np.random.default_rng(1)
    seen = [row[rng.permutation(400)[:SEEN]] for row in truth]
    wanted = [row[~np.isin(row, out)][:10] for row, out in zip(truth, seen, strict=True)]
    found = [index.search(queries[row : row + 1], 10, exclude=[seen[row]]).indices[0] for row in range(ASKED)]
    recall = np.mean([len(np.intersect1d(one, other)) / 10 for one, other in zip(found, wanted, strict=True)])
    taken = milliseconds(lambda row: index.search(queries[row : row + 1], 10, exclude=[seen[row]]), ASKED)
    index.save(folder)
    opened, again = timed(lambda: type(index).load(folder, vectors))
    again.search(queries[:1], 10)
    return {
        **figures.to_json(),
        "build_and_judge_seconds": seconds,
        "recall_with_seen_hidden": float(recall),
        **{f"seen_hidden_{name}": value for name, value in taken.items()},
        "open_seconds": opened,
        "narrow": narrow(index, vectors, queries),
    }


def narrow(index: Index, vectors: np.ndarray, queries: np.ndarray) -> dict[str, float]:
    """p50 ms of searches among a share of the vectors."""
    rng = np.random.default_rng(2)
    found = {}
    for share in (0.0001, 0.01, 0.1, 0.5):
        allow = rng.random(len(vectors)) < share
        found[f"{share:g}"] = milliseconds(lambda row, a=allow: index.search(queries[row : row + 1], 10, allow=a), 20)[
            "p50_ms"
        ]
    return found


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


def of_bundle(path: Path) -> dict[str, Any]:
    """How fast a bundle opens, and answers known users."""
    opened, recommender = timed(lambda: ts.Recommender.load(path))
    users = recommender.bundle.users.ids[: ASKED + 1].tolist()
    taken = milliseconds(lambda row: recommender.recommend(users[row], k=10), ASKED)
    return {"load_seconds": opened, **taken}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=100_000, help="users, and items, of the batch")
    parser.add_argument("--kinds", default="ivf,pq", help="of index")
    parser.add_argument("--indexes-only", action="store_true", help="print the table of indexes alone")
    asked = parser.parse_args()
    found: dict[str, Any] = {"measured": time.strftime("%Y-%m-%d"), "machine": machine(), "items": asked.items}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found["indexes"] = []
        for power in POWERS:
            for row in of_indexes(asked.items, power, asked.kinds.split(","), folder):
                found["indexes"].append(row)
                print(row, flush=True)
        if asked.indexes_only:
            print("\n".join(table(found)))
            return
        fit = ts.train("mf", ts.split(ts.load_dataset("ml-100k"), "article"))
        ts.Recommender.build(fit, folder / "films")
        found["films"] = of_bundle(folder / "films")
        print(found["films"], flush=True)
        large_bundle(folder / "large", 2_000, asked.items, SEEN)
        ts.Recommender.reindex(folder / "large")
        found["large"] = of_bundle(folder / "large")
        print(found["large"], flush=True)
        large_bundle(folder / "batch", asked.batch, asked.batch, 20)
        recommender = ts.Recommender.load(folder / "batch")
        found["batch"] = {"users": asked.batch, "items": asked.batch}
        found["batch"]["seconds"] = timed(lambda: ts.recommend_all(recommender, folder / "recs.parquet"))[0]
        print(found["batch"], flush=True)
    write_text(RESULTS / "answers.json", json.dumps(rounded(found), indent=1) + "\n")
    write_text(RESULTS / "answers.md", "\n".join(page(found)) + "\n")


def machine() -> str:
    """What this machine is called."""
    return f"{platform.machine()} with {os.cpu_count()} cores, torch on {torch.get_num_threads()} threads"


def page(found: dict[str, Any]) -> list[str]:
    """The figures as Markdown."""
    films, large, batch = found["films"], found["large"], found["batch"]
    lines = ["# Answers", "", f"Measured {found['measured']} on {found['machine']} by benchmarks/answers.py.", ""]
    lines += ["| bundle | opens in s | a known user, p50 ms | p95 ms |", "|---|---|---|---|"]
    for name, row in (("MovieLens 100K, mf", films), (f"{found['items']:,} items x {DIM}, indexed", large)):
        lines.append(f"| {name} | {row['load_seconds']:.2f} | {row['p50_ms']:.3f} | {row['p95_ms']:.3f} |")
    lines += [
        "",
        f"{batch['users']:,} users x {batch['items']:,} items, top 10 of everybody: {batch['seconds']:.0f} s.",
        "",
    ]
    return lines + table(found)


def table(found: dict[str, Any]) -> list[str]:
    """The figures of indexes as Markdown."""
    names = ["lengths", "kind", "built in s", "MiB beside the vectors", "recall@10", "p50 ms", "seen hidden: recall@10"]
    names += ["p50 ms", "p95 ms", "exact p50 ms", "opens in s", "allow 0.01 %", "1 %", "10 %", "50 %"]
    lines = [
        f"Indexes of {found['items']:,} planted vectors x {DIM}; seen: {SEEN} of the best 400 of each query.",
        "",
        "| " + " | ".join(names) + " |",
        "|" + "---|" * len(names),
    ]
    for row in found["indexes"]:
        cells = [f"power law, {row['power']:g}", searched(row), f"{row['seconds']:.1f}", f"{row['bytes'] / 2**20:.0f}"]
        cells += [f"{row['recall']:.4f}", f"{row['p50_ms']:.2f}", f"{row['recall_with_seen_hidden']:.4f}"]
        cells += [f"{row['seen_hidden_p50_ms']:.2f}", f"{row['seen_hidden_p95_ms']:.2f}"]
        cells += [f"{row['exact_p50_ms']:.1f}", f"{row['open_seconds']:.3f}"]
        cells += [f"{value:.2f}" for value in row["narrow"].values()]
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
