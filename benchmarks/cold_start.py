"""What it costs to know somebody or something by less: results/cold_start.{json,md}.

    .venv/bin/python benchmarks/cold_start.py [--models NAME,...] [--seeds N]

MovieLens 100K, NDCG@10 on test rows. Of unseen users (`new-users`): the model that never saw them, asked with their
history (fold-in), beside one that was trained on it too (warm); asked with their attributes alone, beside what is most
liked. Of unseen films (`new-items`), ranked among themselves: placed by their attributes, beside the mean of their
genres' films, the film of which most is known, and films placed at random.
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import tastespace as ts
from figures import rounded
from tastespace import models
from tastespace.atomic import write_text
from tastespace.cold import Newcomers
from tastespace.data.features import Encoder
from tastespace.data.histories import Histories
from tastespace.data.split import Split, ready_split
from tastespace.evaluation import metrics

RESULTS = Path(__file__).parent / "results"
MODELS = ("mf", "lightgcn", "two_tower", "ncf", "bert4rec", "sasrec", "ials", "spectral", "ease", "item_knn")
K = 10


def ndcg(lists: np.ndarray, relevant: Histories, n_items: int) -> float:
    """Mean NDCG@10 of lists (R, K)."""
    hits = metrics.find_hits(lists, relevant, n_items)
    return float(metrics.ndcg(hits, relevant.lengths).mean())


def of_users(name: str, split: Split, seed: int, folder: Path) -> dict[str, float]:
    """NDCG@10 of unseen users by each route."""
    settings = seeded(name, seed)
    fit = ts.train(name, split, **settings)
    recommender = ts.Recommender.build(fit, folder / "strangers")
    given = replace(ready_split(split.dataset.name, split.told, split.test, split.dataset), hidden=split.hidden)
    warm = ts.evaluate(ts.train(name, given, **settings), k=K)
    strangers = np.unique(split.test.positives().user)
    relevant, hidden = split.relevant_items().take(strangers), split.hidden_items().take(strangers)
    by_attributes = np.full((len(strangers), K), -1, dtype=np.int64)
    popular = by_attributes.copy()
    items = split.train.items
    for row, user in enumerate(strangers.tolist()):
        told = {key: value for key, value in split.dataset.user_table.row(user).items() if value is not None}
        told = {key: value for key, value in told.items() if key in known_attributes(recommender)}
        out = items.ids[hidden.take(np.array([row])).items].tolist()
        for lists, features in ((by_attributes, told), (popular, None)):
            answer = recommender.recommend(features=features, exclude=out, k=K)
            lists[row, : len(answer.items)] = items.index_of(list(answer.items))
    return {
        "warm": warm.mean(f"ndcg@{K}"),
        "fold-in": ts.evaluate(fit, k=K).mean(f"ndcg@{K}"),
        "attributes": ndcg(by_attributes, relevant, len(items)),
        "popular": ndcg(popular, relevant, len(items)),
    }


def known_attributes(recommender: ts.Recommender) -> set[str]:
    """Names of the user columns that became features."""
    return {column["name"] for column in recommender.bundle.manifest["attributes"]["users"]}


def of_items(name: str, split: Split, seed: int) -> dict[str, float]:
    """NDCG@10 of unseen films, ranked among themselves, by where they are placed."""
    fit = ts.train(name, split, **seeded(name, seed))
    likes = np.bincount(split.train.positives().item, minlength=split.train.n_items)
    new, liked = np.unique(split.test.positives().item), likes > 0
    table = split.dataset.item_table
    features = Encoder.fit(table).encode(table, split.train.n_items)
    users = np.unique(split.test.positives().user)
    scores = np.concatenate(
        [fit.model.scorer()(split.queries(part)).detach().numpy() for part in np.array_split(users, 8)]
    )  # (R, N)
    genres = split.dataset.item_table["genres"]
    of_genre = {label: [place for place in np.flatnonzero(liked) if label in genres[place]] for label in labels(genres)}
    means = np.stack(
        [
            np.mean([scores[:, of_genre[label]].mean(axis=1) for label in genres[place] if of_genre.get(label)], axis=0)
            if any(of_genre.get(label) for label in genres[place])
            else scores[:, liked].mean(axis=1)
            for place in new
        ],
        axis=1,
    )
    rng = np.random.default_rng(seed)
    placed = Newcomers.of(features, features[new], likes).scored(scores)[:, len(likes) :]
    relevant = split.relevant_items().take(users)
    at_random = [among(new, scores[:, rng.choice(np.flatnonzero(liked), len(new))], relevant) for _ in range(10)]
    return {
        "placed": among(new, placed, relevant),
        "mean of genres": among(new, means, relevant),
        "at random": float(np.mean(at_random)),
    }


def labels(cells: np.ndarray) -> set[str]:
    """Every label of a column."""
    return {label for cell in cells for label in cell}


def among(new: np.ndarray, scores: np.ndarray, relevant: Histories) -> float:
    """NDCG@10 of films `new` (M,), ranked among themselves by their scores (R, M)."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :K]
    return ndcg(new[best], relevant, int(relevant.items.max()) + 1 if len(relevant.items) else 1)


