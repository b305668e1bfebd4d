"""Transformer: parts of the sequence models. B lists, T positions, Q queries, D dimension.

Histories are ragged; here they become tables with their last item rightmost and PAD at the left. PAD is a mask, not an
item: it has no vector, nothing attends to it, and it can never be recommended. Every list begins with a learnt START
token, so that an empty history is a history like any other.

Unlike the papers, the blocks are not the whole encoder. Each item also has a history vector, one for each kind of
feedback, and the mean of these over the history, newer items weighing more, is added to the output of the blocks:
attention with fixed weights, trained on the same targets. It is a linear autoencoder, which learns from few users
(Steck 2019, "Embarrassingly shallow autoencoders for sparse data"), where the blocks alone overfit.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tastespace.config import AutoFloat, check, option
from tastespace.data.histories import Histories
from tastespace.data.interactions import Interactions
from tastespace.data.queries import Queries
from tastespace.data.split import Split
from tastespace.errors import OptionError
from tastespace.models.base import Options, Range, Shapes
from tastespace.models.parts import batches, objective
from tastespace.models.parts.objective import Objective
from tastespace.models.parts.popularity_prior import popularity_weight
from tastespace.models.spectral import leading_item_vectors

# The schedule is run to its end: what an early epoch gives, at a high learning rate, is a lucky draw.
OPTIONS = Options(
    epochs=30, batch_size=4096, learning_rate=0.006, final_lr_fraction=0.05, patience=30, validate_every=2
)

_TOKENS_PER_QUERY_BATCH = 16_384
_HOTTER = 1.5  # temperature, relative to that of a factorisation
_DISLIKED, _NEUTRAL, _LIKED = 0, 1, 2


@dataclass(frozen=True)
class Sequence(Objective):
    """Dimension, depth and loss of a transformer over histories. The base of a model's config."""

    interaction_temperature: AutoFloat = option(
        "auto", "softmax temperature τ of the first half, which predicts any interaction", usual=(0.1, 2), above=0
    )
    predict: Literal["auto", "next", "anywhere"] = option(
        "auto",
        "predict the next item, or an item missing anywhere in the history; auto: as the protocol tests, else next",
    )
    max_length: int = option(200, "L: most recent items of a history that are read", usual=(20, 500), at_least=1)
    blocks: int = option(1, "transformer blocks", usual=(1, 4), at_least=1, at_most=100)
    heads: int = option(2, "attention heads; dim is split among them", usual=(1, 8), at_least=1)
    transformer_weight: AutoFloat = option(
        "auto", "weight of the transformer's output, beside the mean over the history", usual=(0.1, 1), above=0
    )
    dropout: float = option(0.2, "dropout rate", usual=(0, 0.5), at_least=0, below=1)

    def __post_init__(self) -> None:
        check(self)
        if isinstance(self.dim, int) and self.dim % self.heads:
            raise OptionError(f"dim={self.dim} cannot be shared by heads={self.heads}; choose a multiple of it")

    @property
    def predicts_anywhere(self) -> bool:
        """Whether training predicts an item missing anywhere, rather than the next one."""
        return self.predict == "anywhere"

    def resolve(self, split: Split) -> Self:
        """Resolve "auto" by the loss's rule, and by whether the split's validation rows are the next items."""
        resolved = super().resolve(split)
        if self.predict != "auto":
            return resolved
        return replace(resolved, predict="next" if split.validates_on_newest() else "anywhere")


@dataclass(frozen=True)
class Table:
    """B padded lists: item, feedback (0 disliked, 1 neutral, 2 liked), position from the end, not PAD."""

    items: Tensor  # (B, T) 0 at PAD
    feedback: Tensor  # (B, T)
    positions: Tensor  # (B, T) 0 is the newest
    valid: Tensor  # (B, T) bool

    def to(self, device: torch.device) -> "Table":
        """The table on a device."""
        return Table(*(t.to(device) for t in (self.items, self.feedback, self.positions, self.valid)))


def crop(history: Histories, length: int, skip: NDArray[np.int64] | None = None) -> Histories:
    """The last `length` items of each list, leaving out the `skip` (B,) newest ones."""
    position = history.from_end
    skipped = np.zeros(len(history), np.int64) if skip is None else skip
    first = np.repeat(skipped, history.lengths)
    return history.keep((position >= first) & (position < first + length))


def crop_anywhere(history: Histories, length: int, rng: np.random.Generator) -> Histories:
    """At most `length` consecutive items of each list, from anywhere in it."""
    spare = np.maximum(history.lengths - length, 0)
    return crop(history, length, rng.integers(0, spare + 1))


def shuffled(history: Histories, rng: np.random.Generator) -> Histories:
    """Each list in random order."""
    order = np.lexsort((rng.random(len(history.items)), history.rows))
    return Histories(history.items[order], history.offsets, history.weights[order])


def prefixes(history: Histories) -> Histories:
    """A list for each item (total,): the items before it in its own list."""
    return _slices(history, history.offsets[history.rows], np.arange(len(history.items)))


