"""Likelihood step: one step of a query vector up the likelihood of its positives among all items, in numpy alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from tastespace.data.histories import Histories
from tastespace.models.parts.popularity_prior import n_distinct_positives

_LONGEST_STEP, _HALF_LENGTH_AT = 3.0, 30  # a step, and a number of positives; benchmarks/fold_in.py
_CANDIDATES = 8192  # items with the highest biases that a step normalises over, and as many at random


def shares(history: Histories, n_items: int) -> sp.csr_matrix:
    """(B, N) positives of each list in proportion to their weights; rows of zeros where there are none."""
    likes = history.positives().matrix(n_items)
    total = np.maximum(np.asarray(likes.sum(axis=1), dtype=np.float32).ravel(), 1e-12)
    return sp.csr_matrix(sp.diags_array(1.0 / total) @ likes)


def scales(
    vectors: NDArray[np.floating], blocks: Iterable[tuple[int, float | NDArray[np.floating]]]
) -> NDArray[np.floating]:
    """(B, D) factors that bring each block of coordinates, given as (width, length), to its length, () or (B, 1)."""
    factors, start = np.ones_like(vectors), 0
    for width, length in blocks:
        block = slice(start, start + width)
        factors[:, block] = length / np.maximum(np.linalg.norm(vectors[:, block], axis=1, keepdims=True), 1e-12)
        start += width
    return factors


@dataclass(frozen=True, eq=False)
class LikelihoodStep:
    """A step from a vector to the mean of its positives, away from the mean of all items as the softmax weighs them.

    It is the gradient of the log-likelihood of the positives. `items` (N, D + n_bias) are ranked vectors, of which the
    first `n_candidates` (all) are normalised over: items added later do not change what is answered about the others.
    `bias_query` (n_bias,) multiplies their biases. The step length grows with the number of positives T, as
    3 T / (T + 30); the blocks of a vector, whose `widths` span D, keep their lengths.
    """

    items: NDArray[np.float32]
    widths: Sequence[int]
    bias_query: NDArray[np.float32]
    n_candidates: int | None = None

    def __call__(self, vectors: NDArray[np.float32], history: Histories) -> NDArray[np.float32]:
        """(B, D) the vectors (B, D) after the step, one history each."""
        target = np.asarray(shares(history, len(self.items)) @ self._vectors, dtype=np.float32)
        moved = vectors + _step_lengths(history)[:, None] * (target - self._expected(vectors))
        return moved * self._scales(vectors, moved)

    def terms(
        self, vector: NDArray[np.float64], history: Histories
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Terms of the step of one vector (D,): `added` (T, D) by the history, `expected` (D,), `scale` (D,).

        Afterwards the vector is scale (vector + the sum of added - expected).
        """
        positive = np.maximum(history.weights, 0.0).astype(np.float64)
        share = positive / max(float(positive.sum()), 1e-12)
        length, rows = float(_step_lengths(history)[0]), self.items[history.items, : len(vector)].astype(np.float64)
        added = length * share[:, None] * rows
        expected = length * self._expected(vector[None, :].astype(np.float32))[0].astype(np.float64)
        scale = self._scales(vector[None, :], (vector + added.sum(axis=0) - expected)[None, :])[0]
        return added, expected, scale

    def _scales(self, before: NDArray[np.floating], after: NDArray[np.floating]) -> NDArray[np.floating]:
        """(B, D) factors that bring each block back to its length before."""
        blocks = np.split(before, np.cumsum(self.widths)[:-1], axis=1)
        lengths = [np.linalg.norm(block, axis=1, keepdims=True) for block in blocks]
        return scales(after, zip(self.widths, lengths, strict=True))

    @cached_property
    def _vectors(self) -> NDArray[np.float32]:
        """(N, D) the items without their biases."""
        return np.ascontiguousarray(self.items[:, : sum(self.widths)])

    @cached_property
    def _candidates(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Vectors (S, D) that the softmax normalises over, and (S,) the constant part of their scores.

        All items up to some sixteen thousand. Of more, those with the highest biases, and a sample of the others, each
        weighted by the number of items that it represents.
        """
        items, width = self.items[: self.n_candidates], sum(self.widths)
        constant = items[:, width:] @ self.bias_query
        if len(constant) <= 2 * _CANDIDATES:
            return np.ascontiguousarray(items[:, :width]), constant
        order = np.argsort(-constant, kind="stable")
        sample = np.random.default_rng(0).choice(order[_CANDIDATES:], _CANDIDATES, replace=False)
        chosen = np.concatenate([order[:_CANDIDATES], sample])
        log_weight = np.repeat([0.0, np.log((len(order) - _CANDIDATES) / _CANDIDATES)], _CANDIDATES)
        return np.ascontiguousarray(items[chosen, :width]), (constant[chosen] + log_weight).astype(np.float32)

    def _expected(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, D) mean of the candidates' vectors in proportion to the softmax of their scores for `vectors` (B, D)."""
        candidates, constant = self._candidates
        scores = vectors @ candidates.T + constant  # (B, S)
        np.exp(scores - scores.max(axis=1, keepdims=True), out=scores)
        return (scores @ candidates) / scores.sum(axis=1, keepdims=True)


def _step_lengths(history: Histories) -> NDArray[np.float32]:
    """(B,) length of the step for T positives."""
    positives = n_distinct_positives(history)
    return np.asarray(_LONGEST_STEP * positives / (positives + _HALF_LENGTH_AT + (positives == 0)), dtype=np.float32)
