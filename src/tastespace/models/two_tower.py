"""Two towers: one encodes a user, the other an item; the score is the inner product of both vectors.

Huang et al. 2013, "Learning deep structured semantic models for web search using clickthrough data"; Yi et al. 2019,
"Sampling-bias-corrected neural modeling for large corpus item recommendations". The user tower reads a history, user
features and a vector for the user's id; the item tower features and a vector for the item's id. A history is read as
the sum of the item vectors themselves. Any input may be missing at prediction, so some are dropped in training
(Volkovs et al. 2017, "DropoutNet"); a target item is never part of the history that is read.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tastespace.config import option
from tastespace.data.features import Features
from tastespace.data.histories import Histories
from tastespace.data.interactions import Interactions
from tastespace.data.queries import Queries
from tastespace.models.base import Factored, Options, Range, Shapes
from tastespace.models.parts import batches, objective
from tastespace.models.parts.batches import Batches
from tastespace.models.parts.contributions import Contributions
from tastespace.models.parts.likelihood_step import LikelihoodStep
from tastespace.models.parts.objective import Objective
from tastespace.models.parts.popularity_prior import popularity_weight
from tastespace.models.parts.recency import recency_factors, weighted_by_recency
from tastespace.models.parts.user_rows import rows_of


@dataclass(frozen=True)
class TwoTowerConfig(Objective):
    """Inputs of the towers, then dimension, loss and the options of each loss."""

    hidden: int = option(0, "units of a hidden layer in each tower; 0: none", usual=(64, 512), at_least=0)
    history_share: float = option(
        0.5, "share of a user's rows that are read as history; the others are targets", above=0, below=1
    )
    user_id_dropout: float = option(0.2, "dropout rate of user id vectors, and of user features", below=1)
    item_id_dropout: float = option(
        0.02, "dropout rate of item id vectors, where items have features", at_least=0, below=1
    )
    pooling_exponent: float = option(
        0.5, "exponent of n in the pooled history, sum / n ** exponent; 0: sum, 1: mean", at_least=0
    )
    learn_temperature: bool = option(False, "learn the temperatures τ, starting from the configured ones (softmax)")


@dataclass(frozen=True)
class Bags:
    """B weighted bags of rows of a table."""

    rows: Tensor  # (total,)
    starts: Tensor  # (B,)
    weights: Tensor  # (total,)

    @classmethod
    def of(cls, matrix: sp.csr_matrix, device: torch.device) -> "Bags":
        """Rows of a sparse matrix (B, M) as bags."""
        arrays = (matrix.indices.astype(np.int64), matrix.indptr[:-1].astype(np.int64), matrix.data.astype(np.float32))
        return cls(*(torch.from_numpy(array).to(device) for array in arrays))

    def sum(self, table: Tensor) -> Tensor:
        """(B, D) weighted sums of the rows of `table` (M, D)."""
        if table.is_cpu:
            return _Sum.apply(table, self)  # type: ignore[no-untyped-call]
        return F.embedding_bag(self.rows, table, self.starts, mode="sum", per_sample_weights=self.weights)


class _Sum(torch.autograd.Function):
    """Sums of bags whose gradient is a sparse product: a third of the time of torch's, which sorts the rows."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, bags: Bags) -> Tensor:
        ctx.bags, ctx.n_rows = bags, len(table)
        return F.embedding_bag(bags.rows, table, bags.starts, mode="sum", per_sample_weights=bags.weights)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None]:
        bags: Bags = ctx.bags
        bounds = np.append(bags.starts.numpy(), len(bags.rows))
        arrays = (bags.weights.numpy(), bags.rows.numpy(), bounds)
        transposed = sp.csc_matrix(arrays, shape=(ctx.n_rows, len(bags.starts)))
        return torch.from_numpy(transposed @ outer.numpy()), None


@dataclass(frozen=True)
class TowerBatch:
    """B users as the tower reads them, and their target rows."""

    users: Tensor  # (B,)
    id_mask: Tensor  # (B, 1) 0 where the user's id vector is dropped
    features: Bags
    liked: Bags
    unliked: Bags
    answers: objective.Batch


