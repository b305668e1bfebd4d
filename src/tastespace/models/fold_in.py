"""Fold-in: a query vector from a bare history and frozen item vectors, in numpy alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from tastespace.data.histories import Histories
from tastespace.data.queries import Queries
from tastespace.models.evidence import distinct_likes, left_to_everybody

_RIDGE = 0.03  # of the mean square of a coordinate; benchmarks/fold_in.py
_FARTHEST, _HALF_WAY = 3.0, 30  # of the step, and likes; benchmarks/fold_in.py
_RIVALS = 8192  # items that a step looks at by their bias, and as many at random


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
    """A query vector from the liked items of a history, in two moves; the second only where `items` are given.

    First the mean of one vector for each, weighted as the likes are. `vectors` (N, D) is what each item stands for.
    `parts` lists (width, length) pairs that together span D: the mean's coordinates of each part are scaled to that
    length; empty means no scaling. Then one step up the likelihood of the liked items among all: the mean of their
    ranked vectors, less the mean of all vectors in proportion to the softmax of their scores. `items` (N, D + n_bias)
    are the vectors as ranked, of which the first `n_rivals` (all) compete: items that come later change no answer about
    those before. The step grows with the number of likes T, as 3 T / (T + 30), and lengths stay.

    `tail` (n_bias,) are the last coordinates, which meet the item biases, and `little` (n_bias,) what is added to them
    in the proportion that is left to everybody (see `evidence`).
    """

    vectors: NDArray[np.float32]
    parts: Sequence[tuple[int, float]] = ()
    tail: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    little: NDArray[np.float32] | None = None
    items: NDArray[np.float32] | None = None
    n_rivals: int | None = None

    def __call__(self, queries: Queries) -> NDArray[np.float32]:
        """(B, D + n_bias) query vectors; an empty history gives zeros and the tail."""
        liked = queries.history.positives()
        likes = liked.matrix(len(self.vectors))
        share = sp.csr_matrix(
            sp.diags_array(1.0 / np.maximum(np.asarray(likes.sum(axis=1), np.float32).ravel(), 1e-12)) @ likes
        )
        found = self._to_lengths(np.asarray(share @ self.vectors, dtype=np.float32))  # (B, D)
        if self.items is not None and found.shape[1]:
            width = found.shape[1]
            wanted = np.asarray(share @ self.items[:, :width], dtype=np.float32)
            step = _step(np.diff(likes.indptr))[:, None]
            found = self._to_lengths(found + step * (wanted - self._expected(found)))
        return np.concatenate([found, self._tails(queries)], axis=1).astype(np.float32)

    def _to_lengths(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """The vectors (B, D), each part at its length."""
        return vectors * self._scales(vectors)

    def _scales(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, D) what brings each part of the vectors to its length."""
        scales, start = np.ones_like(vectors), 0
        for width, length in self.parts:
            part = slice(start, start + width)
            scales[:, part] = length / np.maximum(np.linalg.norm(vectors[:, part], axis=1, keepdims=True), 1e-12)
            start += width
        return scales

    def _tails(self, queries: Queries) -> NDArray[np.float32]:
        """(B, n_bias)."""
        little = np.zeros_like(self.tail) if self.little is None else self.little
        return self.tail + left_to_everybody(queries)[:, None] * little

    @cached_property
    def _rivals(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Vectors (S, D) that liked ones compete with, and (S,) the constant part of their scores.

        All of them up to some ten thousand. Of more those with the highest biases, and a sample of the others, each of
        which stands for as many as were left out.
        """
        items, width = cast("NDArray[np.float32]", self.items)[: self.n_rivals], self.vectors.shape[1]
        constant = items[:, width:] @ self.tail
        if len(constant) <= 2 * _RIVALS:
            return np.ascontiguousarray(items[:, :width]), constant
        order = np.argsort(-constant, kind="stable")
        others = np.random.default_rng(0).choice(order[_RIVALS:], _RIVALS, replace=False)
        held = np.concatenate([order[:_RIVALS], others])
        standing_for = np.repeat([0.0, np.log((len(order) - _RIVALS) / _RIVALS)], _RIVALS)
        return np.ascontiguousarray(items[held, :width]), (constant[held] + standing_for).astype(np.float32)

    def _expected(self, found: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, D) the mean of all ranked vectors in proportion to the softmax of their scores for `found` (B, D)."""
        vectors, constant = self._rivals
        scores = found @ vectors.T + constant  # (B, S)
        np.exp(scores - scores.max(axis=1, keepdims=True), out=scores)
        return (scores @ vectors) / scores.sum(axis=1, keepdims=True)

    def to_json(self) -> dict[str, Any]:
        """All but the vectors, as plain values."""
        return {
            "parts": [list(part) for part in self.parts],
            "tail": self.tail.tolist(),
            "little": self.tail.tolist() if self.little is None else self.little.tolist(),
            "step": self.items is not None,
        }

    def parts_of(self, query: Queries, item: NDArray[np.float32]) -> Parts:
        """What the score of an item's vector (D + n_bias,) for one query is the sum of, its user's row aside."""
        history = query.history
        liked = np.maximum(history.weights, 0.0).astype(np.float64)
        share = (liked / max(float(liked.sum()), 1e-12))[:, None]
        width = self.vectors.shape[1]
        rows = self.vectors[history.items].astype(np.float64) * share  # (T, D)
        rows *= self._scales(rows.sum(axis=0, keepdims=True))
        everybody = float(self._tails(query)[0] @ item[width:])
        if self.items is not None and width:
            found = rows.sum(axis=0, keepdims=True)
            step = float(_step(distinct_likes(history))[0])
            rows += step * share * self.items[history.items, :width]
            less = step * self._expected(found.astype(np.float32)).astype(np.float64)
            scale = self._scales(rows.sum(axis=0, keepdims=True) - less)[0]
            rows *= scale
            everybody -= float((less[0] * scale) @ item[:width])
        return Parts(rows @ item[:width].astype(np.float64), everybody=everybody)


def _step(likes: NDArray[np.int64]) -> NDArray[np.float32]:
    """How far T likes lead up their likelihood; benchmarks/fold_in.py."""
    return np.asarray(_FARTHEST * likes / (likes + _HALF_WAY), dtype=np.float32)


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
