"""RecTools: SASRec. It learns from likes alone, in the order of their times."""

import logging
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from job import Job, Judgement, Rows, Vectors, Worker
from pytorch_lightning import seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.metrics import NDCG, Recall, calc_metrics
from rectools.models import SASRecModel
from rectools.models.rank import Distance, TorchRanker
from scipy import sparse

warnings.filterwarnings("ignore")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


def frame(rows: Rows) -> pd.DataFrame:
    """Likes as the library's table of interactions; equal times keep the order of the log."""
    likes = rows.likes()
    seconds = np.zeros(len(likes.user)) if likes.time is None else likes.time
    when = pd.to_datetime(seconds.astype(np.int64), unit="s") + pd.to_timedelta(np.arange(len(seconds)), unit="ns")
    return pd.DataFrame(
        {Columns.User: likes.user, Columns.Item: likes.item, Columns.Weight: 1.0, Columns.Datetime: when}
    )


def fit(job: Job) -> Any:
    """A model with the dataset that it was trained on."""
    seed_everything(job.seed, verbose=False)
    dataset = Dataset.construct(frame(job.train))
    model = SASRecModel(**job.settings, deterministic=True, recommend_n_threads=job.threads)
    return model.fit(dataset), dataset


def top(job: Job, fitted: Any) -> np.ndarray:
    """(R, K) the library's own recommendations, -1 for users of whom it knows nothing."""
    model, dataset = fitted
    known = job.ask[np.isin(job.ask, dataset.user_id_map.external_ids)]
    found = model.recommend(known, dataset, k=job.k, filter_viewed=True)
    place = np.full(job.shape[0], -1)
    place[job.ask] = np.arange(len(job.ask))
    items = np.full((len(job.ask), job.k), -1, dtype=np.int64)
    items[place[found[Columns.User]], found[Columns.Rank] - 1] = found[Columns.Item]
    return items


def vectors(job: Job, fitted: Any) -> Vectors:
    """Its last hidden states and item embeddings; zeros for whom and what it does not know."""
    model, dataset = fitted
    known = np.asarray(dataset.user_id_map.external_ids)
    asked = model.data_preparator.transform_dataset_u2i(dataset, known)
    loader = model.data_preparator.get_dataloader_recommend(asked, model.recommend_batch_size)
    hidden, embeddings = (
        part.numpy(force=True) for part in model.lightning_model._get_user_item_embeddings(loader, "cpu")
    )
    users = np.zeros((job.shape[0], hidden.shape[1]), dtype=np.float32)
    users[np.asarray(asked.user_id_map.external_ids)] = hidden
    items = np.zeros((job.shape[1], hidden.shape[1]), dtype=np.float32)
    ids = np.asarray(model.data_preparator.item_id_map.external_ids, dtype=object)
    real = np.array([not isinstance(one, str) for one in ids])  # the padding has a name instead
    items[ids[real].astype(np.int64)] = embeddings[real]
    return Vectors(users[job.ask], items)


def judge(job: Job, fitted: Any) -> Judgement:
    """Its ranker and its `calc_metrics`, from the vectors of the model on: the network's own time is left out."""
    assert job.test is not None
    found = vectors(job, fitted)
    likes = job.train.likes()
    hidden = sparse.csr_matrix((np.ones(len(likes.user), np.float32), (likes.user, likes.item)), shape=job.shape)
    hidden = hidden[job.ask]
    held_out = frame(job.test)
    metrics = {"ndcg": NDCG(k=job.k, divide_by_achievable=True), "recall": Recall(k=job.k)}
    users, items = torch.from_numpy(found.users), torch.from_numpy(found.items)

    def run() -> Mapping[str, float]:
        ranker = TorchRanker(Distance.DOT, "cpu", users, items)
        rows, best, _ = ranker.rank(np.arange(len(job.ask)), k=job.k, filter_pairs_csr=hidden)
        reco = pd.DataFrame({Columns.User: job.ask[rows], Columns.Item: best})
        reco[Columns.Rank] = reco.groupby(Columns.User, sort=False).cumcount() + 1
        return {name: float(value) for name, value in calc_metrics(metrics, reco, held_out).items()}

    return Judgement("rectools TorchRanker and calc_metrics", run)


if __name__ == "__main__":
    Worker(fit, top, judge, vectors).run()
