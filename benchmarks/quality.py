"""Quality on MovieLens 100K under every protocol, defaults alone, three model seeds: results/quality.json and .md.

.venv/bin/python benchmarks/quality.py
"""

import json
import platform
import time
from pathlib import Path

import tastespace as ts
from tastespace.data.split import names

RESULTS = Path(__file__).parent / "results"
MODELS = ["mf", "spectral"]
SEEDS = 3


def main() -> None:
    data = ts.load_dataset("ml-100k")
    about = f"{time.strftime('%Y-%m-%d')}, {platform.machine()} with 2 cores, model seeds 0 to {SEEDS - 1}"
    lines, found = [f"Measured {about}, by benchmarks/quality.py.\n"], []
    for protocol in names():
        comparison = ts.compare(MODELS, ts.split(data, protocol), seeds=SEEDS)
        figures = comparison.to_json()
        found.append(figures)
        lines += [f"\n{figures['protocol_line']}\n", "| model | Recall@10 | NDCG@10 | coverage | train s | epochs |"]
        lines.append("|---|---|---|---|---|---|")
        for row in sorted(figures["rows"], key=lambda row: -row["ndcg@10"]):
            recall, ndcg = (
                f"{row[m]:.4f} [{row[f'{m}_ci'][0]:.4f}, {row[f'{m}_ci'][1]:.4f}]" for m in ("recall@10", "ndcg@10")
            )
            cells = [row["model"], recall, ndcg, f"{row['coverage@10']:.3f}", f"{row['train_seconds']:.2f}"]
            lines.append("| " + " | ".join([*cells, str(row["epochs"] or "-")]) + " |")
        print("\n".join(lines[-8:]), flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "quality.md").write_text("\n".join(lines) + "\n")
    (RESULTS / "quality.json").write_text(json.dumps({"measured": about, "comparisons": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
