"""ranx: the metrics of lists that others made, one value a user.

Reads lists.npz: `top` (L, R, K), one array of R lists for each of L contenders (-1: nothing there), and the relevant
pairs `user` (P,), a place among the R, and `item` (P,). Writes values.npz: `recall` and `ndcg` (L, R) at `k`.
"""

import json
import sys
from pathlib import Path

import numpy as np
from ranx import Qrels, Run, evaluate


def main() -> None:
    folder = Path(sys.argv[1])
    k = json.loads((folder / "job.json").read_text())["k"]
    with np.load(folder / "lists.npz") as held:
        tops, user, item = held["top"], held["user"], held["item"]
    n = tops.shape[1]
    wanted: dict[str, dict[str, int]] = {f"{row:09d}": {} for row in range(n)}
    for row, one in zip(user.tolist(), item.tolist(), strict=True):
        wanted[f"{row:09d}"][str(one)] = 1
    qrels = Qrels(wanted)
    names = [f"recall@{k}", f"ndcg@{k}"]
    values: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for top in tops:
        lists = {
            # an empty list is none for the library: a name that nobody looks for stands in
            f"{row:09d}": {
                str(one) if one >= 0 else f"none {place}": float(len(items) - place) for place, one in enumerate(items)
            }
            for row, items in enumerate(top.tolist())
        }
        run = Run(lists)
        evaluate(qrels, run, names)
        for name in names:
            scores = run.scores[name]
            values[name].append(np.array([scores[f"{row:09d}"] for row in range(n)]))
    np.savez(folder / "values.npz", recall=np.stack(values[names[0]]), ndcg=np.stack(values[names[1]]))
    (folder / "result.json").write_text("{}")


if __name__ == "__main__":
    main()
