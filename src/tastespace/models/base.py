"""The contract of every model: `Model`, and `Factored` for those whose score is an inner product.

Letters in shapes: U users, N items, B queries, D dimension, C candidates.
"""

import abc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from tastespace.config import AutoFloat, AutoInt, check, option, unresolved
from tastespace.data.features import Features
from tastespace.data.interactions import Interactions
from tastespace.data.queries import Queries
from tastespace.data.split import Split
from tastespace.errors import OptionError
from tastespace.models.parts.contributions import Contributions
from tastespace.models.parts.fold_in import FoldIn
from tastespace.models.parts.matmul import products
from tastespace.models.parts.meta_device import shapes_only
from tastespace.models.parts.recency import RECENCIES
from tastespace.models.parts.user_rows import UserRows

_MOST_NUMBERS = 2.5e8  # in both tables, by default


@dataclass(frozen=True)
class Options:
    """Training options of gradient models. A model's `OPTIONS` are its own defaults."""

    epochs: int = option(100, "maximum number of passes over the training rows", usual=(10, 100), at_least=1)
    batch_size: AutoInt = option(
        1024, "interactions per step; auto: 5,500, more for epochs of 32 steps at most", usual=(256, 8192), at_least=1
    )
    learning_rate: AutoFloat = option(
        "auto",
        "initial learning rate of Adam; auto: 0.02 from an SVD, 0.06 otherwise, less for epochs of more than 8 steps",
        usual=(1e-4, 1e-1),
        above=0,
    )
    final_lr_fraction: float = option(
        1.0, "learning rate of the last epoch relative to the first (cosine schedule)", at_least=0
    )
    weight_decay: float = option(0.0, "decoupled weight decay (AdamW)", usual=(0, 1e-2), at_least=0)
    patience: int = option(10, "epochs without improvement of the validation metric before early stopping", at_least=1)
    metric: str = option("ndcg@10", "validation metric that chooses the epoch")
    validate_every: int = option(1, "epochs between validations", at_least=1)
    seed: int = option(0, "random seed of initial weights, batch order and negatives", at_least=0, at_most=2**32 - 1)
    device: str = option("cpu", "torch device: cpu, cuda, cuda:1, mps")
    threads: int = option(0, "CPU threads; 0: one for small models, all for large ones", at_least=0, at_most=1024)
    refit: bool = option(True, "fit again on all training rows, for the best number of epochs")
    train_on_validation: bool = option(
        False,
        "fit the final model on the validation rows too, where the protocol brings some; published figures do not",
    )
    search: bool = option(True, "choose options that are auto on validation rows; false: by rule, from the log's sizes")
    init: Literal["default", "features", "svd"] = option(
        "default", "initial vectors: the model's own, with directions of the features, or from an SVD of the positives"
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Shapes:
    """Sizes that a model's tensors depend on, beside its config."""

    n_users: int
    n_items: int
    user_features: int = 0
    item_features: int = 0

    def affordable_dim(self, dim: int) -> int:
        """Return `dim`, halved until the tables of users and items hold less than 250 million numbers together."""
        while dim > 32 and dim * (self.n_users + self.n_items) > _MOST_NUMBERS:
            dim //= 2
        return dim


@dataclass(frozen=True)
class Range:
    """Values of an option that are worth trying, in ascending order, and the one to start from."""

    values: tuple[Any, ...]
    start: Any
    trained: bool = True
    """Whether training the model, or its stand-in, depends on it; if not, all values are tried with one of them that is
    trained, by setting its `config`."""
    of_start: bool = False
    """Whether it is chosen for a model that stays as it is initialised alone; a trained one takes the first value."""

    @classmethod
    def only(cls, value: Any) -> "Range":
        """A single value, which is a rule."""
        return cls((value,), value)

    def times(self, factor: float) -> "Range":
        """All values, and the start, multiplied by `factor`."""
        return replace(self, values=tuple(factor * value for value in self.values), start=factor * self.start)


RECENCY = Range(RECENCIES, 1.0, trained=False)
"""Range of `recency`, in every model that has this option."""


class Model(nn.Module, abc.ABC):
    """A recommender: trained by `prepare` alone, or by gradient through `batches` and `loss` after it.

    A file in this folder holds one, sets `MODEL` to it, and needs no other entry anywhere. The constructor makes
    parameters and buffers of known shapes and nothing else, so that the same arguments rebuild the model at load;
    `prepare` derives the rest from training rows and keeps it in registered buffers.
    """

    about: ClassVar[str]
    """A few words that say what the model is."""
    pick: ClassVar[str] = ""
    """A sentence that says when to pick it."""
    Config: ClassVar[type[Any]]
    OPTIONS: ClassVar[Options] = Options()
    reads_features: ClassVar[bool] = False
    """Whether the model reads attributes of users and items: then `set_features` is called before `prepare`."""
    user_tables: ClassVar[tuple[str, ...]] = ()
    """Names of parameters that hold one row per user; such rows can be initialised from features."""
    item_tables: ClassVar[tuple[str, ...]] = ()
    """Names of parameters that hold one row per item."""
    table_parts: tuple[int, ...] = ()
    """Widths of the parts of a row of these tables that are vectors of their own; empty: it is one vector."""
    in_order: ClassVar[bool] = False
    """Whether the order of a history matters: such a model predicts the next item."""
    sigmoid: bool = False
    """Whether scores are log-odds, so that their logistic function is a probability."""

    def __init__(self, config: Any, shapes: Shapes) -> None:
        super().__init__()
        self.config = self.settle_config(config, shapes)
        self.shapes = shapes

    @property
    def recency(self) -> float:
        """Weight of each row of a history relative to the next newer one; 1 for models without that option."""
        return float(getattr(self.config, "recency", 1.0))

    @classmethod
    def learns_by_gradient(cls) -> bool:
        """Whether `fit` runs epochs; otherwise `prepare` is the whole training."""
        return cls.loss is not Model.loss

    @classmethod
    def resolve_config(cls, config: Any, split: Split) -> Any:
        """Return the config with its "auto" options resolved for the split; called before the constructor."""
        resolve = getattr(config, "resolve", None)
        return config if resolve is None else resolve(split)

    @classmethod
    def ranges(cls, shapes: Shapes) -> Mapping[str, Range]:
        """Return what is tried on validation rows for each option that may be "auto", the most important first.

        Without validation rows, or with `search=False`, the start of the range is taken.
        """
        return {}

    @classmethod
    def stand_in(cls, config: Any, epochs: int) -> tuple[str, Mapping[str, Any]] | None:
        """Return a cheaper model and its options, for a search to fit in place of this one; None: there is none.

        A gradient model is compared after a few `epochs`, or as it is initialised (0).
        """
        return None

    @classmethod
    def settle_config(cls, config: Any, shapes: Shapes) -> Any:
        """Return the config with the start of its range for each option that is still "auto".

        `fit` searches before that; a model that is built without it gets the start.
        """
        ranges = cls.ranges(shapes)
        return replace(config, **{name: ranges[name].start for name in unresolved(config) if name in ranges})

    @classmethod
    def memory_bytes(cls, config: Any, shapes: Shapes, n_rows: int, batch_size: int) -> int:
        """Forecast the peak memory of training on `n_rows`, in bytes, without the data."""
        with shapes_only():
            model = cls(config, shapes)
        parameters = sum(p.numel() * p.element_size() for p in model.parameters())
        buffers = sum(b.numel() * b.element_size() for b in model.buffers())
        return 4 * parameters + buffers  # weight, gradient and Adam's two moments

    @classmethod
    def operations(cls, config: Any, shapes: Shapes, n_rows: int) -> float:
        """Forecast the floating-point operations of `prepare`, as of dense products; 0 where they take no time."""
        return 0.0

    def set_features(self, features: Features) -> None:
        """Store the attributes of users and items; called before `prepare`, and again at load."""

    def prepare(self, train: Interactions) -> None:
        """Derive everything that scoring needs from training rows; called once, before any epoch."""

    def on_train_end(self, train: Interactions) -> None:
        """Derive what needs the trained weights, such as a fold-in; called once, after the last epoch."""

    def batches(self, train: Interactions, rng: np.random.Generator, batch_size: int) -> Iterator[Any]:
        """One epoch over `train`, as batches of about `batch_size` interactions that `loss` understands."""
        raise OptionError(f"{type(self).__name__} is not trained by gradient")

    def loss(self, batch: Any) -> Tensor:
        """() mean loss of a batch."""
        raise OptionError(f"{type(self).__name__} is not trained by gradient")

    @abc.abstractmethod
    def score(self, queries: Queries) -> Tensor:
        """(B, N) scores of all items, higher is better, in a fresh tensor that the caller may overwrite."""

    def scorer(self) -> Callable[[Queries], Tensor]:
        """`score` for many batches against frozen weights: what does not depend on the query is done once."""
        return self.score

    def score_pairs(self, queries: Queries, items: Tensor) -> Tensor:
        """(B, C) scores of the candidate `items` (B, C) alone."""
        return self.score(queries).gather(1, items)

    def contributions(self, query: Queries, item: int) -> Contributions | None:
        """Terms that the score of an item for one query is the sum of; None where it is no such sum."""
        return None

    def item_embeddings(self) -> Tensor | None:
        """(N, D) vectors whose cosines compare items, or None where the model has none."""
        return None

    def query_embeddings(self, queries: Queries) -> Tensor | None:
        """(B, D) vectors whose cosines compare users, or None where the model has none."""
        return None


class Factored(Model):
    """A model whose score is the inner product of a query vector and an item vector.

    The last `n_bias` coordinates carry biases: part of the score, left out where vectors are compared.
    """

    n_bias: int = 0
    user_rows: UserRows | None
    """State of the table of user vectors; None for models without one."""

    def __init__(self, config: Any, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        self.user_rows = None

    @abc.abstractmethod
    def encode_items(self, features: Tensor | None = None) -> Tensor:
        """(N, D) item vectors; in models that read features, those of M new items with `features` (M, F)."""

    def encode_users(self, users: Tensor) -> Tensor:
        """(B, D) vectors of known users, for models with one row per user."""
        raise OptionError(f"{type(self).__name__} has no user rows")

    def fold_in(self) -> FoldIn | None:
        """Return the fold-in of a bare history, without the network; None where the network must run."""
        return None

    def encode_queries(self, queries: Queries) -> Tensor:
        """(B, D) query vectors: a user's row where there is one, else their history folded in."""
        return self.encoder()(queries)

    def encoder(self) -> Callable[[Queries], Tensor]:
        """`encode_queries` for many batches against frozen weights: what does not depend on the query is done once."""
        if type(self).encode_queries is not Factored.encode_queries:
            return self.encode_queries
        fold_in = self.fold_in()
        if fold_in is None:
            raise OptionError(f"{type(self).__name__} must define fold_in or encode_queries")
        return lambda queries: self._by_row_or_history(queries, fold_in)

    def _by_row_or_history(self, queries: Queries, fold_in: FoldIn) -> Tensor:
        known = np.zeros(len(queries), dtype=bool)
        if self.user_rows is not None:
            known = self.user_rows.answers(queries, self.recency)
        device = next(chain(self.parameters(), self.buffers())).device
        if not known.any():
            return torch.from_numpy(fold_in(queries)).to(device)
        rows = self.encode_users(torch.from_numpy(queries.users[known]))
        if known.all():
            return rows
        encoded = rows.new_empty(len(queries), rows.shape[1])
        encoded[torch.from_numpy(np.flatnonzero(known)).to(device)] = rows
        folded_in = np.flatnonzero(~known)
        encoded[torch.from_numpy(folded_in).to(device)] = torch.from_numpy(fold_in(queries.take(folded_in))).to(device)
        return encoded

    def score(self, queries: Queries) -> Tensor:
        """(B, N) inner products of query and item vectors."""
        return self.encode_queries(queries) @ self.encode_items().T

    def scorer(self) -> Callable[[Queries], Tensor]:
        """Scores with the items encoded once."""
        items, encode = self.encode_items().detach().contiguous(), self.encoder()
        return lambda queries: products(encode(queries).detach(), items)

    def score_pairs(self, queries: Queries, items: Tensor) -> Tensor:
        """(B, C) scores of the candidate `items` (B, C) alone."""
        return torch.einsum("bd,bcd->bc", self.encode_queries(queries), self.encode_items()[items])

    @torch.no_grad()
    def contributions(self, query: Queries, item: int) -> Contributions | None:
        """Terms of the folded-in history, and what the user's own row adds to it; None without a fold-in."""
        fold_in = self.fold_in()
        if fold_in is None:
            return None
        vector = self.encode_items()[item]
        terms = fold_in.contributions(query, vector.cpu().numpy())
        if query.users[0] < 0:
            return terms
        return replace(terms, user=float(self.encode_queries(query)[0] @ vector) - terms.total)

    def item_embeddings(self) -> Tensor:
        """(N, D) item vectors without the bias coordinates."""
        return self._without_bias(self.encode_items())

    def query_embeddings(self, queries: Queries) -> Tensor:
        """(B, D) query vectors without the bias coordinates."""
        return self._without_bias(self.encode_queries(queries))

    def _without_bias(self, vectors: Tensor) -> Tensor:
        return vectors[:, : vectors.shape[1] - self.n_bias]
