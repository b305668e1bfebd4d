"""Models that are not in the package: the example of docs/adding-a-model.md, and two kinds that prove the contract, a
transformer over histories and a network without vectors."""

import importlib.util
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tastespace.config import check, option
from tastespace.data.histories import Histories
from tastespace.data.interactions import Interactions
from tastespace.data.queries import Queries
from tastespace.models.base import Factored, Model, Options, Shapes

LENGTH = 8
GUIDE = Path(__file__).parents[2] / "docs" / "adding-a-model.md"


def example_of_the_guide() -> type[Model]:
    """Import the one Python block of the guide, as the file of a model is imported."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mult_dae.py"
        file.write_text(code, encoding="utf-8")
        spec = importlib.util.spec_from_file_location("tests.conformance.mult_dae", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    model: type[Model] = module.MODEL
    return model


@dataclass(frozen=True)
class Config:
    """Width alone."""

    dim: int = option(16, "length of the vectors", at_least=2)

    def __post_init__(self) -> None:
        check(self)


class Transformer(Factored):
    """Causal self-attention over the last items; the query vector is the last position's."""

    about = "causal transformer"
    in_order = True
    Config = Config
    OPTIONS = Options(epochs=60, batch_size=128, learning_rate=0.01, patience=20)

    def __init__(self, config: Config, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        self.item = nn.Embedding(shapes.n_items + 1, config.dim, padding_idx=shapes.n_items)
        self.position = nn.Embedding(LENGTH, config.dim)
        nn.init.normal_(self.item.weight, std=0.1)
        nn.init.normal_(self.position.weight, std=0.1)
        layer = nn.TransformerEncoderLayer(config.dim, 2, 2 * config.dim, 0.1, batch_first=True)
        self.blocks = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)

    def _windows(self, history: Histories) -> Tensor:
        """(B, T) the last T items, padded on the left."""
        padded = np.full((len(history), LENGTH), self.shapes.n_items, dtype=np.int64)
        for row in range(len(history)):
            last = history.items[history.offsets[row] : history.offsets[row + 1]][-LENGTH:]
            if len(last):
                padded[row, LENGTH - len(last) :] = last
        return torch.from_numpy(padded)

    def _encode(self, windows: Tensor) -> Tensor:
        """(B, T, D) a vector after every position."""
        causal = torch.triu(torch.ones(LENGTH, LENGTH, dtype=torch.bool), 1)
        padding = windows == self.shapes.n_items
        padding[padding.all(dim=1), -1] = False  # a window of padding alone still attends to one position
        inputs = self.item(windows) + self.position.weight  # (B, T, D)
        blocked = torch.zeros(padding.shape).masked_fill(padding, -1e9)
        return self.blocks(
            inputs, mask=torch.zeros(LENGTH, LENGTH).masked_fill(causal, -1e9), src_key_padding_mask=blocked
        )

    def batches(self, train: Interactions, rng: np.random.Generator, batch_size: int) -> Iterator[Tensor]:
        lists = train.histories()
        users = rng.permutation(np.flatnonzero(lists.lengths > 1))
        for start in range(0, len(users), max(1, batch_size // LENGTH)):
            yield self._windows(lists.take(users[start : start + max(1, batch_size // LENGTH)]))

    def loss(self, batch: Tensor) -> Tensor:
        inputs = torch.cat([torch.full((len(batch), 1), self.shapes.n_items), batch[:, :-1]], dim=1)
        logits = self._encode(inputs) @ self.encode_items().T  # (B, T, N)
        target = batch.masked_fill(inputs == self.shapes.n_items, self.shapes.n_items)
        return F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=self.shapes.n_items)

    def encode_items(self, features: Tensor | None = None) -> Tensor:
        return self.item.weight[:-1]

    def encode_queries(self, queries: Queries) -> Tensor:
        return self._encode(self._windows(queries.history))[:, -1]


class Network(Model):
    """A score that is no inner product: a small network over the sum of liked items, one output an item."""

    about = "network without vectors"
    Config = Config
    OPTIONS = Options(epochs=40, batch_size=512, learning_rate=0.02, patience=8)

    def __init__(self, config: Config, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        self.encoder = nn.Linear(shapes.n_items, config.dim)
        self.decoder = nn.Linear(config.dim, shapes.n_items)

    def _likes(self, history: Histories) -> Tensor:
        return torch.from_numpy(history.positives().matrix(self.shapes.n_items).toarray())

    def batches(self, train: Interactions, rng: np.random.Generator, batch_size: int) -> Iterator[Tensor]:
        lists = train.positives().histories()
        users = rng.permutation(np.flatnonzero(lists.lengths))
        for part in np.array_split(users, max(1, len(train) // batch_size)):
            yield self._likes(lists.take(part))

    def loss(self, batch: Tensor) -> Tensor:
        logits = F.log_softmax(self.decoder(torch.tanh(self.encoder(batch))), dim=1)
        return -(logits * batch).sum() / batch.sum()

    def score(self, queries: Queries) -> Tensor:
        return self.decoder(torch.tanh(self.encoder(self._likes(queries.history))))
