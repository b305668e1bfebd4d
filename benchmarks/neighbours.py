"""How much the neighbours of items and users should be shrunk for want of evidence: results/neighbours.{json,md}.

    .venv/bin/python benchmarks/neighbours.py [--data FOLDER]

Validation rows alone. Neighbours are found by the cosine of embeddings times a weight that grows with the number n of
training likes of the neighbour. A neighbour j of an item i is good if users who liked i in training like j among their
validation rows more often than chance: the Pearson residual (O - E) / sqrt(E) of their number O, where E follows from
the likes of j. That of users is the same with the roles of users and items exchanged. Unlike the plain share of users
who like the neighbour ("precision"), a residual does not grow with popularity alone.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

import tastespace as ts
from tastespace._atomic import write_text
from tastespace.data.lines import read_ready_split
from tastespace.data.queries import Queries
from tastespace.data.split import Split, ready_split
from tastespace.data.synthetic import planted_taste
from tastespace.serving.neighbours import HALF_EVIDENCE

RESULTS = Path(__file__).parent / "results"
DATA = Path(__file__).parents[2] / "shared" / "data"
K = 10
MOST_QUERIES = 2000
AT_ONCE = 256
FEW = 2  # likes
Weight = Callable[[NDArray[np.float64]], NDArray[np.float64]]

RULES: dict[str, Weight] = {
    "none": np.ones_like,
    **{f"n / (n + {s:g})": lambda n, s=s: n / (n + s) for s in (0.25, 0.5, 1, 2, 3, 5, 10, 20)},
    "n / (n + median)": lambda n: n / (n + np.median(n[n > 0])),
    "n / (n + mean)": lambda n: n / (n + n[n > 0].mean()),
    "log(1 + n)": lambda n: np.log1p(n) / np.log1p(n.max()),
    "sqrt(n)": lambda n: np.sqrt(n / n.max()),
}


def logs(folder: Path) -> Iterator[tuple[str, Split, dict[str, dict[str, Any]]]]:
    """Logs cut into training and validation rows, with the models to train on each and their settings."""
    both: dict[str, dict[str, Any]] = {"spectral": {}, "mf": {}}
    yield "MovieLens 100K", ts.split(ts.load_dataset("ml-100k"), "random-811"), both
    beauty = ts.open_data(str(folder / "beauty" / "sequences.txt"), ts.ReadOptions(format="lines"))
    yield "Amazon Beauty", ts.split(beauty, "leave-last-out"), {"spectral": {}, "mf": {"epochs": 15, "patience": 5}}
    rows = read_ready_split(folder / "gowalla" / "train.txt", folder / "gowalla" / "test.txt")
    yield "Gowalla", ready_split("gowalla", *rows), {"spectral": {}}
    yield "made, 8 rows a user", ts.split(planted_taste(8000, 6000, 8, skew=1.0), "leave-last-out"), both
    yield "made, 60 rows a user", ts.split(planted_taste(2000, 3000, 60, skew=0.8), "leave-last-out"), both


def embeddings(model: Any, on: Split) -> dict[str, NDArray[np.float32]]:
    """Unit vectors (N, D) and (U, D), biases left out."""
    with torch.no_grad():
        queries = Queries.of_users(np.arange(on.train.n_users), on.train.histories())
        found = {"items": model.encode_items().numpy(), "users": model.encode_queries(queries).numpy()}
    for side, vectors in found.items():
        plain = vectors[:, : vectors.shape[1] - model.n_bias]
        found[side] = plain / np.maximum(np.linalg.norm(plain, axis=1, keepdims=True), 1e-12)
    return found


def binary(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Ones where the matrix is not zero."""
    return sp.csr_matrix((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)


def measure(vectors: NDArray[np.float32], known: sp.csr_matrix, held_out: sp.csr_matrix) -> dict[str, Any]:
    """Figures of each rule: neighbours among the columns of `known` (U, N), judged by those of `held_out` (U, N)."""
    tested = np.flatnonzero(np.diff(held_out.indptr) > 0)
    likes = np.asarray(known.sum(axis=0)).ravel()
    both = likes + np.asarray(held_out.sum(axis=0)).ravel()
    chance = both / both.sum() * held_out.sum() / len(tested)  # (N,) that a tested row holds the neighbour
    rows = np.asarray(known[tested].sum(axis=0)).ravel()  # (N,) tested rows that hold the one asked for
    asked = np.flatnonzero(rows > 0)
    if len(asked) > MOST_QUERIES:
        asked = np.sort(np.random.default_rng(0).choice(asked, MOST_QUERIES, replace=False))
    shared = (known[tested].T.tocsr()[asked] @ held_out[tested]).tocsr()  # (Q, N)
    popular = np.argsort(-rows[asked], kind="stable")[:100]
    found = {}
    for rule, weight in RULES.items():
        near = nearest(vectors, asked, np.where(likes > 0, weight(likes), 0.0))  # (Q, K)
        hits = np.asarray(shared[np.repeat(np.arange(len(asked)), K), near.ravel()]).reshape(near.shape)
        expected = rows[asked, None] * chance[near]
        residual = ((hits - expected) / np.sqrt(expected)).mean(axis=1)
        found[rule] = {
            "residual": residual,
            "precision": float((hits / rows[asked, None]).mean()),
            "median likes": float(np.median(likes[near])),
            "few likes": float((likes[near] <= FEW).mean()),
            "few likes, popular": float((likes[near[popular]] <= FEW).mean()),
            "coverage": len(np.unique(near)) / int((likes > 0).sum()),
        }
    best = max(found.values(), key=lambda figures: figures["residual"].mean())["residual"]
    for figures in found.values():
        difference = figures["residual"] - best
        figures["residual"] = float(figures["residual"].mean())
        figures["of best"] = figures["residual"] / float(best.mean())
        figures["behind best"] = float(difference.mean())
        figures["error"] = float(difference.std() / np.sqrt(len(difference)))
    return found


def nearest(vectors: NDArray[np.float32], asked: NDArray[np.int64], weight: NDArray[np.float64]) -> NDArray[np.int64]:
    """(Q, K) columns of the largest weighted cosines, without those of weight 0 and the one asked for."""
    candidates = np.flatnonzero(weight > 0)
    scaled = (vectors[candidates] * weight[candidates, None]).astype(np.float32)
    found = []
    for start in range(0, len(asked), AT_ONCE):
        block = asked[start : start + AT_ONCE]
        scores = vectors[block] @ scaled.T
        scores[np.searchsorted(candidates, block)[:, None] == np.arange(len(candidates))] = -np.inf
        found.append(candidates[np.argpartition(-scores, K, axis=1)[:, :K]])
    return np.concatenate(found)


def run(folder: Path) -> Iterator[dict[str, Any]]:
    for name, split, models in logs(folder):
        on = split.for_validation()
        known = binary(on.train.positives().matrix().tocsr())
        held_out = binary(on.relevant_items().matrix(on.train.n_items).tocsr())
        for model, settings in models.items():
            started = time.perf_counter()
            vectors = embeddings(ts.train(model, on, baselines=False, **settings).model, on)
            trained = time.perf_counter() - started
            for side in ("items", "users"):
                sides = (known, held_out) if side == "items" else (known.T.tocsr(), held_out.T.tocsr())
                rules = measure(vectors[side], *sides)
                print(f"{name}, {model}, {side}: {time.perf_counter() - started:.0f} s", flush=True)
                yield {"log": name, "model": model, "of": side, "train_seconds": round(trained, 1), "rules": rules}


def page(rows: list[dict[str, Any]]) -> str:
    in_use = {"items": f"n / (n + {HALF_EVIDENCE:g})", "users": "none"}
    lines = ["# Neighbours", "", (__doc__ or "").split("\n\n", 2)[2].strip().replace("\n", " "), ""]
    lines += [f"Measured {time.strftime('%Y-%m-%d')} by benchmarks/neighbours.py.", ""]
    for side in ("items", "users"):
        here, now = [row for row in rows if row["of"] == side], in_use[side]
        heads = [f"{row['log']}, {row['model']}" for row in here]
        lines += [f"## {side.capitalize()}", "", "Mean residual of ten neighbours, over that of the best rule:", ""]
        lines += [f"| weight | mean | {' | '.join(heads)} |", f"|---|{'---|' * (len(heads) + 1)}"]
        for rule in RULES:
            shares = [row["rules"][rule]["of best"] for row in here]
            cells = " | ".join(f"{share:.2f}" for share in shares)
            lines.append(f"| {rule}{' (now)' if rule == now else ''} | {np.mean(shares):.3f} | {cells} |")
        lines += ["", f"Without a weight, and with {in_use['items']}:", ""]
        lines += ["| log, model | residual | precision | median likes | 2 likes or fewer | of the popular | coverage |"]
        lines += ["|---|---|---|---|---|---|---|"]
        for head, row in zip(heads, here, strict=True):
            for rule in ("none", in_use["items"]):
                cells = " | ".join(_cell(row["rules"][rule], figure) for figure in FIGURES)
                lines.append(f"| {head}, {rule} | {cells} |")
        lines.append("")
    lines += [_LEGEND]
    return "\n".join(lines) + "\n"


FIGURES = {
    "residual": ".3f",
    "precision": ".4f",
    "median likes": ".0f",
    "few likes": ".3f",
    "few likes, popular": ".3f",
    "coverage": ".2f",
}

_LEGEND = (
    "Precision: share of the users of an item who go on to like its neighbour; of users, share of a user's items that "
    "the neighbour goes on to like. 2 likes or fewer: share of all neighbours, and of those of the 100 most popular. "
    "Coverage: share of all liked items (of all users) among the ten neighbours of at most 2,000 asked for."
)


def _cell(figures: dict[str, float], name: str) -> str:
    return format(figures[name], FIGURES[name])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with beauty and gowalla")
    parser.add_argument("--page", action="store_true", help="write the page again from the results")
    options = parser.parse_args()
    if not options.page:
        write_text(RESULTS / "neighbours.json", json.dumps(list(run(options.data)), indent=1) + "\n")
    measured = json.loads((RESULTS / "neighbours.json").read_text())
    write_text(RESULTS / "neighbours.md", page(measured))
