"""Matrix factorisation: one vector a user, one an item; a like is their inner product.

Koren, Bell and Volinsky 2009, "Matrix factorization techniques for recommender systems". The loss decides more than
anything else: softmax over the whole catalogue by default; sampled softmax, BPR (Rendle et al. 2009) and binary
cross-entropy are there to compare with. Under softmax the vectors are compared by angle, divided by a temperature.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tastespace.config import check, option
from tastespace.data.interactions import Interactions
from tastespace.models import losses
from tastespace.models.base import Factored, Options, Shapes
from tastespace.models.fold_in import FoldIn
from tastespace.models.negatives import KnownPairs, uniform_negatives
from tastespace.models.spectral import leading_item_vectors, normalise_degrees


@dataclass(frozen=True)
class Config:
    """Width, loss and what belongs to each loss."""

    dim: int = option(64, "length of the vectors", usual=(16, 512), at_least=1)
    loss: Literal["softmax", "sampled-softmax", "bpr", "bce"] = option(
        "softmax", "softmax over all items, over sampled ones, pairwise (bpr) or pointwise (bce)"
    )
    temperature: float = option(0.35, "divides the cosines under softmax", usual=(0.05, 0.5), above=0)
    candidates: int = option(1024, "items shared by a step under sampled-softmax", usual=(256, 4096), at_least=1)
    negatives: int = option(4, "negatives a positive under bpr and bce", usual=(1, 10), at_least=1)
    regularisation: float = option(0.01, "L2 on the rows of a step under bpr and bce", usual=(0, 0.1), at_least=0)
    start: Literal["spectral", "random"] = option("spectral", "first vectors: leading singular vectors, or noise")

    def __post_init__(self) -> None:
        check(self)

    @property
    def by_angle(self) -> bool:
        """Whether vectors are compared by angle (softmax) or by plain inner product."""
        return self.loss in ("softmax", "sampled-softmax")


@dataclass(frozen=True)
class Batch:
    """Some users with all their likes: P (row of `users`, item, weight) triples; `negatives` (P, n) where asked."""

    users: Tensor  # (B,)
    rows: Tensor  # (P,) places in `users`
    items: Tensor  # (P,)
    weight: Tensor  # (P,)
    negatives: Tensor | None = None  # (P, n), or (M,) under sampled softmax
    hit: Tensor | None = None  # (P, M) candidates that the user likes


class MF(Factored):
    """User and item vectors with biases."""

    about = "matrix factorisation with softmax over the catalogue; the first one to try"
    Config = Config
    OPTIONS = Options(epochs=60, batch_size=5500, learning_rate=0.03, patience=6)
    config: Config
    trained: Tensor

    def __init__(self, config: Config, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        self.user = nn.Parameter(torch.empty(shapes.n_users, config.dim).normal_(std=0.1))  # (U, D)
        self.item = nn.Parameter(torch.empty(shapes.n_items, config.dim).normal_(std=0.1))  # (N, D)
        if not config.by_angle:
            self.item_bias = nn.Parameter(torch.zeros(shapes.n_items))  # (N,)
        if config.loss == "bce":
            self.user_bias = nn.Parameter(torch.zeros(shapes.n_users))  # (U,)
        self.register_buffer("trained", torch.zeros(shapes.n_users, dtype=torch.bool))  # (U,) rows with a like

    def encode_items(self, features: Tensor | None = None) -> Tensor:
        raise NotImplementedError

MODEL = MF
