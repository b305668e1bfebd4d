"""BERT4Rec: a transformer that reads a history both ways and fills its gaps. Sun et al. 2019, "BERT4Rec: sequential
recommendation with bidirectional encoder representations from transformer".

Unlike the paper, gaps do not attend to one another: a gap says nothing but that it is there, and at prediction there
is only one. So the encoder reads only what is visible. A gap is asked for with its place ("next": at prediction the one
after the newest item) and without ("anywhere": one question a list, answered by all of its gaps); which of the two
answers better, validation tells: the first where a log is tested on what comes next, the second where on what is
missing. The answer is added to the sum of the vectors of what was liked, so that the network only learns what order,
attitude and company change. Low-rated items are read as such; which items are disliked is learnt as in `objective`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tastespace.config import option
from tastespace.data.histories import Histories
from tastespace.data.interactions import Interactions
from tastespace.data.queries import Queries
from tastespace.models import layers, objective
from tastespace.models.base import Factored, Options, Shapes
from tastespace.models.layers import Block, Head, Table, Tokens
from tastespace.models.objective import Batches


@dataclass(frozen=True)
class BERT4RecConfig(layers.Sequence):
    """A transformer's options, and how histories are masked."""

    ask: Literal["either", "next", "anywhere"] = option(
        "either", "what follows, what is missing anywhere, or whichever validates better"
    )
    mask_share: float = option(0.4, "share of a history that is masked", usual=(0.15, 0.8), above=0, below=1)
    last_share: float = option(0.1, "share of the histories that mask their last item alone", at_least=0)


@dataclass(frozen=True)
class Masked:
    """Lists with gaps: what is visible, and the questions (A,) with their answers."""

    visible: Table  # (B, T)
    places: Tensor  # (B, Q) of questions from the end; the last of `place` is "anywhere"
    asked: Tensor  # (A,) which of the B * Q questions are real
    answers: objective.Batch


