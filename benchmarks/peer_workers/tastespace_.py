"""tastespace itself, handed the same job and measured in the same way.

`settings` are those of `tastespace.train`, and beside them `model`; `likes_only`: low ratings are left out, as the
other libraries do; `search` false: all of `epochs` are trained, and nothing is held out to choose among them.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from job import Job, Judgement, Rows, Worker

import tastespace as ts
from tastespace.data.dataset import Dataset
from tastespace.data.interactions import Interactions
from tastespace.data.split import Split
from tastespace.data.vocabulary import Vocabulary
from tastespace.evaluation import evaluate
from tastespace.evaluation.ranking import rank
from tastespace.training.fit import Fit


def log(job: Job, rows: Rows) -> Interactions:
    """Rows as the library knows them; an index is its own id."""
    users, items = (
        Vocabulary(np.arange(n, dtype=np.int64), noun) for n, noun in zip(job.shape, ("user", "item"), strict=True)
    )
    return Interactions.of(rows.user, rows.item, users, items, weight=rows.weight, time=rows.time)


def split(job: Job, train: Rows) -> Split:
    """The job as a split under its protocol; without test rows where the job has none."""
    known = log(job, train)
    test = known.take(np.zeros(len(known), dtype=bool)) if job.test is None else log(job, job.test)
    about = job.about
    return Split(about["protocol"], Dataset(about["name"], known), known, None, test, about["hidden"])


def fit(job: Job) -> Fit:
    """A trained model."""
    settings = dict(job.settings)
    name = settings.pop("model")
    on = split(job, job.train.likes() if settings.pop("likes_only", False) else job.train)
    if not settings.pop("search", True):
        on = replace(on, validation=on.test)  # it has no rows, so that there is nothing to choose by
    return ts.train(name, on, seed=job.seed, baselines=False, **settings)


def top(job: Job, fitted: Fit) -> np.ndarray:
    """(R, K) the K best unhidden items."""
    on = fitted.split
    hidden = on.hidden_items().take(job.ask)
    return rank(fitted.model.scorer(), on.queries(job.ask), hidden, n_items=job.shape[1], k=job.k)


def note(fitted: Fit) -> Mapping[str, Any]:
    """How many epochs the model was trained for."""
    return {"epochs": fitted.best_epoch}


def judge(job: Job, vectors: tuple[torch.Tensor, torch.Tensor]) -> Judgement:
    """`tastespace.evaluation.evaluate` of another library's vectors, on the split of this job."""
    users, items = vectors
    on = split(job, job.train)

    def run() -> Mapping[str, float]:
        report = evaluate(lambda queries: users[torch.from_numpy(queries.users)] @ items, on, k=job.k)
        return {name.partition("@")[0]: report.mean(name) for name in report.per_user}

    return Judgement("tastespace.evaluation.evaluate", run)


def load(job: Job) -> tuple[torch.Tensor, torch.Tensor]:
    """Another library's vectors: users (U, D), items (D, N)."""
    with np.load(job.settings["vectors"]) as held:
        users = torch.zeros(job.shape[0], held["users"].shape[1])
        users[torch.from_numpy(job.ask)] = torch.from_numpy(held["users"])
        return users, torch.from_numpy(held["items"]).T.contiguous()


def work(job: Job) -> Any:
    """Vectors where the job names a file of them, else a trained model."""
    return load(job) if "vectors" in job.settings else fit(job)


if __name__ == "__main__":
    Worker(work, top, judge, note=note).run()
