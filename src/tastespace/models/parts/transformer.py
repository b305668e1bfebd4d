"""Layers: what the transformers over histories share. B lists, T places, Q questions, D dimension.

Histories are ragged; here they become tables with their last item rightmost and PAD at the left. PAD is a mask, not an
item: it has no vector, nothing attends to it, and it can never be recommended. Every list begins with a learned START
that is always there, so that an empty history is a history like any other.

Unlike the papers, blocks do not answer alone. Each item also has a vector that it adds to every answer, one for each
attitude, and the mean of these over the history is what the blocks' answer is put on top of: attention with equal
shares, trained on the same questions. It is a linear autoencoder, which few users suffice to learn (Steck 2019,
"Embarrassingly shallow autoencoders for sparse data"); blocks alone learn the users by heart.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tastespace.config import check, option
from tastespace.data.histories import Histories
from tastespace.data.interactions import Interactions
from tastespace.data.queries import Queries
from tastespace.data.split import Split
from tastespace.errors import OptionError
from tastespace.models.base import Shapes
from tastespace.models.parts import objective
from tastespace.models.parts.objective import Objective
from tastespace.models.parts.popularity_prior import popularity_weight
from tastespace.models.spectral import leading_item_vectors

_TOKENS_A_QUERY_BATCH = 16_384
_DISLIKED, _NEUTRAL, _LIKED = 0, 1, 2


@dataclass(frozen=True)
class Sequence(Objective):
    """Width, depth and loss of a transformer over histories. The base of a model's config."""

    temperature: float = option(0.7, "divides the second half's cosine (softmax)", usual=(0.1, 2), above=0)
    predict: Literal["auto", "next", "anywhere"] = option(
        "auto",
        "what follows, or what is missing anywhere; auto: as the validation rows of a tested protocol, else next",
    )
    max_length: int = option(200, "newest items of a history that are read", usual=(20, 500), at_least=1)
    blocks: int = option(1, "transformer blocks", usual=(1, 4), at_least=1, at_most=100)
    heads: int = option(2, "attention heads; they share the width", usual=(1, 8), at_least=1)
    transformer_weight: float = option(
        0.1, "of the blocks' answer, beside the mean over the history", usual=(0.1, 1), above=0
    )
    dropout: float = option(0.2, "share of a block's output that is dropped", usual=(0, 0.5), at_least=0, below=1)

    def __post_init__(self) -> None:
        check(self)
        if self.dim % self.heads:
            raise OptionError(f"dim={self.dim} cannot be shared by heads={self.heads}; choose a multiple of it")

    @property
    def asks_anywhere(self) -> bool:
        """Whether the question is what is missing anywhere; what follows, if nobody said."""
        return self.predict == "anywhere"

    def resolve(self, split: Split) -> Self:
        """With "auto" settled also by what the split's validation rows ask."""
        settled = super().resolve(split)
        if self.predict != "auto":
            return settled
        return replace(settled, predict="next" if split.validates_on_newest() else "anywhere")


@dataclass(frozen=True)
class Table:
    """B lists side by side: item, attitude (0 disliked, 1 neutral, 2 liked), place from the end; where PAD is not."""

    items: Tensor  # (B, T) 0 at PAD
    attitudes: Tensor  # (B, T)
    places: Tensor  # (B, T) 0 is the newest
    real: Tensor  # (B, T) bool

    def to(self, device: torch.device) -> "Table":
        """The same table on a device."""
        return Table(*(t.to(device) for t in (self.items, self.attitudes, self.places, self.real)))


def from_end(history: Histories) -> NDArray[np.int64]:
    """(total,) the place of each item counted from its list's end: 0 is the newest."""
    return np.repeat(history.offsets[1:], history.lengths) - 1 - np.arange(len(history.items))


def crop(history: Histories, length: int, skip: NDArray[np.int64] | None = None) -> Histories:
    """The last `length` items of each list, leaving out the `skip` (B,) newest ones."""
    place = from_end(history)
    skipped = np.zeros(len(history), np.int64) if skip is None else skip
    first = np.repeat(skipped, history.lengths)
    return history.keep((place >= first) & (place < first + length))


