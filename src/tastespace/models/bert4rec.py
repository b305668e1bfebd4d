"""BERT4Rec: a transformer that reads a history both ways and fills its gaps. Sun et al. 2019, "BERT4Rec: sequential
recommendation with bidirectional encoder representations from transformer".

Unlike the paper, gaps do not attend to one another: a gap says nothing but that it is there, and at prediction there
is only one. So the encoder reads only what is visible, which a large mask share makes cheap. A gap is asked for with
its place ("next": at prediction the one after the newest item) or all gaps of a list at once without one ("anywhere":
what a random part of the history is tested on). The loss is a softmax over the catalogue without what the question
tells already; low-rated items are read as such, and disliked ones are no answers: see `objective` and `layers`. Where
a log repeats a pair, what is hidden may also be visible: then it is repeats that are learnt.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tastespace.config import option
from tastespace.data.histories import Histories
from tastespace.data.interactions import Interactions
from tastespace.data.queries import Queries
from tastespace.models.base import Factored, Options, Shapes
from tastespace.models.parts import objective, transformer
from tastespace.models.parts.objective import Batches
from tastespace.models.parts.transformer import Block, Table, Tokens


@dataclass(frozen=True)
class BERT4RecConfig(transformer.Sequence):
    """A transformer's options, and how histories are masked."""

    mask_prob: float = option(0.5, "share of a history that is masked", usual=(0.2, 0.8), above=0, below=1)
    last_item_mask_prob: float = option(0.1, "share of the histories that mask their last item alone", at_least=0)


@dataclass(frozen=True)
class Masked:
    """Lists with gaps: what is visible, and A questions with their answers."""

    visible: Table  # (B, T)
    places: Tensor  # (B, Q) of the questions, from the end
    asked: Tensor  # (A,) which of the B * Q questions are real
    answers: objective.Batch


class BERT4Rec(Factored):
    """Bidirectional transformer trained to fill gaps."""

    about = "bidirectional transformer over the history, trained on masked items"
    pick = "when the order of a history tells what comes next: there far ahead of all models without order"
    Config = BERT4RecConfig
    OPTIONS = Options(
        epochs=30, batch_size=4096, learning_rate=0.006, final_lr_fraction=0.05, patience=10, validate_every=2
    )
    item_tables = ("tokens.item",)
    in_order: ClassVar[bool] = True
    n_bias = 1
    config: BERT4RecConfig
    _batches: Batches

    def __init__(self, config: BERT4RecConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        self.sigmoid = config.loss in ("bce", "gbce")
        self.tokens = Tokens(config, shapes.n_items)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.mask = nn.Parameter(torch.randn(config.dim) * 0.1)
        self.head = nn.Sequential(nn.LayerNorm(config.dim), nn.Linear(config.dim, config.dim))

    @classmethod
    def memory_bytes(cls, config: Any, shapes: Shapes, n_rows: int, batch_size: int) -> int:
        """Tables, the activations of a step's histories, and the scores of its questions."""
        return super().memory_bytes(config, shapes, n_rows, batch_size) + transformer.step_bytes(
            config, shapes, n_rows, batch_size
        )

    def prepare(self, train: Interactions) -> None:
        """Item vectors and biases get their start."""
        self._batches = Batches(self.config, train.histories(), train.n_items)
        self.tokens.prepare(train, self._batches.log_popularity())

    def batches(self, train: Interactions, rng: np.random.Generator, batch_size: int) -> Iterator[Masked]:
        """Lists of two items or more, each with new gaps every epoch."""
        lists = self._batches.lists
        users = np.flatnonzero(lists.lengths >= 2)
        lengths = np.minimum(lists.lengths[users], self.config.max_length + 1)
        for part in transformer.by_length(lengths, batch_size, rng):
            yield self.masked(users[part], lists.take(users[part]), rng)

    def masked(self, users: np.ndarray, lists: Histories, rng: np.random.Generator) -> Masked:
        """Gaps drawn into lists of two items or more: at least one, and never all."""
        lists = transformer.crop_anywhere(lists, self.config.max_length + 1, rng)
        place, starts = transformer.from_end(lists), lists.offsets[:-1]
        draw = rng.random(len(lists.items))
        last_alone = rng.random(len(lists)) < self.config.last_item_mask_prob
        gap = np.where(last_alone[lists.rows], place == 0, draw < self.config.mask_prob)
        none, every = (~np.logical_or.reduceat(gap, starts), np.logical_and.reduceat(gap, starts))
        gap |= none[lists.rows] & (draw == np.minimum.reduceat(draw, starts)[lists.rows])
        gap &= ~(every[lists.rows] & (draw == np.maximum.reduceat(draw, starts)[lists.rows]))
        hidden = lists.keep(gap)
        shown = lists.keep(~gap)
        visible = transformer.lay_out(shown, place[~gap])
        if self.config.asks_anywhere:  # one question a list
            places = np.zeros((len(lists), 1), np.int64)
            asker = asked = np.arange(len(lists))
            answers = hidden
        else:  # one question a gap
            column = transformer.from_end(hidden)
            places = np.zeros((len(lists), int(hidden.lengths.max(initial=1))), np.int64)
            places[hidden.rows, column] = place[gap]
            asker, asked = hidden.rows, hidden.rows * places.shape[1] + column
            answers = Histories(hidden.items, np.arange(len(asker) + 1), hidden.weights)
        device = self.mask.device
        batch = self._batches.asking(users[asker], answers, rng, device, told=shown.take(asker))
        return Masked(
            visible.to(device), torch.from_numpy(places).to(device), torch.from_numpy(asked).to(device), batch
        )

    def loss(self, batch: Masked) -> Tensor:
        """() the configured loss, per like in a gap."""
        answers = self._answers(batch.visible, batch.places).flatten(0, 1)[batch.asked]  # (A, D)
        return objective.loss(self.config, batch.answers, answers, self.tokens.item, self.tokens.bias)

    def _answers(self, visible: Table, places: Tensor) -> Tensor:
        """(B, Q, D) a vector a question at `places` (B, Q)."""
        told, allowed = self.tokens(visible)  # (B, 1 + T, D)
        questions = self.mask.expand(*places.shape, -1)  # (B, Q, D)
        if not self.config.asks_anywhere:
            questions = questions + F.embedding(places, self.tokens.place)
        questions = self.tokens.norm(questions)
        for block in self.blocks[:-1]:
            told, questions = block(told, told, allowed), block(questions, told, allowed)
        added, real = self.tokens.added(visible)
        mean = added.sum(dim=1, keepdim=True) / real.sum(dim=1, keepdim=True).clamp(min=1)  # (B, 1, D)
        return mean + self.config.transformer_weight * self.head(self.blocks[-1](questions, told, allowed))

    def encode_items(self, features: Tensor | None = None) -> Tensor:
        """(N, D + 1) vectors and bias."""
        return self.tokens.vectors()

    def encode_queries(self, queries: Queries) -> Tensor:
        """(B, D + 1) what answers the question after the newest item, or the one without a place."""

        def encode(history: Histories) -> Tensor:
            visible = transformer.lay_out(history, transformer.from_end(history) + 1).to(self.mask.device)
            return self._answers(visible, visible.items.new_zeros(len(history), 1))[:, 0]

        return self.tokens.answer(queries, encode)


MODEL = BERT4Rec
