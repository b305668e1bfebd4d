"""Matrix factorisation: a vector for each user and item; the score is their inner product.

Koren, Bell and Volinsky 2009, "Matrix factorization techniques for recommender systems". The loss decides more than
anything else: softmax over the whole catalogue by default; sampled softmax, BPR (Rendle et al. 2009) and binary
cross-entropy are available for comparison.

Unlike textbook factorisations, the softmax also learns from items seen and not liked: see `objective`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tastespace.data.interactions import Interactions
from tastespace.models.base import Factored, Options, Range, Shapes
from tastespace.models.parts import batches, objective
from tastespace.models.parts.batches import Batches
from tastespace.models.parts.fold_in import FoldIn
from tastespace.models.parts.objective import Batch, Objective
from tastespace.models.parts.user_rows import UserRows, rows_of


@dataclass(frozen=True)
class MFConfig(Objective):
    """Dimension, loss and the options of each loss."""


class MF(Factored):
    """User and item vectors with biases."""

    about = "matrix factorisation with softmax over the catalogue"
    pick = "the first to try: trains in seconds, learns from low ratings, hard to beat"
    Config = MFConfig
    OPTIONS = Options(epochs=40, batch_size=5500, patience=6, init="svd")
    user_tables, item_tables = ("user",), ("item",)
    config: MFConfig
    user_rows: UserRows
    item_length: Tensor
    _batches: Batches

    def __init__(self, config: MFConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        config = self.config
        self.n_bias = 2 if config.loss == "bce" else 1
        self.sigmoid = config.loss == "bce"
        self.user = nn.Parameter(torch.randn(shapes.n_users, config.dim) * 0.1)  # (U, D)
        self.item = nn.Parameter(torch.randn(shapes.n_items, config.dim) * 0.1)  # (N, D)
        self.item_bias = nn.Parameter(torch.zeros(shapes.n_items))  # (N,)
        self.register_buffer("item_length", torch.ones(shapes.n_items))  # (N,)
        if config.loss == "bce":
            self.user_bias = nn.Parameter(torch.zeros(shapes.n_users))  # (U,) cancels in any ranking loss
        self.user_rows = UserRows(shapes.n_users, shapes.n_items, config.dim)

    @classmethod
    def ranges(cls, shapes: Shapes) -> Mapping[str, Range]:
        """Return those of the objective."""
        return objective.ranges(shapes)

    @classmethod
    def stand_in(cls, config: Any, epochs: int) -> tuple[str, Mapping[str, Any]] | None:
        """Fewer dimensions and negatives, for training."""
        return ("mf", config.cheaper(epochs)) if epochs else None

    @classmethod
    def memory_bytes(cls, config: Any, shapes: Shapes, n_rows: int, batch_size: int) -> int:
        """Tables, and the scores of a step."""
        config = cls.settle_config(config, shapes)
        users = batches.users_per_step(batch_size, shapes, n_rows)
        return super().memory_bytes(config, shapes, n_rows, batch_size) + objective.step_bytes(config, shapes, users)

    def prepare(self, train: Interactions) -> None:
        """Note which user rows are trained; under softmax item biases start at the logarithm of popularity."""
        self._batches = Batches(self.config, train.histories(), train.n_items)
        self.user_rows.prepare(self._batches.n_positives)
        self.item_length = self._batches.item_lengths()
        if self.config.by_angle:  # against sampled negatives popularity alone would look best for too many epochs
            with torch.no_grad():
                self.item_bias.copy_(self._batches.log_popularity())

    def batches(self, train: Interactions, rng: np.random.Generator, batch_size: int) -> Iterator[Batch]:
        """Users in random order, each with all their rows."""
        for users in self._batches.users(rng, batch_size):
            yield self._batches.of(users, rng, self.user.device)

    def loss(self, batch: Batch) -> Tensor:
        """() the configured loss, per positive."""
        user_bias = self.user_bias[batch.users] if self.config.loss == "bce" else None
        users = rows_of(self.user, batch.users)
        return objective.loss(self.config, batch, users, self.item, self.item_bias, self.item_length, user_bias)

    def encode_items(self, features: Tensor | None = None) -> Tensor:
        """(N, D + 1) vectors and bias; under bce a last coordinate of 1 multiplies the user's bias."""
        columns = [self.config.scaled(self.item, self.item_length), self.item_bias[:, None]]
        if self.config.loss == "bce":
            columns.append(torch.ones_like(self.item_bias)[:, None])
        return torch.cat(columns, dim=1)

    def encode_users(self, users: Tensor) -> Tensor:
        """(B, D + 1) vectors and a coordinate of 1 for the item biases; under bce the user's bias follows."""
        columns = [self.config.scaled(self.user[users]), self.item_bias.new_ones(len(users), 1)]
        if self.config.loss == "bce":
            columns.append(self.user_bias[users][:, None])
        return torch.cat(columns, dim=1)

    @torch.no_grad()
    def on_train_end(self, train: Interactions) -> None:
        """Fit the fold-in to the trained users."""
        self.user_rows.fit(
            self.config.scaled(self.item, self.item_length), self.config.scaled(self.user), self._batches.lists
        )

    def fold_in(self) -> FoldIn:
        """Mean of the positives' fold-in vectors; under softmax at the length of a user's vector, with a step."""
        bias_query = np.array([1.0, 0.0] if self.config.loss == "bce" else [1.0], dtype=np.float32)
        items = self.encode_items() if self.config.likelihood_step else None
        return self.user_rows.fold_in(bias_query, self.config.scaled_blocks, items, self.recency)


MODEL = MF