def crop_anywhere(history: Histories, length: int, rng: np.random.Generator) -> Histories:
    """At most `length` items in a row of each list, from anywhere in it."""
    spare = np.maximum(history.lengths - length, 0)
    return crop(history, length, rng.integers(0, spare + 1))


def shuffled(history: Histories, rng: np.random.Generator) -> Histories:
    """Each list in random order."""
    order = np.lexsort((rng.random(len(history.items)), history.rows))
    return Histories(history.items[order], history.offsets, history.weights[order])


def before_each(history: Histories) -> Histories:
    """A list for each item (total,): what stands before it in its own list."""
    return _runs(history, history.offsets[history.rows], np.arange(len(history.items)))


def from_each(history: Histories) -> Histories:
    """A list for each item (total,): itself, and what stands after it in its own list."""
    return _runs(history, np.arange(len(history.items)), history.offsets[1:][history.rows])


def _runs(history: Histories, first: NDArray[np.int64], end: NDArray[np.int64]) -> Histories:
    """The items from `first` up to `end`, both (B,), as B lists."""
    offsets = np.concatenate([[0], np.cumsum(end - first)])
    where = np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], end - first)
    return Histories(history.items[where], offsets, history.weights[where])


def lay_out(history: Histories, places: NDArray[np.int64]) -> Table:
    """The lists as a table as wide as the longest; `places` (total,) as `from_end`, or what is left of it."""
    shape = (len(history), int(history.lengths.max(initial=0)))
    where = (history.rows, shape[1] - 1 - from_end(history))
    table = np.zeros((4, *shape), dtype=np.int64)
    for row, value in enumerate((history.items, np.sign(history.weights) + 1, places, 1)):
        table[row][where] = value
    items, attitudes, place, real = torch.from_numpy(table)
    return Table(items, attitudes, place, real.bool())


