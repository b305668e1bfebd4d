"""Interface of an index: build, search, add, save, load."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from tastespace.errors import OptionError


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Indices and scores of the nearest vectors of each query, best first; -1 and -inf where fewer than K exist."""

    indices: NDArray[np.int64]  # (B, K)
    scores: NDArray[np.float32]  # (B, K)


@dataclass(frozen=True)
class SearchSettings:
    """Extent of an approximate search; None for what an index does not have."""

    n_lists: int | None = None
    nprobe: int | None = None  # lists scanned a query
    n_rescored: int | None = None  # candidates beyond those requested whose exact scores are computed


class Index(Protocol):
    """Maximum inner product search over N vectors; equal scores rank by ascending index."""

    kind: ClassVar[str]
    vectors: NDArray[np.float32]  # (N, D)

    @property
    def n_unindexed(self) -> int:
        """Number of vectors added since the build, the last ones; they are searched exhaustively."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory beside the vectors."""

    @property
    def settings(self) -> SearchSettings:
        """Extent of a search."""

    def widen(self) -> bool:
        """Double the extent of a search; False where it is already exhaustive."""

    @classmethod
    def build(cls, vectors: NDArray[np.float32]) -> Self:
        """Index `vectors` (N, D), which are referenced, not copied."""

    def __len__(self) -> int:
        """N."""

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        exclude: Sequence[NDArray[np.int64]] | None = None,
        allow: NDArray[np.bool_] | None = None,
    ) -> Neighbours:
        """Find the `k` best vectors for each of `queries` (B, D).

        `exclude` holds the indices to leave out for each query, in any order; `allow` (N,) restricts the results of
        all. There are `k` results wherever `k` vectors remain.
        """

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Append vectors, with indices from N on. Copies all vectors: build again when many were added."""

    def save(self, folder: Path) -> None:
        """Write the built structure to an empty folder; neither the vectors nor those added since are part of it."""

    @classmethod
    def load(cls, folder: Path, vectors: NDArray[np.float32]) -> Self:
        """Load what `save` wrote. `vectors` (N, D) are those it was built from, then those added since, in order.

        Raises `BundleError` for anything else.
        """


def check_search(width: int, queries: NDArray[np.float32], k: int) -> None:
    """Raise `OptionError` for queries of another width, and for a `k` below 1."""
    if k < 1:
        raise OptionError(f"k is {k}, but at least 1 is expected")
    if queries.ndim != 2 or queries.shape[1] != width:
        raise OptionError(f"queries of width {width} are expected, not shape {queries.shape}")


def check_vectors(vectors: NDArray[np.float32], width: int | None = None) -> NDArray[np.float32]:
    """Return the vectors (N, D) as float32; raise `OptionError` for another shape."""
    if vectors.ndim != 2:
        raise OptionError(f"vectors (N, D) are expected, not an array of {vectors.ndim} dimensions")
    if width is not None and vectors.shape[1] != width:
        raise OptionError(f"vectors of width {width} are expected, not shape {vectors.shape}")
    return np.asarray(vectors, dtype=np.float32)
