"""What words of prose, beyond the common ones, do for unseen films: results/prose.md.

    .venv/bin/python benchmarks/prose.py [--cuts N] [--seeds N]

MovieLens 100K, titles. The test rows of `new-items` are left out altogether: a tenth of the other films at a time is
new, and placed among themselves as by `AddedItems` (NDCG@10), encoders fitted to known films. Then `two_tower` on
the validation rows of `article`.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import tastespace as ts
from cold_start import among
from tastespace._atomic import write_text
from tastespace.cold_start import AddedItems
from tastespace.data import feature_columns
from tastespace.data.dataset import Dataset, Table
from tastespace.data.feature_columns import Column
from tastespace.data.features import Encoder
from tastespace.data.split import ready_split

RESULTS = Path(__file__).parent / "results"
MODELS = ("ease", "spectral")
VARIANTS = ("no titles", "common words, alike", "common words", *(f"{2**n:,} buckets" for n in range(6, 11)))
NOW = f"{feature_columns._BUCKETS:,} buckets"


@contextmanager
def reading(variant: str) -> Iterator[None]:
    """Prose as a variant reads it."""
    fit = feature_columns._fit_words

    def fitted(name: str, cells: list[Any], _: int) -> Column | None:
        found = fit(name, cells, int(variant.split(maxsplit=1)[0].replace(",", "")) if "buckets" in variant else 0)
        if variant == "no titles" or found is None:
            return None
        if variant.startswith("common words"):
            return replace(found, weights=() if variant.endswith("alike") else found.weights)
        return found

    with mock.patch.object(feature_columns, "_fit_words", fitted):
        yield


def placements(data: Dataset, cuts: int) -> dict[str, dict[str, np.ndarray]]:
    """NDCG@10 of new films (cuts,), by model and variant."""
    rows = ts.split(data, "new-items").known
    liked, table = np.unique(rows.positives().item), data.item_table
    found: dict[str, dict[str, list[float]]] = {name: {variant: [] for variant in VARIANTS} for name in MODELS}
    for cut in range(cuts):
        chosen = np.random.default_rng(cut).choice(liked, len(liked) // 10, replace=False)
        new = np.isin(rows.item, chosen)
        split = ready_split("films", rows.take(~new), rows.take(new), data)
        wanted = split.test.positives()
        users, films = np.unique(wanted.user), np.unique(wanted.item)
        relevant = wanted.histories().take(users)
        likes = np.bincount(split.train.positives().item, minlength=split.train.n_items)
        known = np.setdiff1d(np.arange(len(likes)), chosen)
        encoded = {}
        for variant in VARIANTS:
            with reading(variant):
                encoder = Encoder.fit(Table({name: column[known] for name, column in table.columns.items()}))
            encoded[variant] = encoder.encode(table, len(likes))
        for name in MODELS:
            score = ts.train(name, split).model.scorer()
            parts = np.array_split(users, 8)
            scores = np.concatenate([score(split.queries(part)).detach().numpy() for part in parts])  # (R, N)
            for variant, items in encoded.items():
                placed = AddedItems.from_features(items, items[films], likes).extend_scores(scores)[:, len(likes) :]
                found[name][variant].append(among(films, placed, relevant))
    return {name: {key: np.array(values) for key, values in one.items()} for name, one in found.items()}


def towers(data: Dataset, variant: str, seeds: int) -> np.ndarray:
    """NDCG@10 of `two_tower` on validation rows (seeds,)."""
    split = ts.split(data, "article").for_validation()
    figures = []
    for seed in range(seeds):
        with reading(variant):
            fit = ts.train("two_tower", split, seed=seed)
        figures.append(ts.evaluate(fit, k=10).mean("ndcg@10"))
    return np.array(figures)


def page(placed: dict[str, dict[str, np.ndarray]], trained: list[tuple[str, np.ndarray]]) -> list[str]:
    """The figures as Markdown."""
    cuts = len(next(iter(placed[MODELS[0]].values())))
    lines = [
        "# Prose",
        "",
        "MovieLens 100K, NDCG@10 on rows that no test holds, measured "
        f"{time.strftime('%Y-%m-%d')} by benchmarks/prose.py.",
        "",
        f"Unseen films placed by their attributes, ranked among themselves; {cuts} cuts, and the difference from "
        '"common words, alike" with its standard error:',
        "",
        "| titles as | " + " | ".join(f"{name} | difference" for name in MODELS) + " |",
        "|---" * (1 + 2 * len(MODELS)) + "|",
    ]
    for variant in VARIANTS:
        cells = [variant + " (now)" * (variant == NOW)]
        for name in MODELS:
            lead = placed[name][variant] - placed[name]["common words, alike"]
            cells += [f"{placed[name][variant].mean():.4f}", f"{lead.mean():+.4f} ± {lead.std() / cuts**0.5:.4f}"]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "`two_tower`, validation rows of `article`, mean and deviation over seeds:", ""]
    lines += ["| titles as | NDCG@10 |", "|---|---|"]
    for variant, figures in trained:
        quality = f"{figures.mean():.4f} ± {figures.std():.4f}"
        now = " (now)" * (variant == "common words")
        lines.append(f"| {variant}{now} | {quality} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    data = ts.load_dataset("ml-100k")
    trained = [(variant, towers(data, variant, asked.seeds)) for variant in ("no titles", *VARIANTS[1:3], NOW)]
    lines = page(placements(data, asked.cuts), trained)
    write_text(RESULTS / "prose.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
