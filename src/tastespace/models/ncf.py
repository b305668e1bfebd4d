"""NCF: element-wise product and network over user and item vectors, joined (NeuMF).

He et al. 2017, "Neural collaborative filtering".

The GMF path multiplies two vectors element by element, the MLP path concatenates two others and feeds them to
layers; one output layer weighs both. Unlike the paper, softmax over the catalogue is the default loss (see
`objective`): the paper's binary cross-entropy is an option. The first layer over a concatenated pair is the sum of a
user term and an item term, so each is computed once, and only the later layers run for each pair.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tastespace.config import AutoInt, RelevantWith, names, option
from tastespace.data.interactions import Interactions
from tastespace.data.queries import Queries
from tastespace.models.base import Model, Options, Range, Shapes
from tastespace.models.parts import batches, losses, objective
from tastespace.models.parts.batches import Batches
from tastespace.models.parts.fold_in import FoldIn
from tastespace.models.parts.losses import Targets
from tastespace.models.parts.objective import Batch, Objective
from tastespace.models.parts.popularity_prior import popularity_weight
from tastespace.models.parts.user_rows import UserRows

_LAYERS = (64, 32, 16)  # of the MLP path, as in the paper
_CLOSED = 0.01  # share of the MLP path in the first step under softmax, so that initial vectors count as in `mf`
_PAIR_BYTES = (
    8 * 2**20
)  # of the widest layer of the pairs scored at a time; with more it no longer fits the cache (1.7 times slower)


@dataclass(frozen=True)
class NCFConfig(Objective):
    """Paths and their training, then dimension (of both paths together), loss and the options of each loss."""

    dim: AutoInt = option("auto", "embedding dimension of both paths together", usual=(16, 512), at_least=4)
    paths: Literal["both", "gmf", "mlp"] = option("both", "element-wise product, network over the pair, or both")
    pretrain: bool = option(False, "pre-train each path by itself, then both together")
    pretrain_epochs: int = option(5, "epochs of pre-training", usual=(1, 20), at_least=1)
    mlp_weight: float = option(
        0.3, "weight of the MLP path's cosine, relative to the GMF path's (softmax)", usual=(0.1, 1), at_least=0
    )
    dropout: float = option(0.0, "dropout rate of the first layer", usual=(0, 0.5), at_least=0, below=1)
    shortlist: int = option(
        0, "length of a shortlist by the GMF path that is re-ranked; 0: score every item", at_least=0
    )

    RELEVANT_WITH: ClassVar[RelevantWith] = {
        **Objective.RELEVANT_WITH,
        "pretrain_epochs": ("pretrain", (True,)),
        "mlp_weight": ("paths", ("both",)),
        "dropout": ("paths", ("both", "mlp")),
    }

    @property
    def gmf(self) -> Objective:
        """The objective of the GMF path by itself: of half the dimension; the MLP path has the rest."""
        return Objective(**{**{name: getattr(self, name) for name in names(Objective)}, "dim": int(self.dim) // 2})


class NCF(Model):
    """GMF and MLP paths with separate vectors, joined in one output layer."""

    about = "element-wise product and network over the pair (NeuMF)"
    pick = "for comparison with the literature; mf is many times faster and at least as accurate"
    Config = NCFConfig
    OPTIONS = Options(epochs=40, batch_size=5500, patience=8, validate_every=2, init="svd")
    user_tables, item_tables = ("user",), ("item",)
    config: NCFConfig
    epoch: Tensor
    item_length: Tensor
    gmf_share: Tensor
    mlp_share: Tensor
    _batches: Batches

    def __init__(self, config: NCFConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        config = self.config
        self.sigmoid = config.loss in ("bce", "gbce")
        self.gmf_width = int(config.gmf.dim)
        self.table_parts = (self.gmf_width, config.dim - self.gmf_width)
        self.user = nn.Parameter(torch.randn(shapes.n_users, config.dim) * 0.1)  # (U, D) GMF, then MLP
        self.item = nn.Parameter(torch.randn(shapes.n_items, config.dim) * 0.1)  # (N, D)
        self.item_bias = nn.Parameter(torch.zeros(shapes.n_items))  # (N,)
        self.register_buffer("item_length", torch.ones(shapes.n_items))  # (N,) of the GMF path
        if config.paths != "mlp":
            self.product = nn.Parameter(torch.ones(self.gmf_width))  # (D/2,) output weights of the GMF path
        if config.paths != "gmf":
            width = config.dim - self.gmf_width
            self.from_user = nn.Linear(width, _LAYERS[0])
            self.from_item = nn.Linear(width, _LAYERS[0], bias=False)
            self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(_LAYERS))
            self.output = nn.Linear(_LAYERS[-1], 1, bias=False)
        self.user_rows = UserRows(shapes.n_users, shapes.n_items, config.dim)
        self.register_buffer("gmf_share", torch.ones(()))
        self.register_buffer("mlp_share", torch.tensor(config.mlp_weight))
        joins = config.paths == "both" and not config.pretrain and self.config.by_angle
        self.mlp_gate = nn.Parameter(torch.tensor(_CLOSED if joins else 1.0))
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))  # current epoch, from 0
        if config.paths != "gmf":
            with torch.no_grad():
                self.output.weight.mul_(0.1)  # the network starts small, so that the product learns first

    @classmethod
    def ranges(cls, shapes: Shapes) -> Mapping[str, Range]:
        """Return those of the objective, with its dimension for each of the two paths."""
        found = objective.ranges(shapes)
        return {**found, "dim": found["dim"].times(2)}

    @classmethod
    def stand_in(cls, config: Any, epochs: int) -> tuple[str, Mapping[str, Any]]:
        """The plain factorisation, which the GMF path is as long as the network adds nothing."""
        return "mf", config.gmf.cheaper(epochs)

    @classmethod
    def memory_bytes(cls, config: NCFConfig, shapes: Shapes, n_rows: int, batch_size: int) -> int:
        """Tables, and the layers of the pairs of a step: under softmax each of its users with the whole catalogue."""
        config = cls.settle_config(config, shapes)
        users = batches.users_per_step(batch_size, shapes, n_rows)
        items_per_user = shapes.n_items if config.loss == "softmax" else config.shared_negatives + config.negatives
        layers = 4 * 3 * sum(_LAYERS) * users * items_per_user if config.paths != "gmf" else 0
        grid = 4 * 4 * users * shapes.n_items if config.loss == "softmax" else 0  # scores as a whole, and gradients
        return (
            super().memory_bytes(config, shapes, n_rows, batch_size)
            + layers
            + grid
            + objective.step_bytes(config, shapes, users)
        )

    def prepare(self, train: Interactions) -> None:
        """Note which user rows are trained; under softmax item biases start at the logarithm of popularity."""
        self._batches = Batches(self.config, train.histories(), train.n_items)
        self.user_rows.prepare(self._batches.n_positives)
        self.item_length = self._batches.item_lengths()
        if self.config.by_angle:
            with torch.no_grad():
                self.item_bias.copy_(self._batches.log_popularity())

    def batches(self, train: Interactions, rng: np.random.Generator, batch_size: int) -> Iterator[Batch]:
        """Users in random order, each with all their rows."""
        for users in self._batches.users(rng, batch_size):
            yield self._batches.of(users, rng, self.user.device)
        self.epoch += 1
        if self._pretrains and int(self.epoch) == self.config.pretrain_epochs:
            with torch.no_grad():  # the joint model starts from half of either path, as in the paper
                shares, weights = (self.gmf_share, self.mlp_share), (self.product, self.output.weight)
                for tensor in shares if self.config.by_angle else weights:  # under softmax weights count by direction
                    tensor.mul_(0.5)

    @property
    def _pretrains(self) -> bool:
        return self.config.pretrain and self.config.paths == "both"

    def loss(self, batch: Batch) -> Tensor:
        """() the configured loss, per positive; during pre-training the sum of both paths' losses."""
        if self._pretrains and int(self.epoch) < self.config.pretrain_epochs:
            return self._loss_of(batch, gmf=True, mlp=False) + self._loss_of(batch, gmf=False, mlp=True)
        return self._loss_of(batch, gmf=self.config.paths != "mlp", mlp=self.config.paths != "gmf")

    def _loss_of(self, batch: Batch, *, gmf: bool, mlp: bool) -> Tensor:
        users, items, lengths = self.user[batch.users], self.item, self.item_length
        if self.config.loss == "softmax":
            logits = self._grid(users, items, lengths, gmf=gmf, mlp=mlp) + self.item_bias
            interaction_loss = self._interaction_loss(users, items) if gmf else None
            return objective.softmax_loss(self.config, batch, partial(losses.softmax, logits), interaction_loss)
        positive_users, positive_items, drawn = users[batch.rows], items[batch.items], items[batch.negatives]
        own, drawn_lengths, bias = (
            lengths[batch.items][:, None],
            lengths[batch.negatives],
            self.item_bias[batch.negatives],
        )
        positive = self._pairs(positive_users, positive_items[:, None], own, gmf=gmf, mlp=mlp).squeeze(1)
        positive = positive + self.item_bias[batch.items]
        if self.config.loss == "sampled-softmax":
            scores = self._grid(users, drawn, drawn_lengths, gmf=gmf, mlp=mlp)
            return objective.sampled_loss(self.config, batch, positive, scores + bias)
        negative = self._pairs(positive_users, drawn, drawn_lengths, gmf=gmf, mlp=mlp) + bias
        squares = positive_users.square().sum() + positive_items.square().sum() + drawn.square().sum() / drawn.shape[1]
        penalty = 0.5 * self.config.l2 * squares / len(positive)
        return objective.sampled_loss(self.config, batch, positive, negative, len(items)) + penalty

    def _interaction_loss(self, users: Tensor, items: Tensor) -> Callable[[Targets], Tensor]:
        """Softmax cross-entropy of targets among the scores of any interaction: the GMF path's first half."""
        first = self.config.gmf.halves[0][0]
        user_factors, item_factors = self._products(users)[:, :first], self._factors(items, self.item_length)[:, :first]
        return partial(losses.softmax_of_products, user_factors, item_factors, self.item_bias)

    def _factors(self, vectors: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(..., D/2) vectors of the GMF path, as they enter the product; those of items with their `lengths` (...,)."""
        return self.config.gmf.scaled(vectors[..., : self.gmf_width], lengths)

    def _products(self, users: Tensor) -> Tensor:
        """(..., D/2) user vectors of the GMF path times output weights, of which softmax uses the direction."""
        if not self.config.by_angle:
            return self._factors(users) * self.product
        halves = self.product.split([width for width, _ in self.config.gmf.halves])
        direction = torch.cat([F.normalize(half, dim=0) * len(half) ** 0.5 for half in halves])
        return self._factors(users) * (direction * self.gmf_share)

    def _inputs(self, vectors: Tensor) -> Tensor:
        """(..., D/2) vectors of the MLP path, of mean square 1: only their direction counts."""
        inputs = vectors[..., self.gmf_width :]
        return F.normalize(inputs, dim=-1) * inputs.shape[-1] ** 0.5

    def _network(self, first_layer: Tensor) -> Tensor:
        """(...) output of the MLP path for sums (..., 64) of the user term and the item term of its first layer."""
        hidden = F.relu(first_layer)
        if self.config.dropout:
            hidden = F.dropout(hidden, self.config.dropout, self.training)
        for layer in self.layers:
            hidden = F.relu(layer(hidden))
        if not self.config.by_angle:
            output: Tensor = self.output(hidden).squeeze(-1)
            return output
        cosines = F.linear(F.normalize(hidden, dim=-1), F.normalize(self.output.weight, dim=-1)).squeeze(-1)
        return cosines * (self.mlp_gate * self.mlp_share / self.config.temperature)

    def _grid(self, users: Tensor, items: Tensor, lengths: Tensor, *, gmf: bool, mlp: bool) -> Tensor:
        """(B, M) scores of every user (B, D) for every item (M, D) with its length (M,), without bias."""
        scores = users.new_zeros(len(users), len(items))
        if gmf:
            scores = scores + self._products(users) @ self._factors(items, lengths).T
        if mlp and len(users):
            user_terms, item_terms = self.from_user(self._inputs(users)), self.from_item(self._inputs(items))
            chunks = user_terms.split(_users_at_once(len(items)))
            scores = scores + torch.cat([self._network(chunk[:, None] + item_terms) for chunk in chunks])
        return scores

    def _pairs(self, users: Tensor, items: Tensor, lengths: Tensor, *, gmf: bool, mlp: bool) -> Tensor:
        """(P, n) scores of each user (P, D) with items of their own (P, n, D), of lengths (P, n), without bias."""
        scores = users.new_zeros(items.shape[:2])
        if gmf:
            scores = scores + torch.einsum("pd,pnd->pn", self._products(users), self._factors(items, lengths))
        if mlp:
            user_terms, item_terms = self.from_user(self._inputs(users)), self.from_item(self._inputs(items))
            scores = scores + self._network(user_terms[:, None] + item_terms)
        return scores

    def _paths(self) -> dict[str, bool]:
        return {"gmf": self.config.paths != "mlp", "mlp": self.config.paths != "gmf"}

    def _user_encoder(self) -> Callable[[Queries], Tensor]:
        """Encoder to (B, D) vectors of users: their rows, or their folded-in histories."""
        fold_in: list[Callable[[Queries], NDArray[np.float32]]] = []  # built for the first query that needs it

        def encode(queries: Queries) -> Tensor:
            known = self.user_rows.answers(queries, self.recency)
            rows = torch.from_numpy(np.maximum(queries.users, 0)).to(self.user.device)
            vectors = self.user[rows]
            without_row = np.flatnonzero(~known)
            if len(without_row):
                if not fold_in:
                    fold_in.append(self._make_fold_in())
                folded = torch.from_numpy(fold_in[0](queries.take(without_row))).to(vectors)
                vectors = vectors.index_copy(0, torch.from_numpy(without_row).to(vectors.device), folded)
            return vectors

        return encode

    def _encode_users(self, queries: Queries) -> Tensor:
        return self._user_encoder()(queries)

    @torch.no_grad()
    def _make_fold_in(self) -> Callable[[Queries], NDArray[np.float32]]:
        """Fold-in to (B, D) user vectors: the mean for both paths, with a likelihood step for the GMF path."""
        fold, width = self.user_rows.fold.cpu().numpy(), self.gmf_width
        if not self.config.likelihood_step or self.config.paths == "mlp":
            return FoldIn(fold, recency=self.recency)
        ones = self.user.new_ones(1, self.config.dim)
        ranked = self._factors(self.item) * (self._products(ones) / self._factors(ones))  # (N, D/2)
        items = torch.cat([ranked, self.item_bias[:, None]], dim=1).cpu().numpy()
        halves, bias_query = self.config.gmf.halves, np.ones(1, np.float32)
        stepped = FoldIn.with_likelihood_step(fold[:, :width], halves, bias_query, items, recency=self.recency)
        mean = FoldIn(fold[:, width:], recency=self.recency)
        return lambda queries: np.concatenate([stepped(queries)[:, :width], mean(queries)], axis=1)

    @torch.no_grad()
    def on_train_end(self, train: Interactions) -> None:
        """Fit the fold-in to the trained users."""
        self.user_rows.fit(
            self._directions(self.item, self.item_length), self._directions(self.user), self._batches.lists
        )

    def _directions(self, vectors: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(..., D) vectors as they enter the score: scaled for the GMF path, of length 1 for the MLP path."""
        return torch.cat([self._factors(vectors, lengths), F.normalize(vectors[..., self.gmf_width :], dim=-1)], dim=-1)

    def score(self, queries: Queries) -> Tensor:
        """(B, N) scores of the whole catalogue; with a shortlist, all other items rank below it."""
        return self.scorer()(queries)

    def scorer(self) -> Callable[[Queries], Tensor]:
        """Exact scores, a bounded number of pairs at a time."""
        paths, shortlist = self._paths(), self.config.shortlist

        def exact(users: Tensor, bias_query: Tensor) -> Tensor:
            return self._grid(users, self.item, self.item_length, **paths) + bias_query * self.item_bias

        def reranked(users: Tensor, bias_query: Tensor) -> Tensor:
            approximate = self._grid(users, self.item, self.item_length, gmf=True, mlp=False)
            approximate = approximate + bias_query * self.item_bias  # (B, N)
            best = approximate.topk(min(shortlist, len(self.item)), dim=1).indices  # (B, C)
            exact_scores = self._scores_of(users, best, bias_query)
            below = approximate - approximate.amax(dim=1, keepdim=True) + exact_scores.amin(dim=1, keepdim=True) - 1.0
            return below.scatter(1, best, exact_scores)

        score = reranked if shortlist and all(paths.values()) else exact
        encode = self._user_encoder()
        return lambda queries: score(encode(queries), self._bias_query(queries))

    def score_pairs(self, queries: Queries, items: Tensor) -> Tensor:
        """(B, C) scores of the candidate `items` (B, C) alone."""
        return self._scores_of(self._encode_users(queries), items, self._bias_query(queries))

    def _bias_query(self, queries: Queries) -> Tensor:
        """(B, 1) factors of the item biases: 1, and more for new users with a short history."""
        return 1.0 + torch.from_numpy(popularity_weight(queries)).to(self.item.device)[:, None]

    def _scores_of(self, users: Tensor, items: Tensor, bias_query: Tensor) -> Tensor:
        """(B, C) exact scores of candidates, a bounded number of pairs at a time."""
        at_once = _users_at_once(items.shape[1])
        chunks = [
            self._pairs(user, self.item[item], self.item_length[item], **self._paths())
            for user, item in zip(users.split(at_once), items.split(at_once), strict=True)
        ]
        scores = torch.cat(chunks) if chunks else users.new_zeros(0, items.shape[1])
        return scores + bias_query * self.item_bias[items]

    def _embeddings(self, vectors: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(..., D) vectors of both paths, the GMF path's as it enters the product."""
        return torch.cat([self._factors(vectors, lengths), vectors[..., self.gmf_width :]], dim=-1)

    def item_embeddings(self) -> Tensor:
        """(N, D) item vectors of both paths."""
        return self._embeddings(self.item, self.item_length)

    def query_embeddings(self, queries: Queries) -> Tensor:
        """(B, D) user vectors of both paths."""
        return self._embeddings(self._encode_users(queries))


def _users_at_once(n_items: int) -> int:
    """Number of users that are scored together, each with `n_items`."""
    return max(1, _PAIR_BYTES // (4 * _LAYERS[0] * max(1, n_items)))


MODEL = NCF