def seeded(name: str, seed: int) -> dict[str, Any]:
    """The seed, for models that have one."""
    return {"seed": seed} if models.get(name).learns_by_gradient() else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    data = ts.load_dataset("ml-100k")
    strangers, films = ts.split(data, "new-users"), ts.split(data, "new-items")
    rows = []
    for name in asked.models.split(","):
        found = []
        for seed in range(asked.seeds if models.get(name).learns_by_gradient() else 1):
            with tempfile.TemporaryDirectory() as folder:
                users = of_users(name, strangers, seed, Path(folder))
            found.append({"users": users, "items": of_items(name, films, seed)})
            print(name, seed, rounded(found[-1]), flush=True)
        means = {
            part: {key: float(np.mean([one[part][key] for one in found])) for key in found[0][part]}
            for part in ("users", "items")
        }
        rows.append({"model": name, "seeds": len(found), **means})
    document = {"measured": time.strftime("%Y-%m-%d"), "k": K, "rows": rows}
    if asked.models == ",".join(MODELS):
        write_text(RESULTS / "cold_start.json", json.dumps(rounded(document), indent=1) + "\n")
        write_text(RESULTS / "cold_start.md", "\n".join(page(document)) + "\n")
    print("\n".join(page(document)))


def page(document: dict[str, Any]) -> list[str]:
    """The figures as Markdown."""
    lines = [
        "# Cold start",
        "",
        f"MovieLens 100K, NDCG@10, measured {document['measured']} by benchmarks/cold_start.py.",
    ]
    lines += ["", "Unseen users (`new-users`):", ""]
    lines += ["| model | seeds | trained on their history | fold-in | lost | attributes alone | most liked |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for row in document["rows"]:
        users = row["users"]
        cells = [row["model"], str(row["seeds"]), f"{users['warm']:.4f}", f"{users['fold-in']:.4f}"]
        cells += [f"{1 - users['fold-in'] / users['warm']:+.1%}"]
        cells += [f"{users['attributes']:.4f}", f"{users['popular']:.4f}"]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Unseen films (`new-items`), ranked among themselves:", ""]
    lines += ["| model | placed by attributes | mean of their genres | at random | placed / random |"]
    lines += ["|---|---|---|---|---|"]
    for row in document["rows"]:
        items = row["items"]
        cells = [f"{items[key]:.4f}" for key in ("placed", "mean of genres", "at random")]
        cells += [f"{items['placed'] / items['at random']:.1f}"]
        lines.append("| " + " | ".join([row["model"], *cells]) + " |")
    return lines


if __name__ == "__main__":
    main()
