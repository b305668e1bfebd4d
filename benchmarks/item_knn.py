"""`item_knn` beside implicit's neighbourhood models, which see the same rows: results/item_knn.{json,md}.

    .venv/bin/python benchmarks/item_knn.py [--data FOLDER] [--logs few,plays]

Validation rows alone. Of implicit it is the best of cosine, TF-IDF and BM25 with 20 to 200 neighbours each, chosen on
the rows that it is measured on, which favours it. Ours is by defaults, and once more with `recency` 1, as implicit
knows no order. Seconds of one fit with what was chosen, and of the lists of all users asked for, one thread each, in a
process of their own. `--data` names the folder of Amazon Beauty and Gowalla.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import tastespace as ts
from defaults import logs
from peer_jobs import DEEPEST, Part, Task, do, hand_over, lists_of
from peer_settings import IMPLICIT
from peers import judged
from tastespace._atomic import write_text
from tastespace.config import to_mapping

RESULTS = Path(__file__).parent / "results" / "item_knn.json"
NEIGHBOURS = (20, 50, 100, 200)
WEIGHTINGS = ("cosine", "tf-idf", "bm25")
LOGS = ("ml-100k article", "ml-100k leave-last-out", "few", "plays", "shop", "beauty", "gowalla")
_LIMIT = 600.0  # seconds of a job


def measured(task: Task) -> dict[str, Any]:
    """NDCG@10 of a job's lists, and its seconds of fitting and ranking."""
    outcome = do(task, threads=1, limit=_LIMIT)
    if outcome.failed is not None:
        return {"settings": dict(task.settings), "failed": outcome.failed}
    _, ndcg = judged(lists_of(outcome, task.part), task.part)
    seconds = {name: round(float(outcome.result[name]), 3) for name in ("fit_seconds", "rank_seconds")}
    return {"settings": dict(task.settings), "ndcg@10": round(float(ndcg.mean()), 5), **seconds}


def ours(part: Part, split: ts.Split, settings: dict[str, Any]) -> dict[str, Any]:
    """`item_knn` with what its search chooses, fitted once more with that, in a process of its own."""
    chosen = ts.train("item_knn", split, baselines=False, **settings).model.config
    return measured(Task("tastespace_", None, part, {"model": "item_knn", **to_mapping(chosen)}, k=DEEPEST))


def table(results: dict[str, dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "# item_knn beside implicit's neighbourhood models",
        "",
        "Made by `benchmarks/item_knn.py`, which says how. NDCG@10 on validation rows; seconds of fitting and ranking.",
        "",
        "| log | implicit's best | its settings | s | `item_knn`, recency 1 | s | by defaults | s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for log, found in results.items():
        done = [trial for trial in found["implicit"] if "ndcg@10" in trial]
        if not done:
            continue
        best = max(done, key=lambda trial: trial["ndcg@10"])
        settings = f"{best['settings']['weighting']}, {best['settings']['neighbours']}"
        cells = [f"{best['ndcg@10']:.4f}", settings, _seconds(best)]
        for mine in (found["equal rows"], found["defaults"]):
            cells += [f"{mine['ndcg@10']:.4f} ({mine['ndcg@10'] / best['ndcg@10']:.2f})", _seconds(mine)]
        lines.append(f"| {log} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _seconds(trial: dict[str, Any]) -> str:
    return f"{trial['fit_seconds'] + trial['rank_seconds']:.2f}"


def main() -> None:
    """Measure each log, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--logs", default=",".join(LOGS))
    arguments = parser.parse_args()
    results: dict[str, dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for log, make in logs(arguments.data).items():
        if log not in arguments.logs.split(","):
            continue
        split = make()
        part = hand_over(split.for_validation(), 10)
        tried = [
            Task("implicit_neighbours", IMPLICIT, part, {"weighting": weighting, "neighbours": k}, k=DEEPEST)
            for weighting in WEIGHTINGS
            for k in NEIGHBOURS
        ]
        results[log] = {
            "implicit": [measured(task) for task in tried],
            "equal rows": ours(part, split, {"recency": 1.0}),
            "defaults": ours(part, split, {}),
        }
        print(log, results[log]["equal rows"], results[log]["defaults"], flush=True)
        write_text(RESULTS, json.dumps(results, indent=1) + "\n")
        write_text(RESULTS.with_suffix(".md"), table(results))


if __name__ == "__main__":
    main()
