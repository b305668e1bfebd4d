"""Quality on MovieLens 100K under every protocol, defaults alone, three model seeds: results/quality.{json,md}
and, to look at, quality.html.

.venv/bin/python benchmarks/quality.py [--protocol NAME,...]

Finished runs are kept in the cache folder, so that an interrupted benchmark goes on where it stopped. With --protocol,
these alone are measured, and take the place of their figures in the files.
"""

import argparse
import json
import platform
import time
from pathlib import Path

import tastespace as ts
from figures import rounded
from tastespace.data.protocols import names
from tastespace.data.sources import cache_folder
from tastespace.experiments.report import write_page

RESULTS = Path(__file__).parent / "results"
MODELS = ["mf", "ncf", "lightgcn", "bert4rec", "two_tower", "sasrec", "ials", "spectral"]
SEEDS = 3


def table(figures: dict) -> list[str]:
    """A protocol's figures as Markdown."""
    lines = [
        f"\n{figures['protocol_line']}; measured {figures['measured']}\n",
        "| model | Recall@10 | NDCG@10 | coverage | train s | epochs |",
    ]
    lines.append("|---|---|---|---|---|---|")
    for row in sorted(figures["rows"], key=lambda row: -row["ndcg@10"]):
        recall, ndcg = (
            f"{row[m]:.4f} [{row[f'{m}_ci'][0]:.4f}, {row[f'{m}_ci'][1]:.4f}]" for m in ("recall@10", "ndcg@10")
        )
        cells = [row["model"], recall, ndcg, f"{row['coverage@10']:.3f}", f"{row['train_seconds']:.2f}"]
        lines.append("| " + " | ".join([*cells, str(row["epochs"] or "-")]) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--protocol", help="these alone, with commas between")
    asked = parser.parse_args().protocol
    data = ts.load_dataset("ml-100k")
    machine = f"{platform.machine()} with 2 cores, one thread a run and other runs beside it"
    about = f"{machine}, model seeds 0 to {SEEDS - 1}"
    kept = json.loads((RESULTS / "quality.json").read_text())["comparisons"] if asked else []
    found = {one["protocol"]: one for one in kept}
    for protocol in asked.split(",") if asked else names():
        comparison = ts.compare(
            MODELS, ts.split(data, protocol), seeds=SEEDS, results_folder=cache_folder() / "quality"
        )
        found[protocol] = rounded({"measured": time.strftime("%Y-%m-%d"), **comparison.to_json()})
        print("\n".join(table(found[protocol])), flush=True)
    made = [found[protocol] for protocol in names() if protocol in found]
    lines = [f"Measured by benchmarks/quality.py on {about}.\n", *(line for one in made for line in table(one))]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "quality.md").write_text("\n".join(lines) + "\n")
    document = {"measured": about, "comparisons": made}
    (RESULTS / "quality.json").write_text(json.dumps(document, separators=(",", ":")) + "\n")
    write_page(RESULTS / "quality.html", made)


if __name__ == "__main__":
    main()