class BERT4Rec(Factored):
    """Bidirectional transformer trained to fill gaps."""

    about = "bidirectional transformer over the history, trained on masked items"
    pick = "when order matters and histories are long; slower to train than all others"
    Config = BERT4RecConfig
    OPTIONS = Options(epochs=50, batch_size=2048, learning_rate=0.005, final_rate=0.05, patience=16, validate_every=2)
    item_tables = ("tokens.item",)
    in_order: ClassVar[bool] = True
    n_bias = 1
    config: BERT4RecConfig
    way: Tensor
    _batches: Batches

    def __init__(self, config: BERT4RecConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        self.sigmoid = config.loss in ("bce", "gbce")
        self.ways = ("anywhere", "next") if config.ask == "either" else (config.ask,)  # type: ignore[misc]
        self.tokens = Tokens(config, shapes.n_items)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.mask = nn.Parameter(torch.randn(config.dim) * 0.1)
        if "anywhere" in self.ways:
            self.anywhere = nn.Parameter(torch.randn(config.dim) * 0.1)
        self.head = Head(config.dim)
        self.register_buffer("way", torch.zeros((), dtype=torch.int64))

    @classmethod
    def memory_bytes(cls, config: Any, shapes: Shapes, n_rows: int) -> int:
        """Tables, the activations of a step's histories, and the scores of its questions."""
        rows = min(n_rows, cls.OPTIONS.batch_size + config.length)
        layers = 4 * rows * config.blocks * (16 * config.dim + 4 * config.heads * config.length)
        return super().memory_bytes(config, shapes, n_rows) + layers + objective.step_bytes(config, shapes, rows)

    def prepare(self, train: Interactions) -> None:
        """Item vectors and biases get their start."""
        self._batches = Batches(self.config, train.histories(), train.n_items)
        self.tokens.prepare(train, self._batches.log_popularity())

    def batches(self, train: Interactions, rng: np.random.Generator, batch_size: int) -> Iterator[Masked]:
        """Lists of two items or more, each with new gaps every epoch."""
        lists = self._batches.lists
        users = np.flatnonzero(lists.lengths >= 2)
        lengths = np.minimum(lists.lengths[users], self.config.length + 1)
        for part in layers.by_length(lengths, batch_size, rng):
            yield self.masked(users[part], lists.take(users[part]), rng)

    def masked(self, users: NDArray[np.int64], lists: Histories, rng: np.random.Generator) -> Masked:
        """Gaps drawn into lists of two items or more: at least one, and never all."""
        lists = layers.crop_anywhere(lists, self.config.length + 1, rng)
        place = layers.from_end(lists)
        gap = self._gaps(lists, rng)
        visible = layers.lay_out(lists.keep(~gap), place[~gap]).to(self.mask.device)
        return Masked(visible, *self._questions(users, lists.keep(gap), place[gap], lists.keep(~gap), rng))

    def _gaps(self, lists: Histories, rng: np.random.Generator) -> NDArray[np.bool_]:
        """(total,) which items are masked."""
        rows, starts = lists.rows, lists.offsets[:-1]
        draw = rng.random(len(lists.items))
        last_alone = rng.random(len(lists)) < self.config.last_share
        gap = np.where(last_alone[rows], layers.from_end(lists) == 0, draw < self.config.mask_share)
        none, every = ~np.logical_or.reduceat(gap, starts), np.logical_and.reduceat(gap, starts)
        gap |= none[rows] & (draw == np.minimum.reduceat(draw, starts)[rows])
        gap &= ~(every[rows] & (draw == np.maximum.reduceat(draw, starts)[rows]))
        found: NDArray[np.bool_] = gap
        return found

    def _questions(
        self,
        users: NDArray[np.int64],
        hidden: Histories,
        place: NDArray[np.int64],
        shown: Histories,
        rng: np.random.Generator,
    ) -> tuple[Tensor, Tensor, objective.Batch]:
        """Places (B, Q), which questions are real, and their answers: first what is missing anywhere in a list, then
        each of its gaps."""
        n, device = len(hidden), self.mask.device
        anywhere, apart = "anywhere" in self.ways, "next" in self.ways
        width = anywhere + (int(hidden.lengths.max()) if apart else 0)
        places = np.full((n, width), self.config.length + 1)
        askers, lengths, asked, lists = [], [], [], int(anywhere) + int(apart)
        if anywhere:
            askers.append(users)
            lengths.append(hidden.lengths)
            asked.append(np.arange(n) * width)
        if apart:
            rows, column = hidden.rows, int(anywhere) + layers.from_end(hidden)
            places[rows, column] = place
            askers.append(users[rows])
            lengths.append(np.ones(len(rows), np.int64))
            asked.append(rows * width + column)
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
        answers = Histories(np.tile(hidden.items, lists), offsets, np.tile(hidden.weights, lists))
        batch = self._batches.asking(np.concatenate(askers), answers, rng, device)
        if anywhere and self.config.loss == "softmax":  # what was shown is no answer, unless it is hidden too
            n_items = self.shapes.n_items
            told = shown.keep(~np.isin(shown.pairs(n_items), hidden.pairs(n_items)))
            batch = replace(batch, **objective.told(told, device))
        return torch.from_numpy(places).to(device), torch.from_numpy(np.concatenate(asked)).to(device), batch

    def loss(self, batch: Masked) -> Tensor:
        """() the configured loss, per like in a gap."""
        answers = self._answers(batch.visible, batch.places).flatten(0, 1)[batch.asked]  # (A, D)
        return objective.loss(self.config, batch.answers, answers, self.tokens.item, self.tokens.bias)

    def _answers(self, visible: Table, places: Tensor) -> Tensor:
        """(B, Q, D) a vector a question at `places` (B, Q)."""
        told, allowed = self.tokens(visible)  # (B, 1 + T, D)
        questions = self.mask + self.tokens.place[places.clamp(max=self.config.length)]  # (B, Q, D)
        if "anywhere" in self.ways:
            questions = torch.where((places > self.config.length)[..., None], self.anywhere, questions)
        questions = self.tokens.norm(questions)
        for block in self.blocks[:-1]:
            told, questions = block(told, told, allowed), block(questions, told, allowed)
        return self.head(self.blocks[-1](questions, told, allowed)) + self.tokens.pooled(visible)[:, None]

    def encode_items(self, features: Tensor | None = None) -> Tensor:
        """(N, D + 1) vectors and bias."""
        return self.tokens.vectors()

    def encode_queries(self, queries: Queries) -> Tensor:
        """(B, D + 1) what answers the question after the newest item, or the one without a place."""
        place = {"next": 0, "anywhere": self.config.length + 1}[self.ways[int(self.way)]]

        def encode(history: Histories) -> Tensor:
            visible = layers.lay_out(history, layers.from_end(history) + 1).to(self.mask.device)
            places = torch.full((len(history), 1), place, device=self.mask.device)
            return self._answers(visible, places)[:, 0]

        return self.tokens.answer(queries.history, encode)


MODEL = BERT4Rec
