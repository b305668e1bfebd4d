"""The five verbs of an index."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from tastespace.errors import OptionError


@dataclass(frozen=True, eq=False)
class Neighbours:
    """For each query the best places, best first; -1 with score -inf fills up where fewer are left."""

    indices: NDArray[np.int64]  # (B, K)
    scores: NDArray[np.float32]  # (B, K)


@dataclass(frozen=True)
class Effort:
    """How much of what there is a search looks at, where that is not everything."""

    lists: int | None = None  # that there are
    reach: int | None = None  # lists looked at; or candidates that a walk through a graph keeps
    rescored: int | None = None  # candidates, beside those wanted, that codes are not trusted with


class Index(Protocol):
    """Maximum inner product search over N vectors; among what is found equal scores go to the lower index."""

    kind: ClassVar[str]
    vectors: NDArray[np.float32]  # (N, D)

    @property
    def overlay(self) -> int:
        """How many of the last vectors came after the build: they are searched in full."""

    @property
    def nbytes(self) -> int:
        """What it holds beside the vectors that it was given."""

    @property
    def effort(self) -> Effort:
        """How much of what there is a search looks at."""

    def more(self) -> bool:
        """Look at twice as much from now on; False where a search looks at all that there is already."""

    @classmethod
    def build(cls, vectors: NDArray[np.float32]) -> Self:
        """Index `vectors` (N, D), which are kept as they are, not copied."""

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
        """The `k` best for each of `queries` (B, D): never one of the query's own `exclude` (places in any order).

        Only those that `allow` (N,), where it is given. There are `k` of them wherever so many are left.
        """

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Append vectors; their indices go on from N. Costs a copy of all vectors: build again when they are many."""

    def save(self, folder: Path) -> None:
        """Write what was built to an empty folder; vectors themselves, and those added, are not part of it."""

    @classmethod
    def load(cls, folder: Path, vectors: NDArray[np.float32]) -> Self:
        """Open what `save` wrote, for the vectors (N, D) that it was built from, and those added since, in their order.

        Raises `BundleError` for anything else.
        """


def check_search(width: int, queries: NDArray[np.float32], k: int) -> None:
    """Raise `OptionError` for what is no question to vectors of a `width`."""
    if k < 1:
        raise OptionError(f"k is {k}, but at least 1 is expected")
    if queries.ndim != 2 or queries.shape[1] != width:
        raise OptionError(f"queries of width {width} are expected, not shape {queries.shape}")


def check_vectors(vectors: NDArray[np.float32], width: int | None = None) -> NDArray[np.float32]:
    """The vectors (N, D) as float32; `OptionError` for another shape."""
    if vectors.ndim != 2:
        raise OptionError(f"vectors (N, D) are expected, not an array of {vectors.ndim} dimensions")
    if width is not None and vectors.shape[1] != width:
        raise OptionError(f"vectors of width {width} are expected, not shape {vectors.shape}")
    return np.asarray(vectors, dtype=np.float32)
