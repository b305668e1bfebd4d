"""Check-up: the embedding health of a trained model."""

import numpy as np
import torch
from numpy.typing import NDArray

from tastespace.data.queries import Queries
from tastespace.data.split import Split
from tastespace.evaluation import Health
from tastespace.evaluation.health import choose_rows, measure
from tastespace.models.base import Factored, Model

_QUERIES_AT_ONCE = 1024


@torch.no_grad()
def check_health(model: Model, split: Split) -> Health | None:
    """The health of a model's vectors, biases left out; None where it has none of its own.

    Item-item weights (`ease`, `item_knn`) are no embedding. Of large tables a sample is looked at.
    """
    if not isinstance(model, Factored) and not model.learns_by_gradient():
        return None
    items = model.item_embeddings()
    if items is None:
        return None
    liked = split.train.positives()
    per_item = np.bincount(liked.item, minlength=split.train.n_items)
    rows = choose_rows(per_item)
    of_items = measure(items[torch.from_numpy(rows).to(items.device)].cpu().numpy(), per_item, rows)
    per_user = np.bincount(liked.user, minlength=split.train.n_users)
    users, histories = choose_rows(per_user), split.train.histories()
    found = [model.query_embeddings(Queries.of_users(part, histories)) for part in _chunks(users)]
    vectors = [one.cpu().numpy() for one in found if one is not None]
    return Health(of_items, measure(np.concatenate(vectors), per_user, users) if vectors else None)


def _chunks(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [rows[start : start + _QUERIES_AT_ONCE] for start in range(0, len(rows), _QUERIES_AT_ONCE)]