def by_length(lengths: NDArray[np.int64], batch_size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Lists of like length together, about `batch_size` items a step, in random order; small logs in 8 steps."""
    noisy = lengths * rng.uniform(0.9, 1.1, len(lengths))
    order = np.argsort(noisy)
    parts = objective.steps(order, lengths[order], batch_size)
    for place in rng.permutation(len(parts)):
        yield parts[place]


def step_bytes(config: Sequence, shapes: Shapes, n_rows: int, batch_size: int) -> int:
    """Forecast of what a step takes: the activations of its histories, and the scores of a question an item."""
    rows = min(n_rows, batch_size + config.max_length)
    activations = 4 * rows * config.blocks * (16 * config.dim + 4 * config.heads * config.max_length)
    return activations + objective.step_bytes(config, shapes, rows)


class Tokens(nn.Module):
    """Lists of items as vectors: item, attitude and place together, after START."""

    def __init__(self, config: Sequence, n_items: int) -> None:
        super().__init__()
        self.config = config
        self.item = nn.Parameter(torch.randn(n_items, config.dim) * 0.1)  # (N, D)
        self.bias = nn.Parameter(torch.zeros(n_items))  # (N,) of the score, not of the input
        self.attitude = nn.Parameter(torch.randn(3, config.dim) * 0.02)
        self.place = nn.Parameter(torch.randn(config.max_length + 1, config.dim) * 0.02)  # (T + 1, D)
        self.start = nn.Parameter(torch.randn(config.dim) * 0.1)  # (D,)
        self.adds = nn.Parameter(torch.randn(3 * n_items, config.dim) * 0.02)  # (3 N, D) by attitude, then item
        self.norm = nn.LayerNorm(config.dim)
        self.drop = nn.Dropout(config.dropout)
        self.register_buffer("told", torch.ones(3, dtype=torch.bool))  # attitudes that occur in training
        self.told: Tensor

    @torch.no_grad()
    def prepare(self, train: Interactions, log_popularity: Tensor) -> None:
        """Item vectors start from a truncated SVD, their biases from popularity."""
        every = train.weighted(np.ones(len(train), dtype=np.float32)).matrix()
        found = torch.from_numpy(leading_item_vectors(every, self.config.dim).astype(np.float32))  # (N, d <= D)
        found = torch.cat([found[:, 0::2], found[:, 1::2]], dim=1)  # each half gets strong and weak directions alike
        found *= 0.1 / found.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-6)
        self.item[:, : found.shape[1]] = found + 0.1 * self.item[:, : found.shape[1]]
        self.adds[2 * len(self.item) :, : found.shape[1]] += found
        self.bias.copy_(log_popularity)
        for attitude, weight in ((_DISLIKED, -1), (_NEUTRAL, 0), (_LIKED, 1)):
            self.told[attitude] = bool((np.sign(train.weight) == weight).any())

    def readable(self, history: Histories) -> Histories:
        """The history without items of an attitude that training never showed: their meaning was never learnt."""
        return history.keep(self.told.cpu().numpy()[(np.sign(history.weights) + 1).astype(np.int64)])

    def forward(self, table: Table) -> tuple[Tensor, Tensor]:
        """(B, 1 + T, D) vectors, START first, and (B, 1, 1, 1 + T) which of them may be attended to."""
        inputs = F.embedding(table.items, self.item) + F.embedding(table.attitudes, self.attitude)  # (B, T, D)
        inputs = inputs + F.embedding(table.places, self.place)
        inputs = torch.where(table.real[..., None], inputs, self.start)  # what is asked of PAD is asked of START
        start = self.start.expand(len(inputs), 1, -1)
        real = F.pad(table.real, (1, 0), value=True)
        return self.drop(self.norm(torch.cat([start, inputs], dim=1))), real[:, None, None, :]

    def added(self, table: Table) -> tuple[Tensor, Tensor]:
        """(B, T, D) what each item adds to every answer, and (B, T, 1) 1 where there is one: both 0 at PAD."""
        found = F.embedding(table.attitudes * len(self.item) + table.items, self.adds)  # (B, T, D)
        real = table.real[..., None].to(found)
        return found * real, real

    def vectors(self) -> Tensor:
        """(N, D + 1) item vectors as scored, and their bias."""
        return torch.cat([self.config.scaled(self.item), self.bias[:, None]], dim=1)

    def answer(self, queries: Queries, encode: Callable[[Histories], Tensor]) -> Tensor:
        """(B, D + 1) query vectors: `encode` (b, D) applied to the newest items, lists of like length together.

        The last coordinate meets the item biases: 1, and more for strangers of whom little is known.
        """
        history = crop(self.readable(queries.history), self.config.max_length)
        found = self.item.new_ones(len(history), self.config.dim + 1)
        found[:, -1] += torch.from_numpy(popularity_weight(replace(queries, history=history))).to(found.device)
        order = np.argsort(history.lengths, kind="stable")
        steps = np.cumsum(history.lengths[order] + 1) // _TOKENS_A_QUERY_BATCH
        for part in np.split(order, np.flatnonzero(np.diff(steps)) + 1):
            if len(part):
                found[torch.from_numpy(part).to(found.device), :-1] = self.config.scaled(encode(history.take(part)))
        return found


class Block(nn.Module):
    """Attention, then a small network, each on normalised inputs and added to what came in (pre-norm)."""

    def __init__(self, config: Sequence) -> None:
        super().__init__()
        dim = config.dim
        self.heads = config.heads
        self.before, self.between = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.asked = nn.Linear(dim, dim)
        self.offered = nn.Linear(dim, 2 * dim)
        self.found = nn.Linear(dim, dim)
        self.network = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))
        self.drop = nn.Dropout(config.dropout)

    def forward(self, asking: Tensor, offering: Tensor, allowed: Tensor) -> Tensor:
        """(B, Q, D) `asking` (B, Q, D) with what it found in `offering` (B, T, D) where `allowed` (B, 1, Q or 1, T)."""
        query = self._by_head(self.asked(self.before(asking)))  # (B, H, Q, D / H)
        key, value = (self._by_head(x) for x in self.offered(self.before(offering)).chunk(2, dim=-1))
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)  # (B, H, Q, D / H)
        asking = asking + self.drop(self.found(found.transpose(1, 2).flatten(2)))
        return asking + self.drop(self.network(self.between(asking)))

    def _by_head(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
