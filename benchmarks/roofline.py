"""How close the hot loops come to what the machine can do: results/roofline.json and the table in roofline.md.

    .venv/bin/python benchmarks/roofline.py [--only NAME,...]

Limits are measured first: matrix products, exponentials, and memory, from the cache and from beyond it. Then a
training step, an evaluation and a single answer of every model are timed on MovieLens 100K (`article`, defaults), on
one thread, medians of several; the operations of a step are counted as they run. The time that the machine would need
for the products, the exponentials and the bytes that cannot be avoided, one after the other, is the limit; the share
is that limit over the time taken. Beside it stands what the calls of a step's operations alone take.
"""

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

import tastespace as ts
from figures import median_seconds
from tastespace import models
from tastespace.data.features import Features
from tastespace.data.split import Split
from tastespace.evaluation import Evaluator
from tastespace.models.base import Factored, Model, Options
from tastespace.training import fit as training
from tastespace.training.build import build_model, settle_options, shapes_of
from tastespace.training.optimizer import Adam

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "roofline.json"
DOCUMENT = HERE / "roofline.md"
MARK = "<!-- table: written by benchmarks/roofline.py -->"
GRADIENT = ["mf", "ncf", "lightgcn", "bert4rec", "sasrec", "two_tower"]
CLOSED = ["ials", "ease", "spectral", "item_knn"]
RUNS = 9  # of which the median counts
MANY = 32 * 2**20  # floats, 128 MiB: far beyond any cache here
EXPONENTIALS = {"exp", "exp_", "_softmax", "log_softmax", "logsumexp", "tanh", "sigmoid", "gelu"}


