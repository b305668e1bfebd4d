"""What was tried on the validation rows before the settings of a claim were fixed: results/published_tuning.{json,md}.

    .venv/bin/python benchmarks/published/tune.py gowalla mf 'dim=128 epochs=8' 'dim=256 epochs=8'

Each candidate is a list of settings that are put on top of the model's own defaults. It is trained on what is left of
the training rows, its epoch picked on a further cut of them, and judged on the claim's validation rows; test rows are
not read. The figures are added to the two files.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from claim import DATA, RESULTS, ROOT, machine

import tastespace as ts
from tastespace._atomic import write_text

FILE = RESULTS.parent / "published_tuning.json"


def judge(data: str, model: str, k: int, settings: dict[str, str], folder: Path) -> dict[str, Any]:
    """Recall@k and NDCG@k of a candidate on the validation rows, with its epochs and seconds."""
    on = DATA[data](folder).for_validation()
    fit = ts.train(model, on, baselines=False, **{"refit": False, **settings})
    report = ts.evaluate(fit, k=k)
    means = [round(report.mean(f"{metric}@{k}"), 4) for metric in ("recall", "ndcg")]
    found = {"data": data, "model": model, "k": k, "settings": settings, "figures": means}
    return {
        **found,
        "epochs": fit.best_epoch,
        "seconds": round(fit.seconds),
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
    }


def table(runs: list[dict[str, Any]]) -> str:
    """All candidates as Markdown, the best of each model first."""
    lines = ["Candidates on validation rows, by benchmarks/published/tune.py; other work ran beside most of them.\n"]
    lines += ["| data | model | settings | Recall@K / NDCG@K | epoch | seconds |", "|---|---|---|---|---|---|"]
    for run in sorted(runs, key=lambda run: (run["data"], run["model"], -run["figures"][1])):
        settings = ", ".join(f"{key} {value}" for key, value in run["settings"].items()) or "defaults"
        figures = " / ".join(f"{value:.4f}" for value in run["figures"])
        cells = [
            f"{run['data']}, K = {run['k']}",
            run["model"],
            settings,
            figures,
            str(run["epochs"]),
            str(run["seconds"]),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def keep(run: dict[str, Any]) -> None:
    """Add a candidate to the files, in place of an earlier run of the same."""
    runs = json.loads(FILE.read_text()) if FILE.exists() else []
    same = ("data", "model", "k", "settings")
    runs = [one for one in runs if any(one[key] != run[key] for key in same)] + [run]
    write_text(FILE, json.dumps(runs, indent=1) + "\n")
    write_text(FILE.with_suffix(".md"), table(runs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=list(DATA))
    parser.add_argument("model")
    parser.add_argument("candidates", nargs="+", help="for example 'dim=128 epochs=8'")
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--data-folder", type=Path, default=ROOT.parent / "shared" / "data")
    asked = parser.parse_args()
    for text in asked.candidates:
        settings = dict(pair.split("=", 1) for pair in text.split())
        run = judge(asked.data, asked.model, asked.k, settings, asked.data_folder)
        print(run, flush=True)
        keep(run)


if __name__ == "__main__":
    main()
