"""implicit: its neighbourhood models, item vectors of likes compared by cosine, TF-IDF or BM25."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
from job import Job, Worker

KINDS = {"cosine": CosineRecommender, "tf-idf": TFIDFRecommender, "bm25": BM25Recommender}


def fit(job: Job) -> Any:
    """A model with its training matrix, which ranking needs."""
    likes = job.train.likes()
    matrix = sp.csr_matrix((np.ones(len(likes.user), np.float32), (likes.user, likes.item)), shape=job.shape)
    matrix.sum_duplicates()
    model = KINDS[job.settings["weighting"]](K=job.settings["neighbours"], num_threads=job.threads)
    model.fit(matrix, show_progress=False)
    return model, matrix


def top(job: Job, fitted: Any) -> np.ndarray:
    """(R, K) the library's own recommendations; -1 where nothing resembles what the user liked."""
    model, likes = fitted
    items, scores = model.recommend(job.ask, likes[job.ask], N=job.k, filter_already_liked_items=True)
    return np.where(scores > 0, items, -1)


if __name__ == "__main__":
    Worker(fit, top).run()
