"""BERT4Rec: a transformer that reads a history both ways and fills its gaps. Sun et al. 2019, "BERT4Rec: sequential
recommendation with bidirectional encoder representations from transformer".

Unlike the paper, gaps do not attend to one another: a gap says nothing but that it is there, and at prediction there
is only one. So the encoder reads only what is visible, which a large mask share makes cheap. A gap may be asked for
with its place ("next": at prediction the one after the newest item) or without ("anywhere": one question a list,
answered by all of its gaps). Low-rated items are read as such; which items are disliked is learnt as in `objective`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from tastespace.config import option
from tastespace.data.histories import Histories
from tastespace.data.interactions import Interactions
from tastespace.data.queries import Queries
from tastespace.models import layers, objective
from tastespace.models.base import Factored, Options, Shapes
from tastespace.models.layers import Block, Table, Tokens
from tastespace.models.objective import Batches


@dataclass(frozen=True)
class BERT4RecConfig(layers.Sequence):
    """A transformer's options, and how histories are masked."""

    ask: Literal["next", "anywhere", "both"] = option("both", "what follows, what is missing anywhere, or their mean")
    mask_share: float = option(0.6, "share of a history that is masked", usual=(0.2, 0.8), above=0, below=1)
    told: bool = option(True, "x")
    spread: float = option(0.0, "x")
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
    Config = BERT4RecConfig
    OPTIONS = Options(epochs=40, batch_size=4096, learning_rate=0.003, final_rate=0.05, patience=10, validate_every=2)
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
        if config.ask != "next":
            self.anywhere = nn.Parameter(torch.randn(config.dim) * 0.1)
        self.head = nn.Sequential(nn.LayerNorm(config.dim), nn.Linear(config.dim, config.dim))

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

    def masked(self, users: np.ndarray, lists: Histories, rng: np.random.Generator) -> Masked:
        """Gaps drawn into lists of two items or more: at least one, and never all."""
        lists = layers.crop_anywhere(lists, self.config.length + 1, rng)
        place, starts = layers.from_end(lists), lists.offsets[:-1]
        draw = rng.random(len(lists.items))
        c = self.config
        share = rng.uniform(c.mask_share - c.spread, c.mask_share + c.spread, len(lists))[lists.rows]
        last_alone = rng.random(len(lists)) < self.config.last_share
        gap = np.where(last_alone[lists.rows], place == 0, draw < share)
        none, every = (~np.logical_or.reduceat(gap, starts), np.logical_and.reduceat(gap, starts))
        gap |= none[lists.rows] & (draw == np.minimum.reduceat(draw, starts)[lists.rows])
        gap &= ~(every[lists.rows] & (draw == np.maximum.reduceat(draw, starts)[lists.rows]))
        hidden = lists.keep(gap)
        visible = layers.lay_out(lists.keep(~gap), place[~gap]).to(self.mask.device)
        made = self._questions(users, hidden, place[gap], rng)
        if self.config.ask != "next" and self.config.told:
            shown = lists.keep(~gap)
            keep = ~np.isin(shown.pairs(self.shapes.n_items), hidden.pairs(self.shapes.n_items))
            shown = shown.keep(keep)
            told = [shown.rows, shown.items.astype(np.int64), shown.weights > 0]
            rows, items, liked = map(torch.from_numpy, told)
            made = (*made[:2], replace(made[2], told_rows=rows, told_items=items, told_liked=liked))
        return Masked(visible, *made)

    def _questions(
        self, users: np.ndarray, hidden: Histories, place: np.ndarray, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, objective.Batch]:
        n, ask = len(hidden), self.config.ask
        anywhere = self.config.length + 1
        width = 1 + (int(hidden.lengths.max()) if ask != "anywhere" else 0)
        places = np.full((n, width), anywhere)
        rows, column = hidden.rows, 1 + layers.from_end(hidden)
        askers, items, weights, lengths, asked = [], [], [], [], []
        if ask != "next":
            askers.append(users)
            lengths.append(hidden.lengths)
            asked.append(np.arange(n) * width)
        if ask != "anywhere":
            places[rows, column] = place
            askers.append(users[rows])
            lengths.append(np.ones(len(rows), np.int64))
            asked.append(rows * width + column)
        items, weights = [hidden.items] * len(askers), [hidden.weights] * len(askers)
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
        answers = Histories(np.concatenate(items), offsets, np.concatenate(weights))
        device = self.mask.device
        batch = self._batches.asking(np.concatenate(askers), answers, rng, device)
        return torch.from_numpy(places).to(device), torch.from_numpy(np.concatenate(asked)).to(device), batch

    def loss(self, batch: Masked) -> Tensor:
        """() the configured loss, per like in a gap."""
        answers = self._answers(batch.visible, batch.places).flatten(0, 1)[batch.asked]  # (A, D)
        return objective.loss(self.config, batch.answers, answers, self.tokens.item, self.tokens.bias)

    def _answers(self, visible: Table, places: Tensor) -> Tensor:
        """(B, Q, D) a vector a question at `places` (B, Q)."""
        told, allowed = self.tokens(visible)  # (B, 1 + T, D)
        questions = self.mask + self.tokens.place[places.clamp(max=self.config.length)]  # (B, Q, D)
        if self.config.ask != "next":
            questions = torch.where((places > self.config.length)[..., None], self.anywhere, questions)
        questions = self.tokens.norm(questions)
        for block in self.blocks[:-1]:
            told, questions = block(told, told, allowed), block(questions, told, allowed)
        return self.head(self.blocks[-1](questions, told, allowed))

    def encode_items(self, features: Tensor | None = None) -> Tensor:
        """(N, D + 1) vectors and bias."""
        return self.tokens.vectors()

    def encode_queries(self, queries: Queries) -> Tensor:
        """(B, D + 1) what answers the question after the newest item, the one without a place, or their mean."""
        anywhere = self.config.length + 1
        asks = {"next": [0], "anywhere": [anywhere], "both": [0, anywhere]}[self.config.ask]

        def encode(history: Histories) -> Tensor:
            visible = layers.lay_out(history, layers.from_end(history) + 1).to(self.mask.device)
            places = torch.tensor(asks, device=self.mask.device).expand(len(history), -1)
            return self.config.scaled(self._answers(visible, places)).mean(dim=1)

        return self.tokens.answer(queries.history, encode)


MODEL = BERT4Rec
