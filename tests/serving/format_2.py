"""Write the small bundles that stay in tests/bundles: python -m tests.serving.format_2 tests/bundles."""

import sys
from pathlib import Path

import numpy as np

import tastespace as ts
from tastespace.data.dataset import Dataset, Table
from tastespace.data.split import whole
from tastespace.data.synthetic import checkerboard

SETTINGS = {  # as then
    "loss": "softmax",
    "temperature": 1.2,
    "interaction_temperature": 0.45,
    "shared_negatives": 1024,
    "low_rated": "hidden",
    "degree_exponent": 0.0,
}
NAMES = {"format-2": "mf", "format-2-features": "two_tower"}


def write(model: str, folder: Path) -> ts.Recommender:
    """Write a model of 20 users and 16 items with attributes, one added item, and an index of lists."""
    log = checkerboard(n_users=20, n_items=16).interactions
    kinds = np.array(["even", "odd"], dtype=object)[np.arange(log.n_items) % 2]
    ages = np.arange(log.n_users) % 7 + 20.0
    data = Dataset("checkerboard", log, Table({"kind": kinds}), Table({"age": ages}))
    ts.Recommender.build(ts.train(model, whole(data), dim=4, epochs=5, seed=0, **SETTINGS), folder)
    indexed, _ = ts.Recommender.reindex(folder, kind="ivf", recall=1.0)
    return indexed.with_items({100: {"kind": "even"}}).write(folder, force=True)


if __name__ == "__main__":
    for name, model in NAMES.items():
        write(model, Path(sys.argv[1]) / name)
