"""A small random log, and the scores of a model trained on it."""

import numpy as np
import torch

import tastespace as ts
from tastespace.data.dataset import Dataset
from tastespace.data.interactions import Interactions
from tastespace.data.split import whole
from tastespace.data.vocabulary import Vocabulary


def small(seed: int = 0, n_users: int = 12, n_items: int = 9) -> Dataset:
    rng = np.random.default_rng(seed)
    user, item = np.nonzero(rng.random((n_users, n_items)) < 0.4)
    users, items = (Vocabulary(np.arange(n), noun) for n, noun in ((n_users, "user"), (n_items, "item")))
    time = np.arange(len(user)) * 86_400.0
    return Dataset("small", Interactions.of(user, item, users, items, time=time))


def matrix(data: Dataset) -> np.ndarray:
    return data.interactions.matrix().toarray().astype(np.float64)


def scores(name: str, data: Dataset, **settings: object) -> np.ndarray:
    fit = ts.train(name, whole(data), **settings)
    with torch.inference_mode():
        return fit.model.score(fit.queries(np.arange(data.interactions.n_users))).numpy()
