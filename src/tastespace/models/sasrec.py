"""SASRec: a transformer that reads a history from old to new and predicts the next item at every position.

Kang and McAuley 2018, "Self-attentive sequential recommendation". Unlike the paper, the loss is a softmax by default,
which decides more than the architecture (Klenitskiy and Vasilev 2023, "Turning dross into gold loss"), and blocks
normalise before rather than after.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tastespace.data.histories import Histories
from tastespace.data.interactions import Interactions
from tastespace.data.queries import Queries
from tastespace.models.base import Factored, Range, Shapes
from tastespace.models.parts import objective, transformer
from tastespace.models.parts.batches import Batches
from tastespace.models.parts.transformer import Block, Table, Tokens

_SAMPLED = 0.1  # share of the positions that are sampled, where each predicts all later items


@dataclass(frozen=True)
class SASRecConfig(transformer.Sequence):
    """A transformer's options."""


@dataclass(frozen=True)
class ShiftedBatch:
    """Lists without their newest item, and the targets of each position (START's too)."""

    table: Table  # (B, T)
    positions: Tensor  # (A,) which of the B * (1 + T) positions are real
    answers: objective.Batch


class SASRec(Factored):
    """Causal transformer trained on the next item at every position."""

    about = "causal transformer over the history, trained on the next item"
    pick = "when what comes next follows from the order of the history; the baseline of most published comparisons"
    Config = SASRecConfig
    OPTIONS = transformer.OPTIONS
    item_tables = ("tokens.item",)
    in_order: ClassVar[bool] = True
    n_bias = 1
    config: SASRecConfig
    _batches: Batches

    def __init__(self, config: SASRecConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        config = self.config
        self.sigmoid = config.loss in ("bce", "gbce")
        self.tokens = Tokens(config, shapes.n_items)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.head = nn.Sequential(nn.LayerNorm(config.dim), nn.Linear(config.dim, config.dim))

    @classmethod
    def ranges(cls, shapes: Shapes) -> Mapping[str, Range]:
        """Return those of transformers."""
        return transformer.ranges(shapes)

    @classmethod
    def stand_in(cls, config: Any, epochs: int) -> tuple[str, Mapping[str, Any]]:
        """The plain factorisation, as of all transformers."""
        return transformer.stand_in(config, epochs)

    @classmethod
    def memory_bytes(cls, config: Any, shapes: Shapes, n_rows: int, batch_size: int) -> int:
        """Tables, the activations of a step's histories, and the scores of its queries."""
        config = cls.settle_config(config, shapes)
        return super().memory_bytes(config, shapes, n_rows, batch_size) + transformer.step_bytes(
            config, shapes, n_rows, batch_size
        )

    def prepare(self, train: Interactions) -> None:
        """Initialise item vectors and biases."""
        self._batches = Batches(self.config, train.histories(), train.n_items)
        self.tokens.prepare(train, self._batches.log_popularity(), self._batches.item_lengths())

    def batches(self, train: Interactions, rng: np.random.Generator, batch_size: int) -> Iterator[ShiftedBatch]:
        """Lists of two items or more; of long ones a window, drawn again every epoch."""
        lists = self._batches.lists
        users = np.flatnonzero(lists.lengths >= 2)
        lengths = np.minimum(lists.lengths[users], self.config.max_length + 1)
        for step in transformer.batches_by_length(lengths, batch_size, rng):
            yield self.shifted(users[step], lists.take(users[step]), rng)

    def shifted(self, users: np.ndarray, lists: Histories, rng: np.random.Generator) -> ShiftedBatch:
        """Every position predicts the item after it."""
        lists = transformer.crop_anywhere(lists, self.config.max_length + 1, rng)
        if self.config.predicts_anywhere:
            lists = transformer.shuffled(lists, rng)
        from_end = lists.from_end
        inputs = lists.keep(from_end > 0)
        table = transformer.to_table(inputs, inputs.from_end)
        width = 1 + table.items.shape[1]
        first = from_end == np.repeat(lists.lengths - 1, lists.lengths)
        positions = lists.rows * width + np.where(first, 0, width - 1 - from_end)  # START predicts the first item
        answers = Histories(lists.items, np.arange(len(lists.items) + 1), lists.weights)
        given, query_users, device = transformer.prefixes(lists), users[lists.rows], self.tokens.item.device
        if self.config.predicts_anywhere:
            sample = self._sample(lists, rng)
            answers, given = transformer.suffixes(lists).take(sample), given.take(sample)
            query_users, positions = query_users[sample], positions[sample]
        batch = self._batches.for_queries(query_users, answers, rng, device, given)
        return ShiftedBatch(table.to(device), torch.from_numpy(positions).to(device), batch)

    def _sample(self, lists: Histories, rng: np.random.Generator) -> np.ndarray:
        """(A,) sampled positions: where each predicts all later items, a few per list teach as much as all."""
        drawn = lists.offsets[:-1] + rng.integers(0, lists.lengths)
        return np.union1d(drawn, np.flatnonzero(rng.random(len(lists.items)) < _SAMPLED))

    def loss(self, batch: ShiftedBatch) -> Tensor:
        """() the configured loss, per positive."""
        states = self._hidden_states(batch.table).flatten(0, 1)[batch.positions]  # (A, D)
        return objective.loss(
            self.config, batch.answers, states, self.tokens.item, self.tokens.bias, self.tokens.item_length
        )

    def _hidden_states(self, table: Table) -> Tensor:
        """(B, 1 + T, D) hidden states after START and after every item, which depend on earlier items alone."""
        hidden, valid = self.tokens(table)
        width = hidden.shape[1]
        allowed = (
            valid & torch.ones(width, width, dtype=torch.bool, device=hidden.device).tril()
        )  # (B, 1, 1 + T, 1 + T)
        for block in self.blocks:
            hidden = block(hidden, hidden, allowed)
        places = torch.arange(table.items.shape[1], device=hidden.device)
        newer = places[:, None] - places  # (T, T) rows from an item to the newest one before the state
        means = F.pad(self.tokens.history_means(table, newer.clamp(min=0), newer >= 0), (0, 0, 1, 0))
        return means + self.config.transformer_weight * self.head(hidden)

    def encode_items(self, features: Tensor | None = None) -> Tensor:
        """(N, D + 1) vectors and bias."""
        return self.tokens.item_vectors()

    def encode_queries(self, queries: Queries) -> Tensor:
        """(B, D + 1) the vector after the newest item, and a coordinate for the item biases."""

        def encode(history: Histories) -> Tensor:
            table = transformer.to_table(history, history.from_end).to(self.tokens.item.device)
            return self._hidden_states(table)[:, -1]

        return self.tokens.query_vectors(queries, encode)


MODEL = SASRec
