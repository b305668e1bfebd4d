"""Embedding health: whether vectors spread over their space, and what their lengths follow. Arrays in, figures out."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Counts = NDArray[np.int64]

_MOST_ROWS = 20_000  # of a table that are looked at
_MOST_NEIGHBOURS = 5_000
_DEAD = 1e-3  # of the median length
_ALIKE = 1e-3  # share of the squared length that is left after centring
_NARROW = 0.1  # of the rank that is possible
_MANY_DEAD = 0.01  # of the rows
_LENGTH_IS_POPULARITY = 0.95
_FEW_COORDINATES = 8  # a table this narrow may rightly span one direction
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Space:
    """One table of vectors; docs/formats.md says what each figure is."""

    rows: int
    used_rows: int
    sampled_rows: int
    dim: int
    effective_rank: float
    effective_rank_share: float
    spread: float
    dead_rows: int
    norm_popularity: float | None
    collapsed: bool

    def warnings(self, noun: str) -> list[str]:
        """Warnings, a sentence each."""
        messages = []
        rank = f"effective rank {self.effective_rank:.1f} of {self.dim}"
        if self.collapsed and self.spread < _ALIKE:
            messages.append(f"the {noun} vectors have collapsed: they are all nearly the same")
        elif self.collapsed:
            messages.append(f"the {noun} vectors have collapsed: {rank}")
        elif self.effective_rank_share < _NARROW:
            messages.append(f"the {noun} vectors have {rank}, so a smaller dim or less weight decay may do as well")
        if self.dead_rows > _MANY_DEAD * self.sampled_rows:
            messages.append(f"{self.dead_rows:,} of {self.sampled_rows:,} {noun} vectors are dead (norm near 0)")
        if self.norm_popularity is not None and abs(self.norm_popularity) > _LENGTH_IS_POPULARITY:
            messages.append(f"the norm of {noun} vectors is mostly popularity (Spearman {self.norm_popularity:.2f})")
        return messages


@dataclass(frozen=True)
class Health:
    """Health of a model's item vectors, and of its user vectors where it has them."""

    items: Space
    users: Space | None = None

    def warnings(self) -> list[str]:
        """Warnings of both, a sentence each; empty where all is well."""
        return self.items.warnings("item") + (self.users.warnings("user") if self.users else [])

    def to_json(self) -> dict[str, Any]:
        """The documented JSON shape (docs/formats.md)."""
        users = None if self.users is None else asdict(self.users)
        return {"items": asdict(self.items), "users": users, "warnings": self.warnings()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Health":
        """Read what `to_json` gave; `TypeError` or `KeyError` for another shape."""
        return cls(Space(**values["items"]), None if values["users"] is None else Space(**values["users"]))


def choose_rows(counts: Counts, most: int | None = None) -> NDArray[np.int64]:
    """Rows with a positive (`counts` (N,) above 0), a fixed random `most` (20,000) of them where there are more."""
    most = _MOST_ROWS if most is None else most
    used = np.flatnonzero(counts > 0)
    if len(used) <= most:
        return used
    return np.sort(np.random.default_rng(0).choice(used, most, replace=False))


def measure(vectors: Vectors, counts: Counts, rows: NDArray[np.int64]) -> Space:
    """The health of a table from the `vectors` (S, D) of its `rows` (S,); `counts` (N,) positives of every row."""
    finite = np.isfinite(vectors).all(axis=1)
    sound = vectors[finite].astype(np.float64)
    lengths = np.linalg.norm(sound, axis=1)
    dead = int((lengths <= _DEAD * np.median(lengths)).sum()) if len(lengths) else 0
    dim = vectors.shape[1]
    rank, spread = effective_rank(sound), _spread(sound)
    most = max(1, min(dim, len(rows) - 1))
    narrow = rank < 2 and most >= _FEW_COORDINATES
    return Space(
        rows=len(counts),
        used_rows=int((counts > 0).sum()),
        sampled_rows=len(rows),
        dim=dim,
        effective_rank=rank,
        effective_rank_share=rank / most,
        spread=spread,
        dead_rows=dead + int((~finite).sum()),
        norm_popularity=_rank_correlation(lengths, counts[rows][finite]),
        collapsed=len(sound) > 1 and (narrow or spread < _ALIKE),
    )


def effective_rank(vectors: NDArray[np.floating]) -> float:
    """Dimensions that the vectors (N, D) spread over: exp of the entropy of their normalised singular values.

    Of the centred vectors; 1 for equal ones. Roy and Vetterli 2007, "The effective rank".

    >>> round(effective_rank(np.concatenate([np.eye(3), -np.eye(3)])), 4)
    3.0
    """
    if len(vectors) == 0 or _spread(vectors) < 1e-12:
        return 1.0
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    gram = centred.T @ centred if centred.shape[0] >= centred.shape[1] else centred @ centred.T
    singular = np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0.0))
    share = singular / singular.sum()
    share = share[share > 1e-7]  # what is smaller is rounding
    return float(np.exp(-(share * np.log(share)).sum()))


def neighbourhood_overlap(old: Vectors, new: Vectors, k: int = 10) -> float:
    """Mean share of the `k` nearest neighbours (cosine) that two versions (N, D) and (N, E) of vectors agree on.

    1 for equal neighbourhoods, about k / N for unrelated ones, and where there is nothing to compare 1. Of more than
    5,000 rows a fixed random 5,000 are compared among themselves.
    """
    rows = choose_rows(np.ones(len(old), dtype=np.int64), _MOST_NEIGHBOURS)
    k = min(k, len(rows) - 1)
    if k < 1:
        return 1.0
    before, after = _unit(old[rows]), _unit(new[rows])
    shared = 0
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        near = [np.sort(_nearest(unit, start, k), axis=1) for unit in (before, after)]
        offset = np.arange(len(near[0]))[:, None] * len(rows)
        shared += len(np.intersect1d(near[0] + offset, near[1] + offset, assume_unique=True))
    return shared / (k * len(rows))


def _nearest(unit: NDArray[np.float64], start: int, k: int) -> NDArray[np.int64]:
    """(B, k) the nearest other rows of rows `start` onwards."""
    block = unit[start : start + _ROWS_AT_ONCE]
    cosine = block @ unit.T  # (B, N)
    own = np.arange(len(block))
    cosine[own, own + start] = -np.inf
    return np.argpartition(-cosine, k - 1, axis=1)[:, :k]


def _unit(vectors: Vectors) -> NDArray[np.float64]:
    wide = np.nan_to_num(vectors.astype(np.float64))
    return wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-300)


def _spread(vectors: NDArray[np.floating]) -> float:
    """Share of the squared length that is left after centring: 0 where all are equal."""
    wide = vectors.astype(np.float64)
    total = float((wide**2).sum())
    return float(((wide - wide.mean(axis=0)) ** 2).sum()) / total if total > 0 else 0.0


def _rank_correlation(a: NDArray[np.float64], b: NDArray[np.int64]) -> float | None:
    """Spearman's correlation, None where either is constant."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def _ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """(M,) the place of each value among them all, from 1; equal values share the mean of theirs."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[group]
