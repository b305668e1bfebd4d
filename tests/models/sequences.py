"""Small sequence models, trained or not, and their vectors."""

from typing import Any

import numpy as np
import torch

from tastespace import models
from tastespace.data.histories import Histories
from tastespace.data.interactions import Interactions
from tastespace.data.queries import Queries
from tastespace.models.base import Shapes
from tastespace.training.optimizer import Adam
from tests.build import log

LOSSES = ["softmax", "sampled-softmax", "bpr", "bce", "gbce"]
TINY = log(
    [(0, 0, 1, 1), (0, 1, 1, 2), (0, 2, -1, 3), (0, 3, 0, 4), (1, 1, 1, 1), (1, 4, 1, 2), (1, 2, 1, 3), (2, 5, 1, 1)],
    n_items=8,
)


def made(name: str, rows: Interactions = TINY, **settings: Any) -> Any:
    """A prepared model in evaluation mode, its blocks as strong as can be, so that a law has something to break."""
    torch.manual_seed(0)
    cls = models.get(name)
    config = cls.Config(**{"dim": 8, "blocks": 2, "transformer_weight": 1.0, **settings})
    model = cls(config, Shapes(rows.n_users, rows.n_items))
    model.prepare(rows)
    return model.eval()


def vectors(model: Any, lists: list[list[int]], weights: list[list[float]] | None = None) -> torch.Tensor:
    """(B, D + 1) query vectors of bare histories."""
    with torch.no_grad():
        return model.encode_queries(Queries.of_histories(Histories.of(lists, weights)))


def one_epoch(model: Any, rows: Interactions, size: int = 100) -> list[Any]:
    """The batches of an epoch."""
    return list(model.batches(rows, np.random.default_rng(0), size))


def trained(model: Any, rows: Interactions, epochs: int = 6) -> list[float]:
    """Losses of some epochs of training."""
    rng, optimizer, losses = np.random.default_rng(0), Adam(model.parameters()), []
    model.train()
    for _ in range(epochs):
        total = 0.0
        for batch in model.batches(rows, rng, 1000):
            loss = model.loss(batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step(0.02)
            total += float(loss.detach())
        losses.append(total)
    model.eval()
    return losses
