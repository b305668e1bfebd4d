"""Fold-in: a query vector from a bare history and frozen item vectors, in numpy alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tastespace.data.histories import Histories
from tastespace.data.queries import Queries
from tastespace.models.parts.likelihood_step import LikelihoodStep, scales, shares
from tastespace.models.parts.popularity_prior import left_to_everybody

_RIDGE = 0.03  # of the mean square of a coordinate; benchmarks/fold_in.py


@dataclass(frozen=True, eq=False)
class Parts:
    """What the score of an item for one query is the sum of.

    `history` (T,): what each item of the history adds; `features`: each attribute that was told, by name; `user`: what
    the model knows of the user beside all that; `everybody`: what it would be for anybody.
    """

    history: NDArray[np.float64]
    features: Mapping[str, float] = field(default_factory=dict)
    user: float = 0.0
    everybody: float = 0.0

    @property
    def total(self) -> float:
        """The score."""
        return float(self.history.sum()) + sum(self.features.values()) + self.user + self.everybody


def mean_of(several: Sequence[Parts], weights: Sequence[float]) -> Parts:
    """The parts of a weighted mean of scores for one query."""
    pairs = list(zip(weights, several, strict=True))
    names = dict.fromkeys(name for parts in several for name in parts.features)
    return Parts(
        np.sum([weight * parts.history for weight, parts in pairs], axis=0),
        {name: sum(weight * parts.features.get(name, 0.0) for weight, parts in pairs) for name in names},
        sum(weight * parts.user for weight, parts in pairs),
        sum(weight * parts.everybody for weight, parts in pairs),
    )


@dataclass(frozen=True, eq=False)
class FoldIn:
    """A query vector from the liked items of a history: the mean of one vector for each, weighted as the likes are.

    `vectors` (N, D) is what each item stands for. `parts` lists (width, length) pairs that together span D: the
    mean's coordinates of each part are scaled to that length; empty means no scaling. Where there is a `climb`, it
    goes a step on from there. `tail` (n_bias,) are the last coordinates, which meet the item biases, and `little`
    (n_bias,) what is added to them in the proportion that is left to everybody (see `evidence`).
    """

    vectors: NDArray[np.float32]
    parts: Sequence[tuple[int, float]] = ()
    tail: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    little: NDArray[np.float32] | None = None
    climb: LikelihoodStep | None = None

    @classmethod
    def ranked(
        cls,
        vectors: NDArray[np.float32],
        parts: Sequence[tuple[int, float]],
        tail: NDArray[np.float32],
        items: NDArray[np.float32],
        n_rivals: int | None = None,
    ) -> Self:
        """With a climb among ranked `items` (N, D + n_bias), and biases that count more while little is known."""
        return cls(vectors, parts, tail, tail, LikelihoodStep(items, [width for width, _ in parts], tail, n_rivals))

    def __call__(self, queries: Queries) -> NDArray[np.float32]:
        """(B, D + n_bias) query vectors; an empty history gives zeros and the tail."""
        history = queries.history
        mean = np.asarray(shares(history, len(self.vectors)) @ self.vectors, dtype=np.float32)  # (B, D)
        found = mean * scales(mean, self.parts)
        if self.climb is not None:
            found = self.climb(found, history)
        return np.concatenate([found, self._tails(queries)], axis=1).astype(np.float32)

    def _tails(self, queries: Queries) -> NDArray[np.float32]:
        """(B, n_bias)."""
        little = np.zeros_like(self.tail) if self.little is None else self.little
        return self.tail + left_to_everybody(queries)[:, None] * little

    def to_json(self) -> dict[str, Any]:
        """All but the vectors, as plain values."""
        little = np.zeros_like(self.tail) if self.little is None else self.little
        return {
            "blocks": [list(part) for part in self.parts],
            "bias_query": self.tail.tolist(),
            "unseen_bias_query": little.tolist(),
            "likelihood_step": self.climb is not None,
        }

    def parts_of(self, query: Queries, item: NDArray[np.float32]) -> Parts:
        """What the score of an item's vector (D + n_bias,) for one query is the sum of, its user's row aside."""
        history, width = query.history, self.vectors.shape[1]
        liked = np.maximum(history.weights, 0.0).astype(np.float64)
        share = (liked / max(float(liked.sum()), 1e-12))[:, None]
        rows = self.vectors[history.items].astype(np.float64) * share  # (T, D)
        rows *= scales(rows.sum(axis=0, keepdims=True), self.parts)
        towards, everybody = item[:width].astype(np.float64), float(self._tails(query)[0] @ item[width:])
        if self.climb is not None:
            added, less, scale = self.climb.terms(rows.sum(axis=0), history)
            rows = (rows + added) * scale
            everybody -= float((less * scale) @ towards)
        return Parts(rows @ towards, everybody=everybody)


def fit_fold_in(items: NDArray[np.float32], users: NDArray[np.float32], history: Histories) -> NDArray[np.float32]:
    """(N, D) fold-in vectors: item vectors (N, D), mapped so that the mean over a history comes nearest to the user.

    Ridge regression of the user vectors (U, D) on the mean vectors of their liked items; U' = X W in closed form.
    """
    means = FoldIn(items)(Queries.of_histories(history))  # (U, D)
    active = history.positives().lengths > 0
    X, Y = means[active].astype(np.float64), users[active].astype(np.float64)
    if len(X) == 0:
        return items
    gram = X.T @ X / len(X)
    penalty = _RIDGE * max(float(np.mean(X**2)), 1e-12)
    W = np.linalg.solve(gram + penalty * np.eye(X.shape[1]), X.T @ Y / len(X))  # (D, D)
    return (items @ W).astype(np.float32)
