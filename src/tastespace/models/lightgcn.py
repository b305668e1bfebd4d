"""LightGCN: user and item vectors smoothed over the graph of positives before their inner product.

He et al. 2020, "LightGCN: simplifying and powering graph convolution network for recommendation": a vector is the mean
of K + 1 layers, each layer the mean of the neighbours' vectors in the one before, normalised symmetrically; only layer
0 has weights. Unlike the paper, softmax over the catalogue is the default loss, vectors may start from features, and L2
falls on layer 0 under softmax alone (`layer_l2`): under the other losses on the propagated vectors (`l2`).
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from tastespace.config import AUTO, RelevantWith, option
from tastespace.data.interactions import Interactions
from tastespace.models.base import Factored, Options, Range, Shapes
from tastespace.models.parts import batches, objective
from tastespace.models.parts.batches import Batches
from tastespace.models.parts.fold_in import FoldIn
from tastespace.models.parts.objective import Batch, Objective
from tastespace.models.parts.user_rows import UserRows
from tastespace.models.spectral import normalise_degrees


@dataclass(frozen=True)
class LightGCNConfig(Objective):
    """Layers, then dimension, loss and the options of each loss."""

    layers: int = option(3, "K: graph convolution layers", usual=(1, 4), at_least=0)
    layer_l2: float = option(1e-4, "L2 regularisation λ of the layer-0 vectors (softmax)", usual=(0, 1e-2), at_least=0)

    RELEVANT_WITH: ClassVar[RelevantWith] = {
        **Objective.RELEVANT_WITH,
        "layer_l2": ("loss", ("softmax", "sampled-softmax")),
    }


class LightGCN(Factored):
    """User and item vectors of layer 0, propagated over the graph of positives."""

    about = "vectors propagated over the graph of positives"
    pick = "as accurate as mf, in two to four times its training time; the baseline for graph models"
    Config = LightGCNConfig
    OPTIONS = Options(epochs=40, batch_size=AUTO, patience=6, init="svd")  # a step propagates over all rows
    user_tables, item_tables = ("user",), ("item",)
    config: LightGCNConfig
    user_rows: UserRows
    user_vectors: Tensor
    item_vectors: Tensor
    _batches: Batches
    _graph: "_Graph"

    def __init__(self, config: LightGCNConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        config = self.config
        self.sigmoid = config.loss == "bce"
        self.n_bias = 1
        self.user = nn.Parameter(torch.randn(shapes.n_users, config.dim) * 0.1)  # (U, D) layer 0
        self.item = nn.Parameter(torch.randn(shapes.n_items, config.dim) * 0.1)  # (N, D) layer 0
        self.item_bias = nn.Parameter(torch.zeros(shapes.n_items))  # (N,)
        self.register_buffer("item_length", torch.ones(shapes.n_items))  # (N,)
        self.user_rows = UserRows(shapes.n_users, shapes.n_items, config.dim)
        self.register_buffer("user_vectors", torch.zeros(shapes.n_users, config.dim))  # (U, D) propagated, scaled
        self.register_buffer("item_vectors", torch.zeros(shapes.n_items, config.dim))  # (N, D) propagated, scaled

    @classmethod
    def ranges(cls, shapes: Shapes) -> Mapping[str, Range]:
        """Return those of the objective; the temperature is one for all models of a log."""
        return objective.ranges(shapes)

    @classmethod
    def stand_in(cls, config: Any, epochs: int) -> tuple[str, Mapping[str, Any]] | None:
        """The plain factorisation, for training."""
        return ("mf", config.cheaper(epochs)) if epochs else None

    @classmethod
    def memory_bytes(cls, config: Any, shapes: Shapes, n_rows: int, batch_size: int) -> int:
        """Tables, the layers that a step holds, and the graph in both directions."""
        config = cls.settle_config(config, shapes)
        layer = 4 * config.dim * (shapes.n_users + shapes.n_items)
        step = objective.step_bytes(config, shapes, batches.users_per_step(batch_size, shapes, n_rows))
        return super().memory_bytes(config, shapes, n_rows, batch_size) + 4 * layer + 2 * 12 * n_rows + step

    def prepare(self, train: Interactions) -> None:
        """Build the graph of positives, and note which user rows are trained."""
        self._batches = Batches(self.config, train.histories(), train.n_items)
        self._graph = _Graph(train.positives().matrix())
        self.user_rows.prepare(self._batches.n_positives)
        self.item_length = self._batches.item_lengths()
        if self.config.by_angle:
            with torch.no_grad():
                self.item_bias.copy_(self._batches.log_popularity())

    def batches(self, train: Interactions, rng: np.random.Generator, batch_size: int) -> Iterator[Batch]:
        """Users in random order, each with all their rows."""
        for users in self._batches.users(rng, batch_size):
            yield self._batches.of(users, rng, self.user.device)

    def propagate(self) -> tuple[Tensor, Tensor]:
        """(U, D) and (N, D) mean of layers 0 to K."""
        both = torch.cat([self.user, self.item])  # (U + N, D)
        layer, total = both, both
        for _ in range(self.config.layers):
            layer = self._graph(layer)
            total = total + layer
        return (total / (self.config.layers + 1)).split([len(self.user), len(self.item)])

    def loss(self, batch: Batch) -> Tensor:
        """() the configured loss, per positive, under softmax with L2 on the layer-0 vectors of the batch."""
        users, items = self.propagate()
        loss = objective.loss(self.config, batch, users[batch.users], items, self.item_bias, self.item_length)
        if not self.config.by_angle or self.config.layer_l2 == 0:
            return loss
        squares = self.user[batch.users].square().sum() + self.item.square().sum()
        return loss + 0.5 * self.config.layer_l2 * squares / len(batch.users)

    def train(self, mode: bool = True) -> "LightGCN":
        """Switch mode; leaving training propagates once, so that an evaluation of any length costs one propagation."""
        leaving = self.training and not mode
        super().train(mode)
        if leaving and hasattr(self, "_graph"):
            self._store_propagated()
        return self

    @torch.no_grad()
    def _store_propagated(self) -> None:
        users, items = self.propagate()
        self.user_vectors = self.config.scaled(users)
        self.item_vectors = self.config.scaled(items, self.item_length)

    @torch.no_grad()
    def on_train_end(self, train: Interactions) -> None:
        """Propagate the final weights, and fit the fold-in to the propagated users."""
        self._store_propagated()
        self.user_rows.fit(self.item_vectors, self.user_vectors, self._batches.lists)

    def encode_items(self, features: Tensor | None = None) -> Tensor:
        """(N, D + 1) propagated vectors and bias."""
        return torch.cat([self.item_vectors, self.item_bias[:, None]], dim=1)

    def encode_users(self, users: Tensor) -> Tensor:
        """(B, D + 1) propagated vectors and a coordinate of 1 for the item biases."""
        return torch.cat([self.user_vectors[users], self.item_bias.new_ones(len(users), 1)], dim=1)

    def fold_in(self) -> FoldIn:
        """Mean of the positives' fold-in vectors; under softmax at the length of a user's vector, with a step."""
        items = self.encode_items() if self.config.likelihood_step else None
        return self.user_rows.fold_in(np.ones(1, dtype=np.float32), self.config.scaled_blocks, items, self.recency)


class _Graph:
    """One layer over the graph of positives: D^-1/2 A D^-1/2 X for A = [[0, R], [R^T, 0]], a symmetric matrix."""

    def __init__(self, liked: sp.csr_matrix) -> None:
        normalised = normalise_degrees(liked)
        self._forward, self._back = _torch_csr(normalised), _torch_csr(normalised.T.tocsr())
        self._n_users = liked.shape[0]

    def __call__(self, vectors: Tensor) -> Tensor:
        """(U + N, D) each vector replaced by the weighted sum of its neighbours'."""
        return _Step.apply(vectors, self._product)  # type: ignore[no-untyped-call]

    def _product(self, vectors: Tensor) -> Tensor:
        if self._forward.device != vectors.device:
            self._forward, self._back = self._forward.to(vectors.device), self._back.to(vectors.device)
        users, items = vectors[: self._n_users], vectors[self._n_users :]
        return torch.cat([self._forward @ items, self._back @ users])


class _Step(torch.autograd.Function):
    """The gradient of a symmetric product is the same product: no sparse gradient, no transpose is made."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, product: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.product = product
        return product(vectors)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None]:
        return ctx.product(outer.contiguous()), None


def _torch_csr(matrix: sp.csr_matrix) -> Tensor:
    starts, columns = (torch.from_numpy(part.astype(np.int64)) for part in (matrix.indptr, matrix.indices))
    values = torch.from_numpy(matrix.data.astype(np.float32))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state")
        return torch.sparse_csr_tensor(starts, columns, values, size=matrix.shape, check_invariants=True)


MODEL = LightGCN
