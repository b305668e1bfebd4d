"""Write the README's tables of models and of results, from the registry and results/quality.json.

.venv/bin/python benchmarks/model_table.py
"""

import json
from pathlib import Path

from tastespace import models

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- models: written by benchmarks/model_table.py -->", "<!-- end of models -->"
PROTOCOLS = ("article", "article-rated", "random-811", "leave-last-out", "new-users")
ORDER = "mf ncf lightgcn bert4rec two_tower sasrec ials ease spectral item_knn popularity recent_popularity".split()


def readme() -> str:
    """Return the README with its tables written from the registry and results/quality.json."""
    measured = json.loads((ROOT / "benchmarks" / "results" / "quality.json").read_text())
    found = {one["protocol"]: {row["model"]: row for row in one["rows"]} for one in measured["comparisons"]}
    names = [*ORDER, *(name for name in models.names() if name not in ORDER)]
    lines = ["| name | what it is | when to pick it |", "|---|---|---|"]
    lines += [f"| `{name}` | {models.get(name).about} | {models.get(name).pick} |" for name in names]
    shown = [protocol for protocol in PROTOCOLS if protocol in found]
    days = {one["protocol"]: one["measured"] for one in measured["comparisons"]}
    dated = " to ".join(sorted({min(days.values()), max(days.values())}))
    lines += [
        "",
        "MovieLens 100K, test rows, Recall@10 / NDCG@10, mean of three seeds, defaults, training seconds of `article`",
        f"({dated}, {measured['measured']}; intervals and all protocols: [quality.md](benchmarks/results/quality.md)):",
        "",
        "| | " + " | ".join(f"`{protocol}`" for protocol in shown) + " | seconds |",
        "|---|" + "---|" * (len(shown) + 1),
    ]
    for name in names:
        rows = [found[protocol].get(name) for protocol in shown]
        figures = ["–" if row is None else f"{row['recall@10']:.4f} / {row['ndcg@10']:.4f}" for row in rows]
        seconds = "–" if rows[0] is None else f"{rows[0]['train_seconds']:.1f}"
        lines.append(f"| `{name}` | " + " | ".join([*figures, seconds]) + " |")
    file = ROOT / "README.md"
    before, rest = file.read_text().split(BEGIN)
    return before + "\n".join([BEGIN, *lines, END]) + rest.split(END)[1]


if __name__ == "__main__":
    (ROOT / "README.md").write_text(readme())
