"""The five verbs of an index."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Neighbours:
    """For each query the best places, best first; -1 with score -inf fills up where fewer are left."""

    indices: NDArray[np.int64]  # (B, K)
    scores: NDArray[np.float32]  # (B, K)


class Index(Protocol):
    """Maximum inner product search over N vectors; equal scores go to the lower index."""

    @classmethod
    def build(cls, vectors: NDArray[np.float32]) -> Self:
        """Index `vectors` (N, D)."""

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        exclude: Sequence[NDArray[np.int64]] | None = None,
        allow: NDArray[np.int64] | None = None,
    ) -> Neighbours:
        """The `k` best for each of `queries` (B, D): never one of the query's own `exclude`, only ones in `allow`."""

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Append vectors; their indices go on from N."""

    def save(self, path: Path) -> None:
        """Write the index to a file."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read an index that `save` wrote."""