class TwoTower(Factored):
    """A user tower over history, features and id, and an item tower over features and id."""

    about = "towers over ids, histories and features"
    pick = "when users or items have attributes, or many users are new: encodes whatever is known of them"
    Config = TwoTowerConfig
    OPTIONS = Options(epochs=60, batch_size=2750, patience=6, init="svd")
    reads_features = True
    user_tables, item_tables = ("user",), ("item",)
    n_bias = 1
    config: TwoTowerConfig
    n_positives: Tensor
    item_positives: Tensor
    item_length: Tensor
    _batches: Batches

    def __init__(self, config: TwoTowerConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        config = self.config
        self.sigmoid = config.loss in ("bce", "gbce")
        dim = config.dim
        self.user = nn.Parameter(torch.randn(shapes.n_users, dim) * 0.1)  # (U, D)
        self.item = nn.Parameter(torch.randn(shapes.n_items, dim) * 0.1)  # (N, D)
        self.item_bias = nn.Parameter(torch.zeros(shapes.n_items))  # (N,)
        self.register_buffer("item_length", torch.ones(shapes.n_items))  # (N,)
        self.unliked_item = nn.Parameter(torch.zeros(shapes.n_items, dim))  # (N, D) of items seen but not liked
        self.user_base = nn.Parameter(torch.randn(dim) * 0.1)  # (D,)
        if shapes.user_features:
            self.user_feature = nn.Parameter(torch.zeros(shapes.user_features, dim))  # (F, D)
        if shapes.item_features:
            self.item_feature = nn.Parameter(torch.zeros(shapes.item_features, dim))  # (G, D)
            self.feature_bias = nn.Parameter(torch.zeros(shapes.item_features))  # (G,)
        if config.hidden:
            self.user_network, self.item_network = _network(dim, config.hidden), _network(dim, config.hidden)
        if config.learn_temperature:
            self.log_gain = nn.Parameter(torch.zeros(len(config.halves)))
        self.register_buffer("n_positives", torch.zeros(shapes.n_users, dtype=torch.int32))  # (U,) of the training rows
        self.register_buffer("item_positives", torch.zeros(shapes.n_items, dtype=torch.int32))  # (N,)
        self.register_buffer("unliked_kinds", torch.zeros(2, dtype=torch.bool))  # neutral, disliked rows in training?
        self.unliked_kinds: Tensor
        self._features: Features | None = None

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
        """Tables, and the scores of a step."""
        config = cls.settle_config(config, shapes)
        users = batches.users_per_step(batch_size, shapes, n_rows)
        return super().memory_bytes(config, shapes, n_rows, batch_size) + objective.step_bytes(config, shapes, users)

    def set_features(self, features: Features) -> None:
        """Store the features of known users and items."""
        self._features = features

    def prepare(self, train: Interactions) -> None:
        """Count positives; under softmax item biases start at the logarithm of popularity."""
        self._batches = Batches(self.config, train.histories(), train.n_items)
        self.n_positives = torch.from_numpy(self._batches.n_positives.astype(np.int32))
        liked = train.positives().item
        self.item_positives = torch.from_numpy(np.bincount(liked, minlength=train.n_items).astype(np.int32))
        self.item_length = self._batches.item_lengths()
        self.unliked_kinds = torch.tensor([bool((train.weight == 0).any()), bool((train.weight < 0).any())])
        if self.config.by_angle:
            with torch.no_grad():
                self.item_bias.copy_(self._batches.log_popularity())

    def batches(self, train: Interactions, rng: np.random.Generator, batch_size: int) -> Iterator[TowerBatch]:
        """Users in random order; some rows of each are read as history, the others are targets."""
        device = self.item.device
        for users in self._batches.users(rng, batch_size):
            lists = self._batches.lists.take(users)
            is_history = self._draws(lists, rng) < self.config.history_share
            targets = lists.keep(~is_history)
            if not bool((targets.weights > 0).any()):
                is_history, targets = np.zeros(len(is_history), dtype=bool), lists
            history = lists.keep(is_history)
            answers = self._batches.for_queries(users, targets, rng, device, given=history)
            id_mask, feature_mask = (rng.random((2, len(users))) >= self.config.user_id_dropout).astype(np.float32)
            yield TowerBatch(
                torch.from_numpy(users).to(device),
                torch.from_numpy(id_mask).to(device)[:, None],
                Bags.of(sp.diags_array(feature_mask) @ self._features_of(users), device),
                *self._pooled(history, device),
                answers,
            )

    def _draws(self, lists: Histories, rng: np.random.Generator) -> NDArray[np.float64]:
        """(total,) random number of each row, equal for repeated rows of a user and an item."""
        pairs = lists.pairs(self.shapes.n_items)
        distinct, inverse = np.unique(pairs, return_inverse=True)
        draws = rng.random(len(pairs))
        return draws if len(distinct) == len(pairs) else draws[inverse]

    def loss(self, batch: TowerBatch) -> Tensor:
        """() the configured loss, per target positive."""
        answers, subset = batch.answers, None
        if self.config.loss != "softmax":
            answers, subset = batches.restrict_to_batch(answers)
        items, bias, lengths = self._items(subset)
        users = self._users(rows_of(self.user, batch.users) * batch.id_mask, batch.features, batch.liked, batch.unliked)
        gain, n_items = self._gain(), len(self.item)
        return objective.loss(self.config, answers, users, items, bias, lengths, gain=gain, n_items=n_items)

    def _users(self, id_vectors: Tensor, features: Bags, liked: Bags, unliked: Bags) -> Tensor:
        """(B, D) raw vectors: the sum of all inputs."""
        vectors = self.user_base + id_vectors + liked.sum(self.item)
        if bool(self.unliked_kinds.any()):  # a step over a table without gradients takes as long as any
            vectors = vectors + unliked.sum(self.unliked_item)
        if self.shapes.user_features:
            vectors = vectors + features.sum(self.user_feature)
        return vectors + self.user_network(vectors) if self.config.hidden else vectors

    def _items(self, subset: Tensor | None = None, features: Bags | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """(N, D) raw vectors, (N,) biases and (N,) lengths of all items, of a `subset`, or of new ones with `features`.

        New items have the average length.
        """
        if features is not None:
            vectors, bias = features.sum(self.item_feature), features.sum(self.feature_bias[:, None]).squeeze(1)
            vectors = vectors + self.item_network(vectors) if self.config.hidden else vectors
            return vectors, bias, self._average_length().expand_as(bias)
        vectors, bias, lengths = (
            table if subset is None else table[subset] for table in (self.item, self.item_bias, self.item_length)
        )
        if self.shapes.item_features:
            id_mask = self._item_id_mask(subset, bias)
            item_features = self._item_bags(subset)
            vectors = vectors * id_mask[:, None] + item_features.sum(self.item_feature)
            bias = bias * id_mask + item_features.sum(self.feature_bias[:, None]).squeeze(1)
            lengths = torch.where(id_mask > 0, lengths, self._average_length())
        return vectors + self.item_network(vectors) if self.config.hidden else vectors, bias, lengths

    def _average_length(self) -> Tensor:
        """() geometric mean of the items' lengths."""
        return self.item_length.log().mean().exp()

    def _item_id_mask(self, subset: Tensor | None, like: Tensor) -> Tensor:
        """(M,) 1 where an item's id vector and bias count, 0 where it has no positives or they are dropped."""
        liked = (self.item_positives if subset is None else self.item_positives[subset]) > 0
        if self.training and self.config.item_id_dropout:
            liked = liked & (torch.rand_like(like) >= self.config.item_id_dropout)
        return liked.to(like)

    def _item_bags(self, subset: Tensor | None) -> Bags:
        matrix = self._features.items if self._features is not None else None
        if matrix is None:
            matrix = sp.csr_matrix((len(self.item), self.shapes.item_features), dtype=np.float32)
        return Bags.of(matrix if subset is None else matrix[subset.cpu().numpy()], self.item.device)

    def _features_of(self, users: NDArray[np.int64]) -> sp.csr_matrix:
        """(B, F) features of users; zeros for an index of -1, and for models without any."""
        if self._features is None or self.shapes.user_features == 0:
            return sp.csr_matrix((len(users), self.shapes.user_features), dtype=np.float32)
        features = self._features.users[np.maximum(users, 0)]
        return sp.csr_matrix(sp.diags_array((users >= 0).astype(np.float32)) @ features)

    def _pooled(self, history: Histories, device: torch.device) -> tuple[Bags, Bags]:
        """Bags of liked items, and of those seen but not liked, for kinds of feedback that occur in training."""
        liked, unliked = history.positives(), history.keep(self._unliked(history))
        return self._pool(liked, device), self._pool(unliked, device)

    def _unliked(self, history: Histories) -> NDArray[np.bool_]:
        """(total,) rows seen but not liked, for kinds of feedback that occur in training."""
        neutral, disliked = self.unliked_kinds.cpu().numpy()
        unliked: NDArray[np.bool_] = ((history.weights == 0) & neutral) | ((history.weights < 0) & disliked)
        return unliked

    def _ids_and_features(self, queries: Queries) -> tuple[Tensor, sp.csr_matrix]:
        """(B, D) users' id vectors, zeros where none is trained, and their features (B, F)."""
        rows = torch.from_numpy(np.maximum(queries.users, 0)).to(self.item.device)
        known = torch.from_numpy(self._by_id(queries)).to(self.item.device) & (self.n_positives[rows] > 0)
        features = self._features_of(queries.users) if queries.features is None else sp.csr_matrix(queries.features)
        return self.user[rows] * known[:, None], features

    def _by_id(self, queries: Queries) -> NDArray[np.bool_]:
        """(B,) whether the user's id vector is read: it knows nothing of which rows of a history are new."""
        return (queries.users >= 0) & (self.recency == 1)

    def _pool(self, lists: Histories, device: torch.device) -> Bags:
        weights = np.repeat(np.maximum(lists.lengths, 1.0) ** -self.config.pooling_exponent, lists.lengths)
        if self.recency < 1 and not self.training:  # there targets are any rows, not newer ones
            weights *= recency_factors(lists, self.recency)
        arrays = (lists.items.astype(np.int64), lists.offsets[:-1], weights.astype(np.float32))
        return Bags(*(torch.from_numpy(array).to(device) for array in arrays))

    @torch.no_grad()
    def contributions(self, query: Queries, item: int) -> Contributions | None:
        """Terms of the user tower's sum; None with a hidden layer."""
        if self.config.hidden:
            return None
        items, history = self.encode_items(), query.history
        direction = items[item]
        vector = direction[: self.config.dim]
        baseline = (1.0 + float(popularity_weight(query)[0])) * float(direction[self.config.dim])
        id_vectors, features = self._ids_and_features(query)
        liked, unliked = self._pooled(history, self.item.device)
        rows = [self.user_base, id_vectors[0], self.item[liked.rows] * liked.weights[:, None]]
        rows += [self.unliked_item[unliked.rows] * unliked.weights[:, None]]
        if self.shapes.user_features:
            rows.append(
                self.user_feature[torch.from_numpy(features.indices)] * torch.from_numpy(features.data)[:, None]
            )
        raw = torch.cat([row.reshape(-1, self.config.dim) for row in rows])  # (terms, D)
        total = raw.sum(dim=0)
        scaled = self.config.scaled(total[None, :])[0]
        gain = self._gain()
        scaled = scaled if gain is None else scaled * gain
        terms = raw * torch.where(total == 0, 0.0, scaled / total)
        step = self._likelihood_step(items)
        if step is None or self._by_id(query)[0]:
            return self._by_source((terms @ vector).double().numpy(), history, features, baseline)
        added, expected, scale = step.terms(scaled.double().numpy(), weighted_by_recency(history, self.recency))
        direction = scale * vector.double().numpy()
        shares = terms.double().numpy() @ direction
        by_source = self._by_source(shares, history, features, baseline - float(expected @ direction))
        return replace(by_source, history=by_source.history + added @ direction)

    def _by_source(
        self, shares: NDArray[np.float64], history: Histories, features: sp.csr_matrix, baseline: float
    ) -> Contributions:
        """Contributions from `shares` (terms,): base vector, id vector, liked items, unliked items and features."""
        liked, unliked = history.weights > 0, self._unliked(history)
        added = np.zeros(len(history.items))
        n_liked, n_unliked = int(liked.sum()), int(unliked.sum())
        added[liked] = shares[2 : 2 + n_liked]
        added[unliked] = shares[2 + n_liked : 2 + n_liked + n_unliked]
        names = self._features.user_encoder.names if self._features is not None else []
        feature_shares = shares[2 + n_liked + n_unliked :].tolist()
        by_name = {names[i]: share for i, share in zip(features.indices.tolist(), feature_shares, strict=True)}
        return Contributions(added, by_name, float(shares[1]), baseline + float(shares[0]))

    def _gain(self) -> Tensor | None:
        """(D,) factors of the learnt temperatures."""
        if not self.config.learn_temperature:
            return None
        widths = torch.tensor([width for width, _ in self.config.halves], device=self.item.device)
        return self.log_gain.exp().repeat_interleave(widths)

    def encode_items(self, features: Tensor | None = None) -> Tensor:
        """(N, D + 1) vectors and bias; with `features` (M, G) those of M new items."""
        if features is None:
            items, bias, lengths = self._items()
        else:
            items, bias, lengths = self._items(
                features=Bags.of(sp.csr_matrix(features.cpu().numpy()), self.item.device)
            )
        return torch.cat([self.config.scaled(items, lengths), bias[:, None]], dim=1)

    def encode_queries(self, queries: Queries) -> Tensor:
        """(B, D + 1) vectors of everything that a query holds, and a coordinate for the item biases."""
        return self.encoder()(queries)

    def encoder(self) -> Callable[[Queries], Tensor]:
        """`encode_queries` for many batches; unseen users, without an id vector, take a likelihood step."""
        device = self.item.device
        with torch.no_grad():
            step = self._likelihood_step(self.encode_items())

        def encode(queries: Queries) -> Tensor:
            id_vectors, features = self._ids_and_features(queries)
            users = self.config.scaled(
                self._users(id_vectors, Bags.of(features, device), *self._pooled(queries.history, device))
            )
            gain = self._gain()
            users = users if gain is None else users * gain
            unseen = np.flatnonzero(~self._by_id(queries))
            if step is not None and len(unseen):
                rows = torch.from_numpy(unseen).to(device)
                history = weighted_by_recency(queries.history.take(unseen), self.recency)
                moved = step(users[rows].detach().cpu().numpy(), history)
                users = users.index_copy(0, rows, torch.from_numpy(moved).to(users))
            bias_query = 1.0 + torch.from_numpy(popularity_weight(queries)).to(device)
            return torch.cat([users, bias_query[:, None]], dim=1)

        return encode

    def _likelihood_step(self, items: Tensor) -> LikelihoodStep | None:
        """Likelihood step of unseen users among item vectors (N, D + 1), where it models them (see `Objective`)."""
        if not self.config.likelihood_step:
            return None
        return LikelihoodStep(
            items.cpu().numpy(), [width for width, _ in self.config.halves], np.ones(1, dtype=np.float32)
        )


def _network(dim: int, hidden: int) -> nn.Sequential:
    """A hidden layer whose output starts at zero: a residual branch."""
    last = nn.Linear(hidden, dim)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), last)


MODEL = TwoTower
