"""Objective: the training loss of models whose score is the product of a user and an item vector.

A batch is B users with all their rows. Under softmax vectors are compared by angle, each half separately: the first
half of the coordinates predicts which items a user interacts with at all, both halves together which ones they like. An
item seen but not liked weighs more among the negatives, unless it is hidden from its user anyway. Without low ratings
in the log it is plain softmax.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from tastespace.config import AutoFloat, AutoInt, RelevantWith, check, names, option
from tastespace.data.split import Split
from tastespace.models.base import RECENCY, Range, Shapes
from tastespace.models.parts import losses
from tastespace.models.parts.losses import Targets
from tastespace.models.parts.negatives import Sampling
from tastespace.models.parts.recency import recency_option
from tastespace.models.parts.scaling import to_lengths

_EXCLUDED = -30.0  # added to the score of an item that cannot be an answer
_WHERE_HIDDEN = 0.5  # temperature of any interaction relative to that of positives, where low-rated items are hidden
_MOST_PRODUCTS = 5e9  # users x items x dim of an epoch over the whole catalogue, about a second on one core
_TRAINED_DIM, _TRAINED_NEGATIVES = 128, 1024  # at most, of a stand-in


@dataclass(frozen=True)
class Objective:
    """Dimension, loss, negatives, and the options of each loss. The base of a model's config."""

    dim: AutoInt = option("auto", "embedding dimension; auto: by the number of items", usual=(16, 512), at_least=2)
    loss: Literal["auto", "softmax", "sampled-softmax", "bpr", "bce", "gbce"] = option(
        "auto",
        "softmax over all items or sampled ones, pairwise (bpr) or pointwise (bce; gbce: not overconfident); auto: "
        "softmax, sampled for a large catalogue",
    )
    temperature: AutoFloat = option(
        "auto",
        "softmax temperature τ of the second half of the coordinates, which predicts positives",
        usual=(0.1, 2),
        above=0,
    )
    interaction_temperature: float | None = option(
        None,
        "softmax temperature τ of the first half, which predicts any interaction; none: the same, or half of it where "
        "low-rated items are hidden",
        usual=(0.1, 2),
        above=0,
    )
    interaction_weight: float = option(
        0.5, "weight of the loss of any interaction, relative to that of positives (softmax)", usual=(0, 2), at_least=0
    )
    neutral_weight: float = option(0.2, "weight of a neutral row, relative to a positive (softmax)", at_least=0)
    low_rated: Literal["auto", "ranked", "hidden"] = option(
        "auto",
        "items seen but not liked: ranked (hard negatives) or hidden; auto: as the split evaluates them",
    )
    hard_negative_weight: float = option(
        4.0, "extra weight of ranked items seen but not liked, in the softmax denominator", at_least=0
    )
    sampling: Sampling = option("uniform", "distribution of negatives (all losses but softmax)")
    sampling_exponent: float = option(0.75, "exponent of popularity in popularity sampling", usual=(0, 1), at_least=0)
    allow_false_negatives: bool = option(False, "allow positives of the user to be drawn as negatives")
    shared_negatives: int = option(
        1024, "negatives shared by all positives of a step (sampled-softmax)", usual=(256, 4096), at_least=1
    )
    negatives: int = option(4, "negatives per positive (bpr, bce, gbce)", usual=(1, 10), at_least=1)
    calibration: float = option(
        0.75, "t: 0 is plain bce, 1 gives calibrated probabilities (gbce)", at_least=0, at_most=1
    )
    l2: float = option(
        0.01, "L2 regularisation λ of the vectors of a step (bpr, bce, gbce)", usual=(0, 0.1), at_least=0
    )

    degree_exponent: AutoFloat = option(
        "auto",
        "exponent of an item's positives that scales its vector (softmax); 0: all item vectors have one length",
        usual=(0, 0.5),
        at_least=0,
        at_most=1,
    )
    recency: AutoFloat = recency_option()

    RELEVANT_WITH: ClassVar[RelevantWith] = {
        "temperature": ("loss", ("auto", "softmax", "sampled-softmax")),
        "degree_exponent": ("loss", ("auto", "softmax", "sampled-softmax")),
        "interaction_temperature": ("loss", ("auto", "softmax", "sampled-softmax")),
        "interaction_weight": ("loss", ("auto", "softmax")),
        "neutral_weight": ("loss", ("auto", "softmax")),
        "low_rated": ("loss", ("auto", "softmax")),
        "hard_negative_weight": ("loss", ("auto", "softmax")),
        "sampling": ("loss", ("auto", "sampled-softmax", "bpr", "bce", "gbce")),
        "sampling_exponent": ("sampling", ("popularity", "mixed")),
        "allow_false_negatives": ("loss", ("auto", "sampled-softmax", "bpr", "bce", "gbce")),
        "shared_negatives": ("loss", ("auto", "sampled-softmax")),
        "negatives": ("loss", ("bpr", "bce", "gbce")),
        "calibration": ("loss", ("gbce",)),
        "l2": ("loss", ("bpr", "bce", "gbce")),
    }
    """Options without effect unless another has one of the values given; a search leaves them out then."""

    def __post_init__(self) -> None:
        check(self)

    def resolve(self, split: Split) -> Self:
        """Resolve "auto" by what the split hides from the ranking."""
        if self.low_rated != "auto":
            return self
        hidden = split.hidden == "seen" and bool((split.train.weight <= 0).any())
        return replace(self, low_rated="hidden" if hidden else "ranked")

    def cheaper(self, epochs: int) -> dict[str, Any]:
        """Options of a factorisation that ranks configs like this one does, in a fraction of its time.

        Trained for some `epochs` it has fewer dimensions and negatives; as it is initialised (0) it has all.
        """
        options = {name: getattr(self, name) for name in names(Objective)}
        if epochs:
            options["dim"] = min(self.dim, _TRAINED_DIM)
            options["shared_negatives"] = min(self.shared_negatives, _TRAINED_NEGATIVES)
        return options

    @property
    def unliked_offset(self) -> float:
        """Offset of the score of an item seen and not liked, in the denominator."""
        return 0.0 if self.low_rated == "hidden" else math.log1p(self.hard_negative_weight)

    @property
    def by_angle(self) -> bool:
        """Whether vectors are compared by angle (softmax) or by plain inner product (bpr, bce, gbce)."""
        return self.loss in ("softmax", "sampled-softmax")

    @property
    def halves(self) -> tuple[tuple[int, float], ...]:
        """(width, length) of the two halves of a vector under softmax; lengths make cosine / temperature."""
        first, lower = self.dim // 2, _WHERE_HIDDEN if self.low_rated == "hidden" else 1.0
        interaction_temperature = self.interaction_temperature or lower * self.temperature
        return ((first, interaction_temperature**-0.5), (self.dim - first, self.temperature**-0.5))

    @property
    def scaled_blocks(self) -> tuple[tuple[int, float], ...]:
        """(width, length) of the parts of a user's vector that are scaled: `halves` under softmax, else none."""
        return self.halves if self.by_angle else ()

    def scaled(self, vectors: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(..., D) vectors as they enter the inner product: under softmax each half at its fixed length.

        Those of items are multiplied by their `lengths` (...,), see `item_lengths`.
        """
        if not self.by_angle:
            return vectors
        scaled = to_lengths(vectors, self.halves)
        return scaled if lengths is None or self.degree_exponent == 0 else scaled * lengths[..., None]

    @property
    def likelihood_step(self) -> bool:
        """Whether a folded-in history takes a step up the likelihood, which vectors compared by angle alone model."""
        return self.by_angle and self.degree_exponent == 0

    def item_lengths(self, positives: Tensor) -> Tensor:
        """(N,) lengths of item vectors by their number of positives (N,), 1 in the mean over positives.

        Where tastes are many and narrow, an item is popular among those who share its taste and nowhere else: there
        popularity multiplies the score, where a bias would add it for everybody.
        """
        counts = positives.double()
        powers = (1 + counts) ** (self.degree_exponent if self.by_angle else 0.0)
        mean = (powers * counts).sum() / counts.sum().clamp(min=1)
        return (powers / mean if mean > 0 else powers).float()


@dataclass(frozen=True)
class Batch:
    """B queries with their positives (P rows: query, item, weight) and items seen but not liked (S rows)."""

    users: Tensor  # (B,)
    rows: Tensor  # (P,)
    items: Tensor  # (P,)
    weight: Tensor  # (P,)
    unliked_rows: Tensor  # (S,)
    unliked_items: Tensor  # (S,)
    unliked_weight: Tensor  # (S,) 0 neutral, below 0 disliked
    negatives: Tensor  # (P, n) for bpr, bce and gbce, (M,) for sampled softmax, else empty
    log_expected: Tensor  # (M,) for sampled softmax, else empty
    accidental_hit: Tensor  # (B, M) shared negatives that are positives of the query's user, else empty
    given_rows: Tensor  # (T,) history that a query gives, excluded from its answers (softmax), else empty
    given_items: Tensor  # (T,)
    given_positive: Tensor  # (T,) bool
    has_unliked: bool = field(kw_only=True)  # whether the log has rows that are not positive


def ranges(shapes: Shapes) -> Mapping[str, Range]:
    """Return ranges of recency, of the temperature and of smaller dimensions, and the loss by rule.

    The larger a catalogue and the fewer rows it has, the lower the temperature that its users' tastes need: 0.2 for
    ten rows a user over ten thousand items, 0.8 for a hundred over a thousand; noise raises it. It is no function of
    sizes, so the start is a guess. Few broad tastes of users with a row or two are lost in many dimensions.
    """
    n_items = shapes.n_items
    dim = shapes.affordable_dim(64 if n_items < 1000 else 128 if n_items < 2000 else 256)
    sampled = float(dim) * shapes.n_users * n_items > _MOST_PRODUCTS
    loss = "sampled-softmax" if sampled else "softmax"
    return {
        "recency": RECENCY,
        "temperature": Range((0.15, 0.2, 0.3, 0.45, 0.65, 0.9, 1.3, 2.0), 0.3 if n_items >= 5000 else 0.45),
        "dim": Range((*(smaller for smaller in (32, 64, 128) if smaller < dim), dim), dim),
        "degree_exponent": Range((0.0, 0.25, 0.5), 0.25, of_start=True),
        "loss": Range.only(loss),
    }


def step_bytes(config: Objective, shapes: Shapes, n_queries: int) -> int:
    """Forecast the bytes of a step over `n_queries` beside the tables: scores, vectors and their gradients.

    Scores of the whole catalogue are computed in pieces; those of sampled items are held as a whole.
    """
    vectors = 4 * 4 * config.dim * (n_queries + shapes.n_items)
    if config.loss == "softmax":
        return vectors + min(max(losses.SCRATCH_BYTES, 4 * shapes.n_items), 4 * n_queries * shapes.n_items)
    return vectors + 4 * 4 * n_queries * (config.shared_negatives + config.negatives * config.dim)


def loss(
    config: Objective,
    batch: Batch,
    users: Tensor,
    items: Tensor,
    item_bias: Tensor,
    item_lengths: Tensor,
    user_bias: Tensor | None = None,
    *,
    gain: Tensor | None = None,
    n_items: int | None = None,
) -> Tensor:
    """() the configured loss of a batch, per positive; 0 for a batch of none.

    `users` (B, D) are the raw vectors of the batch's users; `items` (N, D), `item_bias` (N,) and `item_lengths` (N,)
    are those of the catalogue. `user_bias` (B,) counts under bce alone, as it cancels in any ranking loss. `gain` (D,)
    multiplies the scaled user vectors: a learnt temperature. `n_items` is the catalogue's size where `items` holds only
    those of the batch.
    """
    users = config.scaled(users) if gain is None else config.scaled(users) * gain
    if config.loss == "softmax":
        items = config.scaled(items, item_lengths)
        first = config.halves[0][0]
        return softmax_loss(
            config,
            batch,
            lambda targets: losses.softmax_of_products(users, items, item_bias, targets),
            lambda targets: losses.softmax_of_products(users[:, :first], items[:, :first], item_bias, targets),
        )
    if len(batch.rows) == 0:
        return users.sum() * 0.0
    taken = torch.cat([batch.items, batch.negatives.flatten()])
    vectors = config.scaled(F.embedding(taken, items), item_lengths[taken])
    sizes, shape = [len(batch.items), batch.negatives.numel()], batch.negatives.shape
    positive_items, drawn = vectors.split(sizes)
    positive_bias, bias = item_bias[taken].split(sizes)
    drawn, bias = drawn.view(*shape, -1), bias.view(shape)  # (P, n, D) or (M, D)
    positive_users = F.embedding(batch.rows, users)
    positive = (positive_users * positive_items).sum(dim=1) + positive_bias  # (P,)
    if config.loss == "sampled-softmax":
        return sampled_loss(config, batch, positive, torch.addmm(bias, users, drawn.T))  # (B, M)
    negative = torch.einsum("pd,pnd->pn", positive_users, drawn) + bias
    if config.loss == "bce" and user_bias is not None:
        positive, negative = positive + user_bias[batch.rows], negative + user_bias[batch.rows][:, None]
    squares = positive_users.square().sum() + positive_items.square().sum() + drawn.square().sum() / drawn.shape[1]
    penalty = 0.5 * config.l2 * squares / len(positive)
    return sampled_loss(config, batch, positive, negative, n_items or len(items)) + penalty


def sampled_loss(config: Objective, batch: Batch, positive: Tensor, negative: Tensor, n_items: int = 0) -> Tensor:
    """() a loss of the scores of positives (P,) and negatives: (B, M) for sampled softmax, else (P, n).

    `n_items` is the catalogue's size (gbce).
    """
    if config.loss == "sampled-softmax":
        rows, hit = batch.rows, batch.accidental_hit
        if config.allow_false_negatives:  # one row per positive: only the positive itself is an accidental hit
            negative, hit = negative[rows], batch.items[:, None] == batch.negatives
            rows = torch.arange(len(rows), device=rows.device)
        return losses.sampled_softmax(positive, rows, negative, hit, batch.log_expected, batch.weight)
    if config.loss == "bpr":
        return losses.bpr(positive, negative, batch.weight)
    if config.loss == "gbce":
        return losses.gbce(positive, negative, batch.weight, n_items, config.calibration)
    return losses.bce(positive, negative, batch.weight)


def softmax_loss(
    config: Objective,
    batch: Batch,
    preference_loss: Callable[[Targets], Tensor],
    interaction_loss: Callable[[Targets], Tensor] | None,
) -> Tensor:
    """() softmax loss of positives against the whole catalogue, and of all interactions against it.

    `preference_loss` and `interaction_loss` give the softmax cross-entropy () of targets among the scores of being
    liked, and of being interacted with at all; without `interaction_loss` the second term is left out.
    """
    total = float(batch.weight.sum()) or 1.0
    given = _given_offsets(batch, _EXCLUDED if config.low_rated == "hidden" else config.unliked_offset)
    if not batch.has_unliked:
        return preference_loss(Targets(batch.rows, batch.items, batch.weight, total, None, *given))
    rows, columns = torch.cat([batch.rows, batch.unliked_rows]), torch.cat([batch.items, batch.unliked_items])
    weight = torch.cat([batch.weight, torch.where(batch.unliked_weight < 0, 0.0, config.neutral_weight)])
    unliked_offset = torch.cat(
        [torch.zeros_like(batch.weight), torch.full_like(batch.unliked_weight, config.unliked_offset)]
    )
    loss = preference_loss(
        Targets(rows, columns, weight, total, unliked_offset if config.unliked_offset > 0 else None, *given)
    )
    if interaction_loss is None or config.interaction_weight == 0:
        return loss
    equal_weight = torch.cat([batch.weight, torch.ones_like(batch.unliked_weight)])
    return loss + config.interaction_weight * interaction_loss(
        Targets(rows, columns, equal_weight, total, None, *_given_offsets(batch, _EXCLUDED))
    )


def _given_offsets(batch: Batch, unliked: float) -> tuple[Tensor, Tensor, Tensor]:
    """(row, item) pairs (T,) of the given histories, and offsets (T,) of their scores.

    A positive will not be shown again; a given item that was not liked gets `unliked`.
    """
    offset = torch.where(batch.given_positive, _EXCLUDED, unliked).to(batch.weight)
    return batch.given_rows, batch.given_items, offset
