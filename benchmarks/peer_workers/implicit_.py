"""implicit: alternating least squares and BPR. It learns from likes alone."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from implicit.evaluation import ranking_metrics_at_k
from job import Job, Judgement, Rows, Vectors, Worker

KINDS = {"als": AlternatingLeastSquares, "bpr": BayesianPersonalizedRanking}


def matrix(job: Job, rows: Rows) -> sp.csr_matrix:
    """(U, N) ones where a row says "liked"."""
    likes = rows.likes()
    made = sp.csr_matrix((np.ones(len(likes.user), np.float32), (likes.user, likes.item)), shape=job.shape)
    made.sum_duplicates()
    return made


def fit(job: Job) -> Any:
    """A model with its training matrix, which ranking needs."""
    settings = dict(job.settings)
    kind = KINDS[settings.pop("model")]
    model = kind(**settings, num_threads=job.threads, random_state=job.seed)
    likes = matrix(job, job.train)
    model.fit(likes, show_progress=False)
    return model, likes


def top(job: Job, fitted: Any) -> np.ndarray:
    """(R, K) the library's own recommendations."""
    model, likes = fitted
    items, _ = model.recommend(job.ask, likes[job.ask], N=job.k, filter_already_liked_items=True)
    return items


def judge(job: Job, fitted: Any) -> Judgement:
    """Its `ranking_metrics_at_k`."""
    model, likes = fitted
    assert job.test is not None
    test = matrix(job, job.test)

    def run() -> Mapping[str, float]:
        found = ranking_metrics_at_k(model, likes, test, K=job.k, show_progress=False, num_threads=job.threads)
        return {name: float(value) for name, value in found.items()}

    return Judgement("implicit.evaluation.ranking_metrics_at_k", run)


def vectors(job: Job, fitted: Any) -> Vectors:
    """Its factors; a BPR model keeps item biases in the last column, which meets a one on the user's side."""
    model, _ = fitted
    return Vectors(model.user_factors[job.ask], model.item_factors)


if __name__ == "__main__":
    Worker(fit, top, judge, vectors).run()
