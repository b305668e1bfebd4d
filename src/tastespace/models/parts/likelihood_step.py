"""LikelihoodStep: one step of a query vector up the likelihood of the liked items among all, in numpy alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from tastespace.data.histories import Histories
from tastespace.models.parts.popularity_prior import distinct_likes

_FARTHEST, _HALF_WAY = 3.0, 30  # of the step, and likes; benchmarks/fold_in.py
_RIVALS = 8192  # items that a step looks at by their bias, and as many at random


def shares(history: Histories, n_items: int) -> sp.csr_matrix:
    """(B, N) the likes of each list in proportion to their weights; rows of zeros without any."""
    likes = history.positives().matrix(n_items)
    total = np.maximum(np.asarray(likes.sum(axis=1), dtype=np.float32).ravel(), 1e-12)
    return sp.csr_matrix(sp.diags_array(1.0 / total) @ likes)


def scales(
    vectors: NDArray[np.floating], parts: Iterable[tuple[int, float | NDArray[np.floating]]]
) -> NDArray[np.floating]:
    """(B, D) what brings each part of the vectors, of a width, to a length: one for all, or (B, 1) their own."""
    found, start = np.ones_like(vectors), 0
    for width, length in parts:
        part = slice(start, start + width)
        found[:, part] = length / np.maximum(np.linalg.norm(vectors[:, part], axis=1, keepdims=True), 1e-12)
        start += width
    return found


@dataclass(frozen=True, eq=False)
class LikelihoodStep:
    """A step from a vector to the mean of its liked items, away from the mean of all as the softmax weighs them.

    `items` (N, D + n_bias) are ranked vectors, of which the first `n_rivals` (all) compete: items that come later do
    not change what is said of those before. `tail` (n_bias,) meets their biases. A step grows with the number of likes
    T, as 3 T / (T + 30), and the lengths of the parts of a vector, whose `widths` span D, stay as they were.
    """

    items: NDArray[np.float32]
    widths: Sequence[int]
    tail: NDArray[np.float32]
    n_rivals: int | None = None

    def __call__(self, found: NDArray[np.float32], history: Histories) -> NDArray[np.float32]:
        """(B, D) the vectors (B, D) after the step, one history each."""
        wanted = np.asarray(shares(history, len(self.items)) @ self.items[:, : found.shape[1]], dtype=np.float32)
        moved = found + _step(history)[:, None] * (wanted - self._expected(found))
        return moved * self._scales(found, moved)

    def terms(
        self, found: NDArray[np.float64], history: Histories
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """What the step of one vector (D,) is made of: `added` (T, D) by the history, `less` (D,), `scale` (D,).

        Afterwards it is scale (found + the sum of added - less).
        """
        liked = np.maximum(history.weights, 0.0).astype(np.float64)
        share = liked / max(float(liked.sum()), 1e-12)
        step, rows = float(_step(history)[0]), self.items[history.items, : len(found)].astype(np.float64)
        added = step * share[:, None] * rows
        less = step * self._expected(found[None, :].astype(np.float32))[0].astype(np.float64)
        scale = self._scales(found[None, :], (found + added.sum(axis=0) - less)[None, :])[0]
        return added, less, scale

    def _scales(self, before: NDArray[np.floating], after: NDArray[np.floating]) -> NDArray[np.floating]:
        """(B, D) what brings each part back to the length that it had."""
        parts = np.split(before, np.cumsum(self.widths)[:-1], axis=1)
        lengths = [np.linalg.norm(part, axis=1, keepdims=True) for part in parts]
        return scales(after, zip(self.widths, lengths, strict=True))

    @cached_property
    def _rivals(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Vectors (S, D) that liked ones compete with, and (S,) the constant part of their scores.

        All of them up to some ten thousand. Of more those with the highest biases, and a sample of the others, each of
        which stands for as many as were left out.
        """
        items, width = self.items[: self.n_rivals], sum(self.widths)
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


def _step(history: Histories) -> NDArray[np.float32]:
    """(B,) how far T likes lead."""
    likes = distinct_likes(history)
    return np.asarray(_FARTHEST * likes / (likes + _HALF_WAY + (likes == 0)), dtype=np.float32)