def limits() -> dict[str, float]:
    """What one thread of this machine does a second: GFLOP of products, billions of exponentials, GB moved."""
    square = torch.randn(1024, 1024)
    users, items, scores = torch.randn(256, 64), torch.randn(16_384, 64), torch.empty(256, 16_384)
    small, large = torch.randn(2**18).sub(5), torch.randn(MANY)
    into, beyond = torch.empty_like(small), torch.empty_like(large)
    rows = torch.randint(0, MANY // 64, (200_000,))
    table, gathered = large.view(-1, 64), torch.empty(len(rows), 64)
    eight = torch.zeros(8)

    def calls() -> None:
        for _ in range(1000):
            eight.add_(1.0)

    return {
        "GFLOP/s, square product": 2 * 1024**3 / median_seconds(lambda: square @ square, RUNS) / 1e9,
        "GFLOP/s, 256 users x 16384 items x 64": 2
        * scores.numel()
        * 64
        / median_seconds(lambda: torch.mm(users, items.T, out=scores), RUNS)
        / 1e9,
        "G exponentials/s": small.numel() / median_seconds(lambda: torch.exp(small, out=into), RUNS) / 1e9,
        "GB/s, cache": 2 * small.numel() * 4 / median_seconds(lambda: into.copy_(small), 99) / 1e9,
        "GB/s, memory": 2 * MANY * 4 / median_seconds(lambda: beyond.copy_(large), RUNS) / 1e9,
        "GB/s, rows of 64 floats gathered": len(rows)
        * 256
        / median_seconds(lambda: torch.index_select(table, 0, rows, out=gathered), RUNS)
        / 1e9,
        "us, a call on 8 floats": median_seconds(calls, RUNS) * 1e3,
    }


class Counter(TorchDispatchMode):
    """Counts what tensors are put through: products, exponentials, and the bytes that each operation reads and writes,
    as if nothing stayed in a cache. What numpy and scipy do is not seen."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.flop = 0
        self.exponentials = 0
        self.moved = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        name = func._schema.name.removeprefix("aten::")
        own, given = tensors(found if isinstance(found, tuple | list) else (found,)), tensors(args)
        self.flop += self._products(func, args, kwargs or {}, found, given)
        if name in EXPONENTIALS:
            self.exponentials += sum(r.numel() for r in own)
        self.calls += 1
        if not func.is_view:
            self.moved += sum(bytes_of(t) for t in (*given, *own))
        return found

    @staticmethod
    def _products(func: Any, args: Any, kwargs: Any, found: Any, given: list[Tensor]) -> int:
        count = flop_registry.get(func._overloadpacket)
        if count is None:
            return 0
        sparse = [t for t in given if t.layout is not torch.strided]
        if sparse:
            return 2 * sparse[0].values().numel() * given[-1].shape[-1]
        return int(count(*args, **kwargs, out_val=found))


def bytes_of(tensor: Tensor) -> int:
    """What a tensor takes; of a sparse one its values and columns, or rows."""
    if tensor.layout is torch.sparse_coo:  # a gradient of some rows, not yet coalesced
        return bytes_of(tensor._values()) + bytes_of(tensor._indices())
    if tensor.layout is not torch.strided:
        return 12 * tensor.values().numel()
    return tensor.numel() * tensor.element_size()


def tensors(values: Any) -> list[Tensor]:
    """All tensors in nested arguments."""
    if isinstance(values, Tensor):
        return [values]
    return [t for one in values for t in tensors(one)] if isinstance(values, tuple | list) else []


def made(name: str, on: Split) -> tuple[Model, Options]:
    """An untrained model with the defaults, as `fit` would start it."""
    cls = models.get(name)
    config, options = training.configure(name, {})
    config, options = cls.resolve_config(config, on), settle_options(options, on.train)
    features = Features.of(on.dataset)
    shapes = shapes_of(cls, on, features)
    return build_model(name, config, shapes, options, on.train, features), options


def step(name: str, on: Split) -> dict[str, float]:
    """Operations, bytes and seconds of a training step: the median over an epoch's steps."""
    model, options = made(name, on)
    optimizer = Adam(model.parameters(), options.weight_decay)
    model.train()
    rng = np.random.default_rng(0)
    batches = list(model.batches(on.train, rng, options.batch_size))
    batch = batches[len(batches) // 2]

    def gradient() -> None:
        optimizer.zero_grad()
        model.loss(batch).backward()

    def whole() -> None:
        gradient()
        optimizer.step(options.learning_rate)

    whole()
    with Counter() as counter:
        gradient()
    parameters = sum(p.numel() for p in model.parameters())
    began = time.perf_counter()
    made_batches = len(list(model.batches(on.train, rng, options.batch_size)))
    batching = (time.perf_counter() - began) / made_batches
    return {
        "parameters": parameters,
        "calls": counter.calls,
        "MFLOP": counter.flop / 1e6,
        "M exponentials": counter.exponentials / 1e6,
        "MB moved": (counter.moved + 28 * parameters) / 1e6,
        "MB at least": 28 * parameters / 1e6,
        "ms": median_seconds(whole, RUNS) * 1e3,
        "ms of it optimiser": median_seconds(lambda: optimizer.step(options.learning_rate), RUNS) * 1e3,
        "ms of making a batch": batching * 1e3,
        "steps an epoch": made_batches,
    }


def evaluation(fit: training.Fit, on: Split) -> dict[str, float]:
    """Operations, bytes and seconds of ranking all test users."""
    evaluator = Evaluator(on, 10)
    model = training.model
    scores = len(evaluator.users) * on.train.n_items
    read = 0  # bytes of item-item weights, a row of them for each like of a history
    if training.name == "ease":
        read = 4 * on.train.n_items * int(training.queries(evaluator.users).history.positives().lengths.sum())
    with torch.no_grad(), Counter() as counter:
        evaluator.rank(model.scorer())
    with torch.no_grad():
        seconds = median_seconds(lambda: evaluator.rank(model.scorer()), 5)
    return {
        "MFLOP": counter.flop / 1e6,
        "M exponentials": counter.exponentials / 1e6,
        "MB moved": counter.moved / 1e6,
        "MB at least": (2 * 4 * scores + read) / 1e6,  # every score is written once and read once
        "ms": seconds * 1e3,
    }


def answer(fit: training.Fit, on: Split) -> dict[str, float]:
    """Operations, bytes and seconds of the 10 best items of the most active user, asked of a bundle in memory."""
    row = int(np.bincount(on.train.user).argmax())
    with tempfile.TemporaryDirectory() as folder:
        recommender = ts.Recommender.build(fit, Path(folder) / "bundle")
    user, counter = on.train.users.ids[row], Counter()
    space = training.model.item_embeddings()
    width = on.train.n_items if space is None else space.shape[1]
    if isinstance(training.model, Factored):  # a bundle keeps the vectors of known users: no network is run
        counter.flop = 2 * on.train.n_items * (width + training.model.n_bias)
    else:
        with torch.no_grad(), counter:
            training.model.scorer()(training.queries(np.array([row])))
    return {
        "MFLOP": counter.flop / 1e6,
        "M exponentials": counter.exponentials / 1e6,
        "MB at least": 4 * on.train.n_items * width / 1e6,
        "ms": median_seconds(lambda: recommender.recommend(user, k=10), 99) * 1e3,
    }


def with_share(figures: dict[str, float], machine: dict[str, float]) -> dict[str, float]:
    """The figures with the least time that the machine needs for them, and the share of it in the time taken."""
    products = figures["MFLOP"] / machine["GFLOP/s, 256 users x 16384 items x 64"]
    exponentials = figures["M exponentials"] / machine["G exponentials/s"]
    moved = figures["MB at least"] / machine["GB/s, cache"]
    least = products + exponentials + moved
    found = {**figures, "ms at least": least, "share": least / figures["ms"]}
    if "calls" in figures:
        calls = figures["calls"] * machine["us, a call on 8 floats"] / 1e3
        found |= {"ms of calls": calls, "share with calls": (least + calls) / figures["ms"]}
    return {key: float(f"{value:.4g}") for key, value in found.items()}


def tables(found: dict[str, Any]) -> str:
    """The figures as Markdown: the machine, then one table a loop."""
    lines = [f"Measured {found['date']} on {found['machine']}, one thread.\n", "| limit | measured |", "|---|---|"]
    lines += [f"| {name} | {value:,.1f} |" for name, value in found["limits"].items()]
    for loop in ("training step", "evaluation", "top 10 of one user"):
        columns = list(dict.fromkeys(key for row in found[loop].values() for key in row))
        lines += [
            f"\n**{loop.capitalize()}**\n",
            "| model | " + " | ".join(columns) + " |",
            "|---" * (len(columns) + 1) + "|",
        ]
        for name, row in found[loop].items():
            cells = [f"{row[key]:,.4g}" if key in row else "" for key in columns]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="these models alone; writes no file")
    only = parser.parse_args().only
    torch.set_num_threads(1)
    on = ts.split(ts.load_dataset("ml-100k"), "article")
    found: dict[str, Any] = {"machine": platform.machine(), "date": time.strftime("%Y-%m-%d"), "limits": limits()}
    found |= {"training step": {}, "evaluation": {}, "top 10 of one user": {}}
    for name in GRADIENT + CLOSED if only is None else only.split(","):
        if name in GRADIENT:
            found["training step"][name] = with_share(step(name, on), found["limits"])
        trained = ts.train(name, on, baselines=False, **({"epochs": 2, "refit": False} if name in GRADIENT else {}))
        found["evaluation"][name] = with_share(evaluation(trained, on), found["limits"])
        found["top 10 of one user"][name] = with_share(answer(trained, on), found["limits"])
        print(
            name,
            {loop: rows[name] for loop, rows in found.items() if isinstance(rows, dict) and name in rows},
            flush=True,
        )
    if only is None:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
        text = DOCUMENT.read_text() if DOCUMENT.exists() else f"# Hot loops\n\n{MARK}\n{MARK}\n"
        before, _, after = text.split(MARK)
        DOCUMENT.write_text(f"{before}{MARK}\n\n{tables(found)}\n{MARK}{after}")


if __name__ == "__main__":
    main()