def suffixes(history: Histories) -> Histories:
    """A list for each item (total,): itself and the items after it in its own list."""
    return _slices(history, np.arange(len(history.items)), history.offsets[1:][history.rows])


def _slices(history: Histories, first: NDArray[np.int64], end: NDArray[np.int64]) -> Histories:
    """The items from `first` up to `end`, both (B,), as B lists."""
    offsets = np.concatenate([[0], np.cumsum(end - first)])
    where = np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], end - first)
    return Histories(history.items[where], offsets, history.weights[where])


def to_table(history: Histories, positions: NDArray[np.int64]) -> Table:
    """Pad the lists to a table as wide as the longest; `positions` (total,) as `Histories.from_end` gives them."""
    shape = (len(history), int(history.lengths.max(initial=0)))
    where = (history.rows, shape[1] - 1 - history.from_end)
    cells = np.zeros((4, *shape), dtype=np.int64)
    for row, value in enumerate((history.items, np.sign(history.weights) + 1, positions, 1)):
        cells[row][where] = value
    items, feedback, position, valid = torch.from_numpy(cells)
    return Table(items, feedback, position, valid.bool())


def batches_by_length(
    lengths: NDArray[np.int64], batch_size: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Lists of similar length together, about `batch_size` items a step, in random order; small logs in 8 steps."""
    noisy = lengths * rng.uniform(0.9, 1.1, len(lengths))
    order = np.argsort(noisy)
    steps = batches.steps(order, lengths[order], batch_size)
    for step in rng.permutation(len(steps)):
        yield steps[step]


def ranges(shapes: Shapes) -> Mapping[str, Range]:
    """Return ranges of recency and temperatures, which are searched with a stand-in, and other options by rule.

    Training a transformer is too long to be part of a search. Its temperature is that of a factorisation, half as much
    again: its vectors, which generalise over histories, are less sharp.

    A catalogue of thousands needs sharper scores and more dimensions, and the blocks learn more than the mean of the
    history from thousands of users only.
    """
    large, many_users = shapes.n_items >= 5000, shapes.n_users >= 5000
    shared = objective.ranges(shapes)
    return {
        "recency": shared["recency"],
        "temperature": shared["temperature"].times(_HOTTER),
        "interaction_temperature": Range.only(0.15) if large else Range((0.15, 0.2, 0.3, 0.45), 0.45),
        "dim": Range.only(128 if large else 64),
        "degree_exponent": Range.only(0.0),
        "transformer_weight": Range.only(1.0 if many_users else 0.1),
        "loss": shared["loss"],
    }


def stand_in(config: Sequence, epochs: int) -> tuple[str, Mapping[str, Any]]:
    """Return a plain factorisation, whose histories are weighted in the same way, at its own temperature."""
    return "mf", {**config.cheaper(epochs), "temperature": config.temperature / _HOTTER}


def step_bytes(config: Sequence, shapes: Shapes, n_rows: int, batch_size: int) -> int:
    """Forecast the bytes of a step: the activations of its histories, and the scores of one query per item."""
    rows = min(n_rows, batch_size + config.max_length)
    activations = 4 * rows * config.blocks * (16 * config.dim + 4 * config.heads * config.max_length)
    return activations + objective.step_bytes(config, shapes, rows)


class Tokens(nn.Module):
    """Token embeddings: item, feedback and position summed, after START."""

    def __init__(self, config: Sequence, n_items: int) -> None:
        super().__init__()
        self.config = config
        self.item = nn.Parameter(torch.randn(n_items, config.dim) * 0.1)  # (N, D)
        self.bias = nn.Parameter(torch.zeros(n_items))  # (N,) of the score, not of the input
        self.feedback = nn.Parameter(torch.randn(3, config.dim) * 0.02)
        self.position = nn.Parameter(torch.randn(config.max_length + 1, config.dim) * 0.02)  # (T + 1, D)
        self.start = nn.Parameter(torch.randn(config.dim) * 0.1)  # (D,)
        self.history_item = nn.Parameter(
            torch.randn(3 * n_items, config.dim) * 0.02
        )  # (3 N, D) by feedback, then item; the history vectors
        self.norm = nn.LayerNorm(config.dim)
        self.drop = nn.Dropout(config.dropout)
        self.register_buffer(
            "feedback_seen", torch.ones(3, dtype=torch.bool)
        )  # kinds of feedback that occur in training
        self.feedback_seen: Tensor
        self.register_buffer("item_length", torch.ones(n_items))  # (N,) of the scored vector
        self.item_length: Tensor

    @torch.no_grad()
    def prepare(self, train: Interactions, log_popularity: Tensor, item_lengths: Tensor) -> None:
        """Initialise item vectors from a truncated SVD, their biases from popularity, and set their lengths."""
        self.item_length = item_lengths
        matrix = train.weighted(np.ones(len(train), dtype=np.float32)).matrix()
        vectors = torch.from_numpy(leading_item_vectors(matrix, self.config.dim).astype(np.float32))  # (N, d <= D)
        vectors = torch.cat([vectors[:, 0::2], vectors[:, 1::2]], dim=1)  # each half gets strong and weak directions
        vectors *= 0.1 / vectors.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-6)
        self.item[:, : vectors.shape[1]] = vectors + 0.1 * self.item[:, : vectors.shape[1]]
        self.history_item[2 * len(self.item) :, : vectors.shape[1]] += vectors
        self.bias.copy_(log_popularity)
        for feedback, weight in ((_DISLIKED, -1), (_NEUTRAL, 0), (_LIKED, 1)):
            self.feedback_seen[feedback] = bool((np.sign(train.weight) == weight).any())

    def with_known_feedback(self, history: Histories) -> Histories:
        """The history without kinds of feedback that never occur in training: their embeddings are not learnt."""
        return history.keep(self.feedback_seen.cpu().numpy()[(np.sign(history.weights) + 1).astype(np.int64)])

    def forward(self, table: Table) -> tuple[Tensor, Tensor]:
        """(B, 1 + T, D) vectors, START first, and (B, 1, 1, 1 + T) which of them may be attended to."""
        inputs = F.embedding(table.items, self.item) + F.embedding(table.feedback, self.feedback)  # (B, T, D)
        inputs = inputs + F.embedding(table.positions, self.position)
        inputs = torch.where(table.valid[..., None], inputs, self.start)  # PAD reads as START
        start = self.start.expand(len(inputs), 1, -1)
        valid = F.pad(table.valid, (1, 0), value=True)
        return self.drop(self.norm(torch.cat([start, inputs], dim=1))), valid[:, None, None, :]

    def history_means(self, table: Table, distance: Tensor, allowed: Tensor | None = None) -> Tensor:
        """(B, Q, D) means of the history vectors (B, T, D), for each of Q queries; 0 where it may see none.

        An item that is n rows further away than the nearest one weighs recency ** n: `distance` ((B,) Q, T) in rows,
        of items that are `allowed` ((B,) Q, T). Where targets are any rows, training weighs all alike.
        """
        vectors = F.embedding(table.feedback * len(self.item) + table.items, self.history_item)  # (B, T, D)
        seen = table.valid[:, None] if allowed is None else table.valid[:, None] & allowed  # (B, Q, T)
        weights = seen.to(vectors)
        if self.config.recency < 1 and not (self.training and self.config.predicts_anywhere):
            further = torch.where(seen, distance, distance.max() + 1)
            weights = weights * self.config.recency ** (further - further.amin(dim=-1, keepdim=True)).to(vectors)
        return (weights @ vectors) / weights.sum(dim=-1, keepdim=True).clamp(min=1)

    def item_vectors(self) -> Tensor:
        """(N, D + 1) item vectors as scored, and their bias."""
        return torch.cat([self.config.scaled(self.item, self.item_length), self.bias[:, None]], dim=1)

    def query_vectors(self, queries: Queries, encode: Callable[[Histories], Tensor]) -> Tensor:
        """(B, D + 1) query vectors: `encode` (b, D) applied to the newest items, lists of similar length together.

        The last coordinate multiplies the item biases: 1, and more for new users with a short history.
        """
        history = crop(self.with_known_feedback(queries.history), self.config.max_length)
        encoded = self.item.new_ones(len(history), self.config.dim + 1)
        encoded[:, -1] += torch.from_numpy(popularity_weight(replace(queries, history=history))).to(encoded.device)
        order = np.argsort(history.lengths, kind="stable")
        steps = np.cumsum(history.lengths[order] + 1) // _TOKENS_PER_QUERY_BATCH
        for rows in np.split(order, np.flatnonzero(np.diff(steps)) + 1):
            if len(rows):
                encoded[torch.from_numpy(rows).to(encoded.device), :-1] = self.config.scaled(encode(history.take(rows)))
        return encoded


class Block(nn.Module):
    """Attention and a feed-forward network, each a residual branch on normalised inputs (pre-norm)."""

    def __init__(self, config: Sequence) -> None:
        super().__init__()
        dim = config.dim
        self.heads = config.heads
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.q_proj = nn.Linear(dim, dim)
        self.kv_proj = nn.Linear(dim, 2 * dim)
        self.out_proj = nn.Linear(dim, dim)
        self.feed_forward = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))
        self.drop = nn.Dropout(config.dropout)

    def forward(self, queries: Tensor, keys: Tensor, allowed: Tensor) -> Tensor:
        """(B, Q, D) `queries` (B, Q, D) after attention to `keys` (B, T, D) where `allowed` (B, 1, Q or 1, T)."""
        query = self._by_head(self.q_proj(self.attention_norm(queries)))  # (B, H, Q, D / H)
        key, value = (self._by_head(x) for x in self.kv_proj(self.attention_norm(keys)).chunk(2, dim=-1))
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)  # (B, H, Q, D / H)
        queries = queries + self.drop(self.out_proj(attended.transpose(1, 2).flatten(2)))
        return queries + self.drop(self.feed_forward(self.feed_forward_norm(queries)))

    def _by_head(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
