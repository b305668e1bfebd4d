"""Two towers: what is known of a user becomes a vector, what is known of an item another, and a like is their product.

Huang et al. 2013, "Learning deep structured semantic models for web search using clickthrough data"; Yi et al. 2019,
"Sampling-bias-corrected neural modeling for large corpus item recommendations". The user tower reads a history, user
features and a vector of the user's own; the item tower features and a vector of the item's own. A history is read as
the sum of the item vectors themselves. Any of it may be missing at an answer, so some of it is withheld in training
(Volkovs et al. 2017, "DropoutNet"); an item that a user is asked about is never in the history that is read.
"""

from collections.abc import Callable, Iterator
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
from tastespace.models.base import Factored, Options, Shapes
from tastespace.models.parts import objective
from tastespace.models.parts.contributions import Contributions
from tastespace.models.parts.likelihood_step import LikelihoodStep
from tastespace.models.parts.objective import Batches, Objective
from tastespace.models.parts.popularity_prior import popularity_weight


@dataclass(frozen=True)
class TwoTowerConfig(Objective):
    """What the towers read, then width, loss and what belongs to each loss."""

    hidden: int = option(0, "width of a hidden layer in each tower; 0: none", usual=(64, 512), at_least=0)
    history_share: float = option(0.5, "share of a user's rows that are read; the others are asked", above=0, below=1)
    user_id_dropout: float = option(
        0.2, "share of users whose own vector a step withholds, and of their features", below=1
    )
    item_id_dropout: float = option(0.02, "the same for items, where they have features", at_least=0, below=1)
    pooling_exponent: float = option(0.5, "a history of n items is their sum over n ** this: 0 sum, 1 mean", at_least=0)
    learn_temperature: bool = option(False, "let the temperatures be learnt from where they start (softmax)")


@dataclass(frozen=True)
class Bags:
    """B weighted sets of rows of a table."""

    rows: Tensor  # (total,)
    starts: Tensor  # (B,)
    weights: Tensor  # (total,)

    @classmethod
    def of(cls, matrix: sp.csr_matrix, device: torch.device) -> "Bags":
        """The rows of a sparse matrix (B, M) as sets."""
        arrays = (matrix.indices.astype(np.int64), matrix.indptr[:-1].astype(np.int64), matrix.data.astype(np.float32))
        return cls(*(torch.from_numpy(array).to(device) for array in arrays))

    def sum(self, table: Tensor) -> Tensor:
        """(B, D) weighted sums of the rows of `table` (M, D)."""
        if table.is_cpu:
            return _Sum.apply(table, self)  # type: ignore[no-untyped-call]
        return F.embedding_bag(self.rows, table, self.starts, mode="sum", per_sample_weights=self.weights)


