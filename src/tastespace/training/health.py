"""Embedding health of a trained model."""

import numpy as np
import torch
from numpy.typing import NDArray

from tastespace.data.queries import Queries
from tastespace.data.split import Split
from tastespace.evaluation import Health
from tastespace.evaluation.health import choose_rows, measure
from tastespace.models.base import Factored, Model

_QUERIES_AT_ONCE = 1024
_MOST_USERS = 5_000  # sampled, as their histories may be folded in


@torch.no_grad()
def check_health(model: Model, split: Split) -> Health | None:
    """Measure the health of a model's vectors, biases left out; None for a model without embeddings.

    Item-item weights (`ease`, `item_knn`) are not embeddings. Large tables are sampled.
    """
    if not isinstance(model, Factored) and not model.learns_by_gradient():
        return None
    items = model.item_embeddings()
    if items is None:
        return None
    positives = split.train.positives()
    per_item = np.bincount(positives.item, minlength=split.train.n_items)
    rows = choose_rows(per_item)
    item_health = measure(items[torch.from_numpy(rows).to(items.device)].cpu().numpy(), per_item, rows)
    per_user = np.bincount(positives.user, minlength=split.train.n_users)
    users, histories = choose_rows(per_user, _MOST_USERS), split.train.histories()
    batches = [model.query_embeddings(Queries.of_users(chunk, histories)) for chunk in _chunks(users)]
    vectors = [batch.cpu().numpy() for batch in batches if batch is not None]
    return Health(item_health, measure(np.concatenate(vectors), per_user, users) if vectors else None)


def _chunks(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [rows[start : start + _QUERIES_AT_ONCE] for start in range(0, len(rows), _QUERIES_AT_ONCE)]
