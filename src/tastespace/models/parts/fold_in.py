"""Fold-in: a query vector from a history and frozen item vectors, in numpy alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tastespace.data.histories import Histories
from tastespace.data.queries import Queries
from tastespace.models.parts.contributions import Contributions
from tastespace.models.parts.likelihood_step import LikelihoodStep, scales, shares
from tastespace.models.parts.popularity_prior import popularity_weight
from tastespace.models.parts.recency import weighted_by_recency

_RIDGE = 0.03  # of the mean square of a coordinate; benchmarks/fold_in.py
_MOST_USERS = 5_000  # that a fold-in is fitted to: a few hundred unknowns a coordinate need no more


@dataclass(frozen=True, eq=False)
class FoldIn:
    """Query vectors from histories: the mean of one vector for each positive, weighted as the positives are.

    `vectors` (N, D) are the items' fold-in vectors. `blocks` lists (width, length) pairs that together span D: the
    mean's coordinates of each block are scaled to that length; empty means no scaling. A `likelihood_step` follows
    where there is one. `bias_query` (n_bias,) are the last coordinates, which multiply the item biases;
    `unseen_bias_query` (n_bias,) is added to them times the weight of popularity (see `popularity_prior`).
    With a `recency` below 1 newer rows of a history weigh more.
    """

    vectors: NDArray[np.float32]
    blocks: Sequence[tuple[int, float]] = ()
    bias_query: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    unseen_bias_query: NDArray[np.float32] | None = None
    likelihood_step: LikelihoodStep | None = None
    recency: float = 1.0

    @classmethod
    def with_likelihood_step(
        cls,
        vectors: NDArray[np.float32],
        blocks: Sequence[tuple[int, float]],
        bias_query: NDArray[np.float32],
        items: NDArray[np.float32],
        n_candidates: int | None = None,
        recency: float = 1.0,
    ) -> Self:
        """Return a fold-in with a step among the ranked `items` (N, D + n_bias), and a popularity prior."""
        step = LikelihoodStep(items, [width for width, _ in blocks], bias_query, n_candidates)
        return cls(vectors, blocks, bias_query, bias_query, step, recency)

    def __call__(self, queries: Queries) -> NDArray[np.float32]:
        """(B, D + n_bias) query vectors; an empty history gives zeros and the bias coordinates."""
        history = weighted_by_recency(queries.history, self.recency)
        mean = np.asarray(shares(history, len(self.vectors)) @ self.vectors, dtype=np.float32)  # (B, D)
        vectors = mean * scales(mean, self.blocks)
        if self.likelihood_step is not None:
            vectors = self.likelihood_step(vectors, history)
        return np.concatenate([vectors, self._bias_coordinates(queries)], axis=1).astype(np.float32)

    def _bias_coordinates(self, queries: Queries) -> NDArray[np.float32]:
        """(B, n_bias)."""
        return self.bias_query + popularity_weight(queries)[:, None] * self._unseen_bias_query

    @property
    def _unseen_bias_query(self) -> NDArray[np.float32]:
        return np.zeros_like(self.bias_query) if self.unseen_bias_query is None else self.unseen_bias_query

    def to_json(self) -> dict[str, Any]:
        """All but the vectors, as plain values."""
        return {
            "blocks": [list(block) for block in self.blocks],
            "bias_query": self.bias_query.tolist(),
            "unseen_bias_query": self._unseen_bias_query.tolist(),
            "likelihood_step": self.likelihood_step is not None,
            "recency": self.recency,
        }

    def contributions(self, query: Queries, item: NDArray[np.float32]) -> Contributions:
        """Terms of the score of an item's vector (D + n_bias,) for the folded-in history of one query."""
        history, width = weighted_by_recency(query.history, self.recency), self.vectors.shape[1]
        positive = np.maximum(history.weights, 0.0).astype(np.float64)
        share = (positive / max(float(positive.sum()), 1e-12))[:, None]
        rows = self.vectors[history.items].astype(np.float64) * share  # (T, D)
        rows *= scales(rows.sum(axis=0, keepdims=True), self.blocks)
        direction, baseline = item[:width].astype(np.float64), float(self._bias_coordinates(query)[0] @ item[width:])
        if self.likelihood_step is not None:
            added, expected, scale = self.likelihood_step.terms(rows.sum(axis=0), history)
            rows = (rows + added) * scale
            baseline -= float((expected * scale) @ direction)
        return Contributions(rows @ direction, baseline=baseline)


def fit_fold_in(items: NDArray[np.float32], users: NDArray[np.float32], history: Histories) -> NDArray[np.float32]:
    """(N, D) fold-in vectors: item vectors (N, D), mapped so that their mean over a history comes closest to the user.

    Ridge regression of the vectors (U, D) of at most 5,000 users on the mean vectors of their liked items; U' = X W in
    closed form.
    """
    active = np.flatnonzero(history.positives().lengths > 0)
    if len(active) == 0:
        return items
    if len(active) > _MOST_USERS:
        active = np.sort(np.random.default_rng(0).choice(active, _MOST_USERS, replace=False))
    X, Y = FoldIn(items)(Queries.of_histories(history.take(active))), users[active]  # (U, D)
    gram, target = (X.T @ X).astype(np.float64) / len(X), (X.T @ Y).astype(np.float64) / len(X)
    penalty = _RIDGE * max(float(np.trace(gram)) / len(gram), 1e-12)  # in single precision rounding is far below it
    W = np.linalg.solve(gram + penalty * np.eye(len(gram)), target)  # (D, D)
    return (items @ W).astype(np.float32)