class _Sum(torch.autograd.Function):
    """Sums of bags whose gradient is a sparse product: a third of the time of torch's own, which sorts the rows."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, bags: Bags) -> Tensor:
        ctx.bags, ctx.n_rows = bags, len(table)
        return F.embedding_bag(bags.rows, table, bags.starts, mode="sum", per_sample_weights=bags.weights)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None]:
        bags: Bags = ctx.bags
        bounds = np.append(bags.starts.numpy(), len(bags.rows))
        held = (bags.weights.numpy(), bags.rows.numpy(), bounds)
        across = sp.csc_matrix(held, shape=(ctx.n_rows, len(bags.starts)))
        return torch.from_numpy(across @ outer.numpy()), None


@dataclass(frozen=True)
class Asked:
    """B users as the tower reads them, and the rows that they are asked about."""

    users: Tensor  # (B,)
    own: Tensor  # (B, 1) 0 where the user's own vector is user_id_dropout
    features: Bags
    liked: Bags
    met: Bags
    answers: objective.Batch


class TwoTower(Factored):
    """A user tower over history, features and id, and an item tower over features and id."""

    about = "towers over ids, histories and features"
    pick = "when users or items have attributes, or users come and go: answers from whatever is known"
    Config = TwoTowerConfig
    OPTIONS = Options(epochs=60, batch_size=2750, learning_rate=0.02, patience=6)
    reads_features = True
    user_tables, item_tables = ("user",), ("item",)
    n_bias = 1
    config: TwoTowerConfig
    likes: Tensor
    item_likes: Tensor
    _batches: Batches

    def __init__(self, config: TwoTowerConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        self.sigmoid = config.loss in ("bce", "gbce")
        dim = config.dim
        self.user = nn.Parameter(torch.randn(shapes.n_users, dim) * 0.1)  # (U, D)
        self.item = nn.Parameter(torch.randn(shapes.n_items, dim) * 0.1)  # (N, D)
        self.item_bias = nn.Parameter(torch.zeros(shapes.n_items))  # (N,)
        self.met = nn.Parameter(torch.zeros(shapes.n_items, dim))  # (N, D) what an item met but not liked adds
        self.anybody = nn.Parameter(torch.randn(dim) * 0.1)  # (D,)
        if shapes.user_features:
            self.user_feature = nn.Parameter(torch.zeros(shapes.user_features, dim))  # (F, D)
        if shapes.item_features:
            self.item_feature = nn.Parameter(torch.zeros(shapes.item_features, dim))  # (G, D)
            self.feature_bias = nn.Parameter(torch.zeros(shapes.item_features))  # (G,)
        if config.hidden:
            self.user_network, self.item_network = _network(dim, config.hidden), _network(dim, config.hidden)
        if config.learn_temperature:
            self.log_gain = nn.Parameter(torch.zeros(len(config.halves)))
        self.register_buffer("likes", torch.zeros(shapes.n_users, dtype=torch.int32))  # (U,) items liked in training
        self.register_buffer("item_likes", torch.zeros(shapes.n_items, dtype=torch.int32))  # (N,)
        self.register_buffer("told", torch.zeros(2, dtype=torch.bool))  # whether neutral, disliked rows were met
        self.told: Tensor
        self._described: Features | None = None

    @classmethod
    def memory_bytes(cls, config: Any, shapes: Shapes, n_rows: int, batch_size: int) -> int:
        """Tables, and the scores of a step."""
        users = objective.users_a_step(batch_size, shapes, n_rows)
        return super().memory_bytes(config, shapes, n_rows, batch_size) + objective.step_bytes(config, shapes, users)

    def set_features(self, features: Features) -> None:
        """Keep the features of known users and items."""
        self._described = features

    def prepare(self, train: Interactions) -> None:
        """Note who and what has a row worth using; item biases start at the logarithm of their likes."""
        self._batches = Batches(self.config, train.histories(), train.n_items)
        self.likes = torch.from_numpy(self._batches.n_positives.astype(np.int32))
        liked = train.positives().item
        self.item_likes = torch.from_numpy(np.bincount(liked, minlength=train.n_items).astype(np.int32))
        self.told = torch.tensor([bool((train.weight == 0).any()), bool((train.weight < 0).any())])
        if self.config.by_angle:
            with torch.no_grad():
                self.item_bias.copy_(self._batches.log_popularity())

    def batches(self, train: Interactions, rng: np.random.Generator, batch_size: int) -> Iterator[Asked]:
        """Users in random order; of each some rows to read, the others to be asked about."""
        device = self.item.device
        for users in self._batches.users(rng, batch_size):
            lists = self._batches.lists.take(users)
            told = self._drawn(lists, rng) < self.config.history_share
            asked = lists.keep(~told)
            if not bool((asked.weights > 0).any()):
                told, asked = np.zeros(len(told), dtype=bool), lists
            read = lists.keep(told)
            answers = self._batches.asking(users, asked, rng, device, told=read)
            own, described = (rng.random((2, len(users))) >= self.config.user_id_dropout).astype(np.float32)
            yield Asked(
                torch.from_numpy(users).to(device),
                torch.from_numpy(own).to(device)[:, None],
                Bags.of(sp.diags_array(described) @ self._features_of(users), device),
                *self._pooled(read, device),
                answers,
            )

    def _drawn(self, lists: Histories, rng: np.random.Generator) -> NDArray[np.float64]:
        """(total,) a random number a row, the same for all rows of a user and an item."""
        pairs = lists.pairs(self.shapes.n_items)
        distinct, place = np.unique(pairs, return_inverse=True)
        drawn = rng.random(len(pairs))
        return drawn if len(distinct) == len(pairs) else drawn[place]

    def loss(self, batch: Asked) -> Tensor:
        """() the configured loss, per like asked about."""
        answers, held = batch.answers, None
        if self.config.loss != "softmax":
            answers, held = objective.narrowed(answers)
        items, bias = self._items(held)
        users = self._users(self.user[batch.users] * batch.own, batch.features, batch.liked, batch.met)
        return objective.loss(self.config, answers, users, items, bias, gain=self._gain(), n_items=len(self.item))

    def _users(self, own: Tensor, features: Bags, liked: Bags, met: Bags) -> Tensor:
        """(B, D) raw vectors: what each part of what is known adds up to."""
        found = self.anybody + own + liked.sum(self.item) + met.sum(self.met)
        if self.shapes.user_features:
            found = found + features.sum(self.user_feature)
        return found + self.user_network(found) if self.config.hidden else found

    def _items(self, held: Tensor | None = None, features: Bags | None = None) -> tuple[Tensor, Tensor]:
        """(N, D) raw vectors and (N,) biases of all items, of those `held`, or of new ones with `features` alone."""
        if features is not None:
            found, bias = features.sum(self.item_feature), features.sum(self.feature_bias[:, None]).squeeze(1)
            return found + self.item_network(found) if self.config.hidden else found, bias
        found, bias = (self.item, self.item_bias) if held is None else (self.item[held], self.item_bias[held])
        if self.shapes.item_features:
            own = self._keeps_own(held, bias)
            told = self._item_bags(held)
            found = found * own[:, None] + told.sum(self.item_feature)
            bias = bias * own + told.sum(self.feature_bias[:, None]).squeeze(1)
        return found + self.item_network(found) if self.config.hidden else found, bias

    def _keeps_own(self, held: Tensor | None, like: Tensor) -> Tensor:
        """(M,) 1 where an item's own vector and bias count, 0 where nobody liked it or a step withholds them."""
        liked = (self.item_likes if held is None else self.item_likes[held]) > 0
        if self.training and self.config.item_id_dropout:
            liked = liked & (torch.rand_like(like) >= self.config.item_id_dropout)
        return liked.to(like)

    def _item_bags(self, held: Tensor | None) -> Bags:
        matrix = self._described.items if self._described is not None else None
        if matrix is None:
            matrix = sp.csr_matrix((len(self.item), self.shapes.item_features), dtype=np.float32)
        return Bags.of(matrix if held is None else matrix[held.cpu().numpy()], self.item.device)

    def _features_of(self, users: NDArray[np.int64]) -> sp.csr_matrix:
        """(B, F) features of users; zeros for an index of -1, and for models without any."""
        if self._described is None or self.shapes.user_features == 0:
            return sp.csr_matrix((len(users), self.shapes.user_features), dtype=np.float32)
        found = self._described.users[np.maximum(users, 0)]
        return sp.csr_matrix(sp.diags_array((users >= 0).astype(np.float32)) @ found)

    def _pooled(self, history: Histories, device: torch.device) -> tuple[Bags, Bags]:
        """Liked items as sets, and those met but not liked, as far as training had any of their kind."""
        liked, met = history.positives(), history.keep(self._met(history))
        return self._pool(liked, device), self._pool(met, device)

    def _met(self, history: Histories) -> NDArray[np.bool_]:
        """(total,) rows met but not liked, as far as training had any of their kind."""
        neutral, disliked = self.told.cpu().numpy()
        found: NDArray[np.bool_] = ((history.weights == 0) & neutral) | ((history.weights < 0) & disliked)
        return found

    def _known_of(self, queries: Queries) -> tuple[Tensor, sp.csr_matrix]:
        """(B, D) users' own vectors, zeros where there is none to go by, and their features (B, F)."""
        place = torch.from_numpy(np.maximum(queries.users, 0)).to(self.item.device)
        known = torch.from_numpy(queries.users >= 0).to(self.item.device) & (self.likes[place] > 0)
        told = self._features_of(queries.users) if queries.features is None else sp.csr_matrix(queries.features)
        return self.user[place] * known[:, None], told

    def _pool(self, lists: Histories, device: torch.device) -> Bags:
        weights = np.repeat(np.maximum(lists.lengths, 1.0) ** -self.config.pooling_exponent, lists.lengths)
        arrays = (lists.items.astype(np.int64), lists.offsets[:-1], weights.astype(np.float32))
        return Bags(*(torch.from_numpy(array).to(device) for array in arrays))

    @torch.no_grad()
    def contributions(self, query: Queries, item: int) -> Contributions | None:
        """The sum that the user tower is, each part as long as it is in the whole; None with a hidden layer."""
        if self.config.hidden:
            return None
        items, history = self.encode_items(), query.history
        towards = items[item]
        vector = towards[: self.config.dim]
        everybody = (1.0 + float(popularity_weight(query)[0])) * float(towards[self.config.dim])
        own, told = self._known_of(query)
        liked, met = self._pooled(history, self.item.device)
        rows = [self.anybody, own[0], self.item[liked.rows] * liked.weights[:, None]]
        rows += [self.met[met.rows] * met.weights[:, None]]
        if self.shapes.user_features:
            rows.append(self.user_feature[torch.from_numpy(told.indices)] * torch.from_numpy(told.data)[:, None])
        raw = torch.cat([part.reshape(-1, self.config.dim) for part in rows])  # all that is added up, in this order
        whole = raw.sum(dim=0)
        scaled = self.config.scaled(whole[None, :])[0]
        gain = self._gain()
        scaled = scaled if gain is None else scaled * gain
        found = raw * torch.where(whole == 0, 0.0, scaled / whole)
        climb = self._climb(items)
        if climb is None or query.users[0] >= 0:
            return self._named((found @ vector).double().numpy(), history, told, everybody)
        added, less, scale = climb.terms(scaled.double().numpy(), history)
        towards = scale * vector.double().numpy()
        shares = found.double().numpy() @ towards
        named = self._named(shares, history, told, everybody - float(less @ towards))
        return replace(named, history=named.history + added @ towards)

    def _named(
        self, shares: NDArray[np.float64], history: Histories, told: sp.csr_matrix, everybody: float
    ) -> Contributions:
        """`shares`: of anybody, the user's own vector, liked items, items met, features."""
        liked, met = history.weights > 0, self._met(history)
        added = np.zeros(len(history.items))
        n_liked, n_met = int(liked.sum()), int(met.sum())
        added[liked] = shares[2 : 2 + n_liked]
        added[met] = shares[2 + n_liked : 2 + n_liked + n_met]
        names = self._described.user_encoder.names if self._described is not None else []
        of_features = zip(told.indices.tolist(), shares[2 + n_liked + n_met :].tolist(), strict=True)
        features = {names[place]: share for place, share in of_features}
        return Contributions(added, features, float(shares[1]), everybody + float(shares[0]))

    def _gain(self) -> Tensor | None:
        """(D,) what learnt temperatures multiply a vector by."""
        if not self.config.learn_temperature:
            return None
        widths = torch.tensor([width for width, _ in self.config.halves], device=self.item.device)
        return self.log_gain.exp().repeat_interleave(widths)

    def encode_items(self, features: Tensor | None = None) -> Tensor:
        """(N, D + 1) vectors and bias; with `features` (M, G) those of M new items."""
        if features is None:
            items, bias = self._items()
        else:
            items, bias = self._items(features=Bags.of(sp.csr_matrix(features.cpu().numpy()), self.item.device))
        return torch.cat([self.config.scaled(items), bias[:, None]], dim=1)

    def encode_queries(self, queries: Queries) -> Tensor:
        """(B, D + 1) vectors of whatever a query holds, and a coordinate that meets the item biases."""
        return self.encoder()(queries)

    def encoder(self) -> Callable[[Queries], Tensor]:
        """`encode_queries` for many batches; strangers, without a vector of their own, go a step on."""
        device = self.item.device
        with torch.no_grad():
            climb = self._climb(self.encode_items())

        def encode(queries: Queries) -> Tensor:
            own, told = self._known_of(queries)
            users = self.config.scaled(self._users(own, Bags.of(told, device), *self._pooled(queries.history, device)))
            gain = self._gain()
            users = users if gain is None else users * gain
            strangers = np.flatnonzero(queries.users < 0)
            if climb is not None and len(strangers):
                place = torch.from_numpy(strangers).to(device)
                moved = climb(users[place].detach().cpu().numpy(), queries.history.take(strangers))
                users = users.index_copy(0, place, torch.from_numpy(moved).to(users))
            meets_bias = 1.0 + torch.from_numpy(popularity_weight(queries)).to(device)
            return torch.cat([users, meets_bias[:, None]], dim=1)

        return encode

    def _climb(self, items: Tensor) -> LikelihoodStep | None:
        """How strangers go on among item vectors (N, D + 1), where these are compared by angle."""
        if not self.config.by_angle:
            return None
        return LikelihoodStep(
            items.cpu().numpy(), [width for width, _ in self.config.halves], np.ones(1, dtype=np.float32)
        )


def _network(dim: int, hidden: int) -> nn.Sequential:
    """A hidden layer whose output starts at zero, as it is added to its input."""
    last = nn.Linear(hidden, dim)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), last)


MODEL = TwoTower
