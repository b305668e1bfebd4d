"""Fold-in: a query vector from a bare history and frozen item vectors, in numpy alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tastespace.data.histories import Histories

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
    """A query vector as the mean of one vector for each liked item of the history, weighted as the likes are.

    `vectors` (N, D) is what each item stands for. `parts` lists (width, length) pairs that together span D: the
    mean's coordinates of each part are scaled to that length; empty means no scaling. `tail` (n_bias,) are the
    constant last coordinates that meet the item biases.
    """

    vectors: NDArray[np.float32]
    parts: Sequence[tuple[int, float]]
    tail: NDArray[np.float32]

    def __call__(self, history: Histories) -> NDArray[np.float32]:
        """(B, D + n_bias) query vectors; an empty history gives zeros and the tail."""
        liked = history.positives()
        likes = liked.matrix(len(self.vectors))
        mean = np.asarray(likes @ self.vectors, dtype=np.float32)  # (B, D)
        mean /= np.maximum(np.asarray(likes.sum(axis=1)).reshape(-1, 1), 1e-12)
        start = 0
        for width, length in self.parts:
            part = mean[:, start : start + width]
            part *= length / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12)
            start += width
        tail = np.broadcast_to(self.tail, (len(mean), len(self.tail)))
        return np.concatenate([mean, tail], axis=1).astype(np.float32)

    def parts_of(self, history: Histories, item: NDArray[np.float32]) -> Parts:
        """What the score of an item's vector (D + n_bias,) for one history is the sum of."""
        liked = np.maximum(history.weights, 0.0).astype(np.float64)
        share = liked / max(float(liked.sum()), 1e-12)
        rows = self.vectors[history.items].astype(np.float64) * share[:, None]  # (T, D)
        width = self.vectors.shape[1]
        scale, start = np.ones(width), 0
        for size, length in self.parts:
            part = slice(start, start + size)
            scale[part] = length / max(float(np.linalg.norm(rows[:, part].sum(axis=0))), 1e-12)
            start += size
        return Parts(rows @ (scale * item[:width]), everybody=float(self.tail @ item[width:]))


def fit_fold_in(items: NDArray[np.float32], users: NDArray[np.float32], history: Histories) -> NDArray[np.float32]:
    """(N, D) fold-in vectors: item vectors (N, D), mapped so that the mean over a history comes nearest to the user.

    Ridge regression of the user vectors (U, D) on the mean vectors of their liked items; U' = X W in closed form.
    """
    means = FoldIn(items, (), np.zeros(0, dtype=np.float32))(history)  # (U, D)
    active = history.positives().lengths > 0
    X, Y = means[active].astype(np.float64), users[active].astype(np.float64)
    if len(X) == 0:
        return items
    gram = X.T @ X / len(X)
    penalty = _RIDGE * max(float(np.mean(X**2)), 1e-12)
    W = np.linalg.solve(gram + penalty * np.eye(X.shape[1]), X.T @ Y / len(X))  # (D, D)
    return (items @ W).astype(np.float32)
