"""iALS: matrix factorisation by alternating least squares, each side solved exactly while the other is held.

Hu, Koren and Volinsky 2008, "Collaborative filtering for implicit feedback datasets": every pair not in the log is
a zero of little weight. Regularisation is scaled by the frequency of a row, as in Rendle, Krichene, Zhang and Koren
2022, "Revisiting the performance of iALS on item recommendation benchmarks". Unlike there, a disliked item may count as
a zero of more weight than an unobserved pair. Any user, known or new, is the exact solution for their history.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tastespace._progress import track
from tastespace.config import AutoFloat, AutoInt, check, option, to_mapping
from tastespace.data.histories import Histories
from tastespace.data.interactions import Interactions
from tastespace.data.queries import Queries
from tastespace.errors import TrainingError
from tastespace.models.base import RECENCY, Factored, Range, Shapes
from tastespace.models.parts.contributions import Contributions
from tastespace.models.parts.popularity_prior import popularity_scores, popularity_weight
from tastespace.models.parts.recency import recency_option, weighted_by_recency

_CELLS = 2**22  # floats of the vectors, and of the matrices, that are gathered at a time


@dataclass(frozen=True)
class IALSConfig:
    """Dimension, weights and regularisation."""

    dim: AutoInt = option("auto", "embedding dimension", usual=(16, 512), at_least=1)
    unobserved_weight: AutoFloat = option(
        "auto", "α₀: weight of an unobserved pair; a positive has 1", usual=(0.01, 1), above=0, at_most=1000
    )
    disliked_weight: float = option(0.0, "additional weight of a disliked pair", usual=(0, 2), at_least=0, at_most=1000)
    l2: AutoFloat = option("auto", "regularisation λ", usual=(1e-2, 10), above=0, at_most=1e6)
    l2_exponent: float = option(
        0.5, "ν: exponent of frequency-scaled regularisation; 0: equal for all rows", at_least=0, at_most=2
    )
    iterations: int = option(10, "ALS iterations", usual=(5, 30), at_least=1)
    recency: AutoFloat = recency_option()

    def __post_init__(self) -> None:
        check(self)


class IALS(Factored):
    """Item vectors by alternating least squares; users are solved for at query time."""

    about = "alternating least squares over all pairs"
    pick = "no learning rate to tune, and an exact fold-in of any history, new users included"
    Config = IALSConfig
    n_bias = 1
    config: IALSConfig
    items: Tensor
    popular: Tensor
    has_dislikes: Tensor

    def __init__(self, config: IALSConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        self.register_buffer("items", torch.zeros(shapes.n_items, self.config.dim))  # (N, D)
        self.register_buffer("popular", torch.zeros(shapes.n_items))  # (N,) for queries with a short history
        self.register_buffer(
            "has_dislikes", torch.zeros((), dtype=torch.bool)
        )  # whether the training rows have any dislike

    @classmethod
    def ranges(cls, shapes: Shapes) -> Mapping[str, Range]:
        """Return ranges of recency, of the weight of unobserved pairs, of the regularisation and of smaller dimensions.

        All unobserved pairs of a user together start at the weight of some 160 positives: a constant for each pair
        would bury the few positives of a user under a large catalogue.
        """
        weights = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
        nearest = min(weights, key=lambda weight: abs(np.log(weight * max(1, shapes.n_items) / 160)))
        n_items = shapes.n_items
        dim = 64 if n_items < 1000 else 128 if n_items < 5000 else 256 if n_items < 50_000 else 512
        dim = shapes.affordable_dim(dim)
        return {
            "recency": RECENCY,
            "unobserved_weight": Range(weights, nearest),
            "l2": Range((0.05, 0.1, 0.2, 0.4, 0.8, 1.6), 0.4),
            "dim": Range(tuple(value for value in (32, 64, 128, 256, 512) if value <= dim), dim),
        }

    @classmethod
    def stand_in(cls, config: Any, epochs: int) -> tuple[str, Mapping[str, Any]]:
        """Fewer dimensions and iterations."""
        cheaper = {"dim": min(config.dim, 128), "iterations": min(config.iterations, 3)}
        return "ials", {**to_mapping(config), **cheaper}

    @classmethod
    def memory_bytes(cls, config: Any, shapes: Shapes, n_rows: int, batch_size: int) -> int:
        """Forecast both tables, the log from both sides, and the linear systems of a chunk."""
        dim = cls.settle_config(config, shapes).dim
        tables = 2 * 4 * dim * (shapes.n_users + shapes.n_items)
        return tables + 2 * 24 * n_rows + 4 * 4 * max(_CELLS, dim**2)

    def prepare(self, train: Interactions) -> None:
        """Solve users and items in turn."""
        self.has_dislikes = torch.tensor(bool((train.weight < 0).any()))
        by_user = self._used_rows(train.histories())
        by_item = _transposed(by_user, train.n_items)
        self.items = torch.randn(train.n_items, self.config.dim) * 0.1 / self.config.dim**0.5
        with track("iALS iterations", total=self.config.iterations) as tick:
            for iteration in range(self.config.iterations):
                users = self.solve(by_user, self.items)
                self.items = self.solve(by_item, users)
                tick(iteration + 1)
        likes = np.bincount(train.positives().item, minlength=train.n_items)
        self.popular = torch.from_numpy(
            popularity_scores(likes, lambda queries: (self.solve(queries.history, self.items) @ self.items.T).numpy())
        )

    @torch.no_grad()
    def solve(self, lists: Histories, fixed: Tensor, by_recency: Histories | None = None) -> Tensor:
        """(B, D) the vectors whose products with the `fixed` ones (M, D) of the other side fit the lists best.

        The minimiser of the sum over a list of w (1 - p q)^2, or of w (p q)^2 where it is disliked, plus
        `unobserved_weight` (p q)^2 over all others, plus `l2` (total weight)^`l2_exponent` |p|^2.

        Where `by_recency`, the lists with weights multiplied by a factor f, are given, the first term becomes
        w min(f, 1) (max(f, 1) - p q)^2: newer rows pull further, and older ones are fitted less closely.
        """
        c = self.config
        common = c.unobserved_weight * (fixed.T @ fixed)  # (D, D)
        likes = np.bincount(lists.rows, np.maximum(lists.weights, 0), minlength=len(lists))
        penalty = c.l2 * (likes + c.unobserved_weight * len(fixed)) ** c.l2_exponent  # (B,)
        self._require_finite(common)
        squares, basis = torch.linalg.eigh(common)
        solved = fixed.new_zeros(len(lists), c.dim)
        for rows in _chunks(lists.lengths, c.dim):
            weighed = None if by_recency is None else by_recency.take(rows)
            padded = _padded(lists.take(rows), weighed, c.disliked_weight)
            indices, weight, target = (table.to(fixed.device) for table in padded)
            gathered, penalties = fixed[indices], torch.from_numpy(penalty[rows]).to(fixed)  # (b, T, D), (b,)
            if 2 * gathered.shape[1] <= c.dim:
                vectors = _solve_by_cells(squares, basis, gathered, weight, target, penalties)
            else:
                vectors = _solve_by_coordinates(common, gathered, weight, target, penalties)
            self._require_finite(vectors)
            solved[torch.from_numpy(rows)] = vectors
        return solved

    def _require_finite(self, numbers: Tensor) -> None:
        if not bool(torch.isfinite(numbers).all()):
            c = self.config
            raise TrainingError(
                f"ials cannot solve for its vectors with l2={c.l2:g}, unobserved_weight={c.unobserved_weight:g}: "
                "float32 is not precise enough; raise l2"
            )

    @torch.no_grad()
    def contributions(self, query: Queries, item: int) -> Contributions:
        """Terms of each item of the history: the solution is linear in their targets."""
        history = query.history
        added = np.zeros(len(history.items))
        used = self._used_rows(history)
        liked = used.positives()
        baseline = float(popularity_weight(query)[0]) * float(self.popular[item])
        if len(liked.items) == 0:
            return Contributions(added, baseline=baseline)
        c, items = self.config, self.items
        indices, weight, target = (table[0] for table in _padded(used, self._by_recency(history), c.disliked_weight))
        gathered = items[indices]  # (T, D)
        matrix = c.unobserved_weight * (items.T @ items) + gathered.T @ (gathered * weight[:, None])
        penalty = c.l2 * (float(liked.weights.sum()) + c.unobserved_weight * len(items)) ** c.l2_exponent
        matrix.diagonal().add_(penalty)
        direction = torch.linalg.solve(matrix, items[item])  # (D,)
        added[history.weights > 0] = (target * (gathered @ direction))[target > 0].numpy()
        return Contributions(added, baseline=baseline)

    def _used_rows(self, history: Histories) -> Histories:
        """Positives, and dislikes where they have a weight."""
        if self.config.disliked_weight > 0 and bool(self.has_dislikes):
            return history.keep(history.weights != 0)
        return history.positives()

    def _by_recency(self, history: Histories) -> Histories | None:
        """The used rows with their weights multiplied by the factors of recency; None where all are 1."""
        return None if self.recency == 1 else self._used_rows(weighted_by_recency(history, self.recency))

    def encode_items(self, features: Tensor | None = None) -> Tensor:
        """(N, D + 1) vectors, and popularity."""
        return torch.cat([self.items, self.popular[:, None]], dim=1)

    def encode_queries(self, queries: Queries) -> Tensor:
        """(B, D + 1) the exact solution for each history, and the weight of popularity."""
        vectors = self.solve(self._used_rows(queries.history), self.items, self._by_recency(queries.history))
        weight = torch.from_numpy(popularity_weight(queries)).to(vectors.device)
        return torch.cat([vectors, weight[:, None]], dim=1)


def _solve_by_coordinates(common: Tensor, gathered: Tensor, weight: Tensor, target: Tensor, penalty: Tensor) -> Tensor:
    """(b, D) solutions of lists (b, T) of gathered vectors (b, T, D), one system of D equations each."""
    matrix = torch.baddbmm(common.expand(len(gathered), -1, -1), gathered.mT, gathered * weight[..., None])
    matrix.diagonal(dim1=1, dim2=2).add_(penalty[:, None])
    factor, failed = torch.linalg.cholesky_ex(matrix)
    solution = torch.cholesky_solve((gathered * target[..., None]).sum(dim=1)[..., None], factor).squeeze(-1)
    return solution.masked_fill((failed != 0)[:, None], torch.nan)


def _solve_by_cells(
    squares: Tensor, basis: Tensor, gathered: Tensor, weight: Tensor, target: Tensor, penalty: Tensor
) -> Tensor:
    """(b, D) the same solutions, for lists much shorter than D, by one system of T equations each.

    `squares` (D,) and `basis` (D, D) are the eigenvalues and eigenvectors of the matrix that all lists have in common.
    With the penalty it is inverted in closed form, and the list is a correction of rank T (Woodbury).
    """
    scale = (squares + penalty[:, None]).rsqrt()  # (b, D)
    root = weight.sqrt()
    scaled = (gathered @ basis) * scale[:, None] * root[..., None]  # (b, T, D)
    matrix = scaled @ scaled.mT
    matrix.diagonal(dim1=1, dim2=2).add_(1.0)
    right = torch.where(weight > 0, target / root, 0.0)
    factor, failed = torch.linalg.cholesky_ex(matrix)
    cells = torch.cholesky_solve(right[..., None], factor)  # (b, T, 1)
    solution = ((scaled.mT @ cells).squeeze(-1) * scale) @ basis.T
    return solution.masked_fill((failed != 0)[:, None], torch.nan)


def _transposed(lists: Histories, n_items: int) -> Histories:
    """Users of each item (N lists)."""
    order = np.argsort(lists.items, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(lists.items, minlength=n_items))]).astype(np.int64)
    return Histories(lists.rows[order].astype(np.int32), offsets, lists.weights[order])


def _chunks(lengths: NDArray[np.int64], dim: int) -> Iterator[NDArray[np.int64]]:
    """Indices of lists of similar length, in chunks whose vectors and linear systems fit a bound on memory."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        cells = dim * max(dim, int(lengths[order[start]]), 1)
        end = start + max(1, _CELLS // cells)
        yield order[start:end]
        start = end


def _padded(lists: Histories, by_recency: Histories | None, disliked: float) -> tuple[Tensor, Tensor, Tensor]:
    """(b, T) indices, weights and weighted targets; cells beyond a list's end have weight 0.

    `by_recency` are the lists with weights multiplied by the factors of recency, if these are not all 1.
    """
    by_recency = lists if by_recency is None else by_recency
    width = max(1, int(lists.lengths.max(initial=0)))
    where = (lists.rows, np.arange(len(lists.items)) - np.repeat(lists.offsets[:-1], lists.lengths))
    indices = np.zeros((len(lists), width), dtype=np.int64)
    weight, target = np.zeros((2, len(lists), width), dtype=np.float32)
    indices[where] = lists.items
    least = np.minimum(np.abs(lists.weights), np.abs(by_recency.weights))
    weight[where] = np.where(lists.weights > 0, least, disliked * least)
    target[where] = np.maximum(by_recency.weights, 0)
    return torch.from_numpy(indices), torch.from_numpy(weight), torch.from_numpy(target)


MODEL = IALS
