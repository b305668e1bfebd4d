"""BERT4Rec: a transformer that reads a history in both directions and predicts masked items.

Sun et al. 2019, "BERT4Rec: sequential recommendation with bidirectional encoder representations from transformer".

Unlike the paper, masks do not attend to one another: a mask carries no information, and at prediction there is only
one. So the encoder reads only the visible items, which a large share of masks makes cheap. A mask is predicted with its
position ("next": at prediction the one after the newest item), or all masks of a list at once without one ("anywhere":
as a random part of the history is tested). The mean beside the blocks is of items older than the mask, or of all where
it has no position. The loss is a softmax over the catalogue without the visible items; low ratings are part of the
input, and disliked items are never targets: see `objective` and `transformer`. Where a log repeats a pair, a masked
item may also be visible: then the model learns repeats.
"""

from collections.abc import Iterator, Mapping
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
from tastespace.models.base import Factored, Range, Shapes
from tastespace.models.parts import objective, transformer
from tastespace.models.parts.batches import Batches
from tastespace.models.parts.transformer import Block, Table, Tokens


@dataclass(frozen=True)
class BERT4RecConfig(transformer.Sequence):
    """A transformer's options, and how histories are masked."""

    mask_prob: float = option(
        0.5, "share of the items of a history that are masked", usual=(0.2, 0.8), above=0, below=1
    )
    last_item_mask_prob: float = option(
        0.1, "share of the histories of which the last item alone is masked", at_least=0
    )


@dataclass(frozen=True)
class MaskedBatch:
    """Masked lists: the visible items, and A queries with their answers."""

    visible: Table  # (B, T)
    positions: Tensor  # (B, Q) of the masks, from the end
    queries: Tensor  # (A,) which of the B * Q masks are real
    answers: objective.Batch


class BERT4Rec(Factored):
    """Bidirectional transformer trained to predict masked items."""

    about = "bidirectional transformer over the history, trained on masked items"
    pick = "when what comes next follows from the order of the history; trains in a third of the time of sasrec"
    Config = BERT4RecConfig
    OPTIONS = transformer.OPTIONS
    item_tables = ("tokens.item",)
    in_order: ClassVar[bool] = True
    n_bias = 1
    config: BERT4RecConfig
    _batches: Batches

    def __init__(self, config: BERT4RecConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        config = self.config
        self.sigmoid = config.loss in ("bce", "gbce")
        self.tokens = Tokens(config, shapes.n_items)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.mask = nn.Parameter(torch.randn(config.dim) * 0.1)
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

    def batches(self, train: Interactions, rng: np.random.Generator, batch_size: int) -> Iterator[MaskedBatch]:
        """Lists of two items or more, with new masks every epoch."""
        lists = self._batches.lists
        users = np.flatnonzero(lists.lengths >= 2)
        lengths = np.minimum(lists.lengths[users], self.config.max_length + 1)
        for step in transformer.batches_by_length(lengths, batch_size, rng):
            yield self.masked(users[step], lists.take(users[step]), rng)

    def masked(self, users: np.ndarray, lists: Histories, rng: np.random.Generator) -> MaskedBatch:
        """Mask items of lists of two or more: at least one of each list, and never all."""
        lists = transformer.crop_anywhere(lists, self.config.max_length + 1, rng)
        from_end, starts = lists.from_end, lists.offsets[:-1]
        draw = rng.random(len(lists.items))
        last_only = rng.random(len(lists)) < self.config.last_item_mask_prob
        masked_out = np.where(last_only[lists.rows], from_end == 0, draw < self.config.mask_prob)
        none_masked = ~np.logical_or.reduceat(masked_out, starts)
        all_masked = np.logical_and.reduceat(masked_out, starts)
        masked_out |= none_masked[lists.rows] & (draw == np.minimum.reduceat(draw, starts)[lists.rows])
        masked_out &= ~(all_masked[lists.rows] & (draw == np.maximum.reduceat(draw, starts)[lists.rows]))
        hidden = lists.keep(masked_out)
        shown = lists.keep(~masked_out)
        visible = transformer.to_table(shown, from_end[~masked_out])
        if self.config.predicts_anywhere:  # one query per list
            positions = np.zeros((len(lists), 1), np.int64)
            rows = queries = np.arange(len(lists))
            answers = hidden
        else:  # one query per mask
            column = hidden.from_end
            positions = np.zeros((len(lists), int(hidden.lengths.max(initial=1))), np.int64)
            positions[hidden.rows, column] = from_end[masked_out]
            rows, queries = hidden.rows, hidden.rows * positions.shape[1] + column
            answers = Histories(hidden.items, np.arange(len(rows) + 1), hidden.weights)
        device = self.mask.device
        batch = self._batches.for_queries(users[rows], answers, rng, device, given=shown.take(rows))
        return MaskedBatch(
            visible.to(device), torch.from_numpy(positions).to(device), torch.from_numpy(queries).to(device), batch
        )

    def loss(self, batch: MaskedBatch) -> Tensor:
        """() the configured loss, per masked positive."""
        answers = self._predict(batch.visible, batch.positions).flatten(0, 1)[batch.queries]  # (A, D)
        return objective.loss(
            self.config, batch.answers, answers, self.tokens.item, self.tokens.bias, self.tokens.item_length
        )

    def _predict(self, visible: Table, positions: Tensor) -> Tensor:
        """(B, Q, D) vectors of the masks at `positions` (B, Q)."""
        hidden, allowed = self.tokens(visible)  # (B, 1 + T, D)
        masks = self.mask.expand(*positions.shape, -1)  # (B, Q, D)
        if not self.config.predicts_anywhere:
            masks = masks + F.embedding(positions, self.tokens.position)
        masks = self.tokens.norm(masks)
        for block in self.blocks[:-1]:
            hidden, masks = block(hidden, hidden, allowed), block(masks, hidden, allowed)
        older_by = visible.positions[:, None] - positions[:, :, None]  # (B, Q, T)
        older = None if self.config.predicts_anywhere else older_by > 0  # as at prediction, where nothing is newer
        means = self.tokens.history_means(visible, older_by, older)
        return means + self.config.transformer_weight * self.head(self.blocks[-1](masks, hidden, allowed))

    def encode_items(self, features: Tensor | None = None) -> Tensor:
        """(N, D + 1) vectors and bias."""
        return self.tokens.item_vectors()

    def encode_queries(self, queries: Queries) -> Tensor:
        """(B, D + 1) vector of a mask after the newest item, or of one without a position."""

        def encode(history: Histories) -> Tensor:
            visible = transformer.to_table(history, history.from_end + 1).to(self.mask.device)
            return self._predict(visible, visible.items.new_zeros(len(history), 1))[:, 0]

        return self.tokens.query_vectors(queries, encode)


MODEL = BERT4Rec
