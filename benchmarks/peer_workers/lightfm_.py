"""lightfm-next: WARP. It learns from likes alone."""

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp
from job import Job, Judgement, Rows, Vectors, Worker
from lightfm import LightFM
from lightfm.evaluation import recall_at_k

_AT_ONCE = 1024  # users ranked together


def matrix(job: Job, rows: Rows) -> sp.csr_matrix:
    """(U, N) ones where a row says "liked"."""
    likes = rows.likes()
    made = sp.csr_matrix((np.ones(len(likes.user), np.float32), (likes.user, likes.item)), shape=job.shape)
    made.sum_duplicates()
    made.data[:] = 1
    return made


def fit(job: Job) -> LightFM:
    """A trained model."""
    settings = dict(job.settings)
    epochs = settings.pop("epochs")
    model = LightFM(**settings, random_state=job.seed)
    return model.fit(matrix(job, job.train), epochs=epochs, num_threads=job.threads)


def top(job: Job, model: LightFM) -> np.ndarray:
    """(R, K) the largest scores; the library predicts scores, but has no call that gives the best items."""
    likes, found = matrix(job, job.train), vectors(job, model)
    best = np.empty((len(job.ask), job.k), dtype=np.int64)
    for start in range(0, len(job.ask), _AT_ONCE):
        users = job.ask[start : start + _AT_ONCE]
        scores = found.users[start : start + _AT_ONCE] @ found.items.T  # (B, N)
        rows, items = likes[users].nonzero()
        scores[rows, items] = -np.inf
        part = np.argpartition(-scores, job.k, axis=1)[:, : job.k]
        order = np.argsort(-np.take_along_axis(scores, part, axis=1), axis=1, kind="stable")
        best[start : start + len(users)] = np.take_along_axis(part, order, axis=1)
    return best


def judge(job: Job, model: LightFM) -> Judgement:
    """Its `recall_at_k`, which ranks as its other metrics do."""
    assert job.test is not None
    train, test = matrix(job, job.train), matrix(job, job.test)

    def run() -> Mapping[str, float]:
        found = recall_at_k(model, test, train, k=job.k, num_threads=job.threads)
        return {"recall": float(found.mean())}

    return Judgement("lightfm.evaluation.recall_at_k", run)


def vectors(job: Job, model: LightFM) -> Vectors:
    """Its embeddings, with the item's bias as a last coordinate; a user's bias changes no order."""
    _, users = model.get_user_representations()
    biases, items = model.get_item_representations()
    ones = np.ones((len(job.ask), 1), dtype=np.float32)
    return Vectors(np.hstack([users[job.ask], ones]), np.hstack([items, biases[:, None]]))


if __name__ == "__main__":
    Worker(fit, top, judge, vectors).run()
