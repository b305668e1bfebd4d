"""What it costs to know somebody or something by less: results/cold_start.{json,md}.

    .venv/bin/python benchmarks/cold_start.py [--models NAME,...] [--seeds N]

MovieLens 100K, NDCG@10 by `tastespace.measure_cold_start`. For unseen users (`new-users`): the model that never
saw them, asked with their history (session), or with the first few likes of it, beside one that was trained on it too
(warm); asked with their attributes alone, beside what is most liked. Of unseen films (`new-items`), ranked among
themselves: placed by their attributes, beside the mean of their genres' films and films placed at random. Epochs are
chosen on validation rows by NDCG@10, the metric that is reported. With --models, these alone are measured, and take the
place of their rows in the files.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import tastespace as ts
from figures import rounded
from tastespace import models
from tastespace._atomic import write_text

RESULTS = Path(__file__).parent / "results"
MODELS = ("mf", "lightgcn", "two_tower", "ncf", "bert4rec", "sasrec", "ials", "spectral", "ease", "item_knn")
K = 10
METRIC = f"ndcg@{K}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    data, rows = ts.load_dataset("ml-100k"), []
    for name in asked.models.split(","):
        settings = {"metric": METRIC} if models.get(name).learns_by_gradient() else {}
        began = time.perf_counter()
        rows.append(ts.measure_cold_start(name, data, seeds=asked.seeds, k=K, settings=settings).to_json())
        print(name, f"{time.perf_counter() - began:.0f} s", rounded(rows[-1]), flush=True)
    file = RESULTS / "cold_start.json"
    found = {row["model"]: row for row in json.loads(file.read_text())["rows"]} if file.exists() else {}
    found |= {row["model"]: row for row in rounded(rows)}
    document = {
        "measured": time.strftime("%Y-%m-%d"),
        "k": K,
        "rows": [found[name] for name in MODELS if name in found],
    }
    write_text(file, json.dumps(document, indent=1) + "\n")
    write_text(RESULTS / "cold_start.md", "\n".join(page(document)) + "\n")
    print("\n".join(page(document)))


def page(document: dict[str, Any]) -> list[str]:
    """The figures as Markdown."""
    lines = [
        "# Cold start",
        "",
        f"MovieLens 100K, NDCG@10, measured {document['measured']} by benchmarks/cold_start.py; intervals over users",
        "are in cold_start.json.",
    ]
    lines += ["", "Unseen users (`new-users`):", ""]
    lines += ["| model | seeds | trained on their history | folded in | lost | first 10 likes | 5 | 3 | 2 | 1 |"]
    lines[-1] += " attributes alone | most liked |"
    lines += ["|---|" + "---|" * 11]
    for row in document["rows"]:
        of = {one["route"]: one[METRIC] for one in row["users"]}
        cells = [row["model"], str(row["seeds"]), f"{of['warm']:.4f}", f"{of['session']:.4f}"]
        cells += [f"{1 - of['session'] / of['warm']:+.1%}"]
        cells += [f"{of[f'session of {n}']:.4f}" for n in (10, 5, 3, 2, 1)]
        cells += [f"{of['features']:.4f}", f"{of['popular']:.4f}"]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Unseen films (`new-items`), ranked among themselves:", ""]
    lines += ["| model | placed by attributes | mean of their genres | at random | placed / random |"]
    lines += ["|---|---|---|---|---|"]
    for row in document["rows"]:
        of = {one["route"]: one[METRIC] for one in row["items"]}
        cells = [f"{of[key]:.4f}" for key in ("placed", "kind", "random")]
        cells += [f"{of['placed'] / of['random']:.1f}"]
        lines.append("| " + " | ".join([row["model"], *cells]) + " |")
    return lines


if __name__ == "__main__":
    main()
