"""What every approximate index does the same way: hide, allow, search what was added in full, always find k.

An index covers the first M of N vectors; those from M on, the overlay, came after it was built, and every search meets
them all. A kind says what it finds among the first M. From there: more are asked for than are wanted, hidden ones are
dropped, and where fewer than k are left all vectors are looked at, so k come back where k exist.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import faiss
import numpy as np
from numpy.typing import NDArray

from tastespace.errors import BundleError
from tastespace.index.base import Neighbours, check_search, check_vectors
from tastespace.index.exact import ExactIndex

Vectors = NDArray[np.float32]
Places = NDArray[np.int64]
Mask = NDArray[np.bool_]

_HEAD = 0.02  # of the vectors
_NARROW = 0.02  # of the vectors: where fewer are allowed, all of them are looked at
_MANY = 0.25  # of what is allowed: where more are wanted, all of it is looked at


class Approximate(ABC):
    """Search of the first `n_indexed` vectors by what was built of them, and of the others in full."""

    kind: ClassVar[str]

    def __init__(self, vectors: Vectors, n_indexed: int) -> None:
        self.vectors, self.n_indexed = vectors, n_indexed

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def overlay(self) -> int:
        """N - M."""
        return len(self.vectors) - self.n_indexed

    @abstractmethod
    def _look(self, queries: Vectors, wanted: int, share: float, allow: Mask | None) -> tuple[Vectors, Places]:
        """Scores and places (B, W), in no order, of some of the first M, with what are thought the best `wanted`.

        -1 stands for none. Only those that `allow` (M,), if any, which is a `share` of them all.
        """

    def search(
        self,
        queries: Vectors,
        k: int,
        *,
        exclude: Sequence[Places] | None = None,
        allow: Mask | None = None,
    ) -> Neighbours:
        """The `k` best found for each of `queries` (B, D)."""
        check_search(self.vectors.shape[1], queries, k)
        out = [np.zeros(0, np.int64)] * len(queries) if exclude is None else exclude
        wanted = k + max((len(one) for one in out), default=0)
        share = 1.0 if allow is None else float(np.count_nonzero(allow)) / max(1, len(self))
        whole = ExactIndex(self.vectors)
        if self._looks_everywhere(wanted, share):
            return whole.search(queries, k, exclude=exclude, allow=allow)
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        scores, found = self._candidates(queries, wanted, share, allow)
        indices, best = np.full((len(queries), k), -1, dtype=np.int64), np.full((len(queries), k), -np.inf, np.float32)
        for row, hidden in enumerate(out):
            keep = found[row] >= 0
            if len(hidden):
                keep &= ~np.isin(found[row], hidden)
            own, places = scores[row][keep], found[row][keep]
            if len(own) < k:  # not enough was found: look everywhere, once
                rest = whole.search(queries[row : row + 1], k, exclude=[hidden], allow=allow)
                indices[row], best[row] = rest.indices[0], rest.scores[0]
                continue
            order = np.lexsort((places, -own))[:k]
            indices[row], best[row] = places[order], own[order]
        return Neighbours(indices, best)

    def _looks_everywhere(self, wanted: int, share: float) -> bool:
        """Whether that is quicker than to look in some places, and then at more."""
        return share <= _NARROW or wanted > _MANY * share * len(self)

    def _candidates(self, queries: Vectors, wanted: int, share: float, allow: Mask | None) -> tuple[Vectors, Places]:
        """The same of all N."""
        n = self.n_indexed
        parts = []
        if n:
            parts.append(self._look(queries, min(wanted, n), share, None if allow is None else allow[:n]))
        if self.overlay:
            parts.append(best_products(queries, self.vectors[n:], np.arange(n, len(self)), wanted, allow))
        return together(parts)

    def _check_places(self, found: Places) -> None:
        """What lies on disk is not looked through when it is opened, so each answer is."""
        if found.max(initial=-1) >= self.n_indexed:
            raise BundleError("the lists of this index name vectors that are not there; build it again")

    def add(self, vectors: Vectors) -> None:
        """Append vectors to the overlay; costs a copy of all."""
        self.vectors = np.concatenate([self.vectors, check_vectors(vectors, self.vectors.shape[1])])


def head_and_tail(vectors: Vectors) -> tuple[Places, Places]:
    """Places of the longest vectors, and of the others, both ascending."""
    order = np.argsort(-np.linalg.norm(vectors, axis=1), kind="stable")
    heads = int(_HEAD * len(vectors))
    return np.sort(order[:heads]), np.sort(order[heads:])


def directions(vectors: Vectors) -> Vectors:
    """The same at length 1; no length stays none."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1), np.float32(1e-12))[:, None]


def best_products(
    queries: Vectors, vectors: Vectors, places: Places, wanted: int, allow: Mask | None
) -> tuple[Vectors, Places]:
    """Scores and places (B, W) of up to `wanted` best of `vectors`, which stand at `places`, in no order."""
    own = queries @ vectors.T
    if allow is not None:
        there = np.flatnonzero(allow[places])
        own, places = own[:, there], places[there]
    if own.shape[1] <= wanted:
        return own, np.broadcast_to(places, own.shape)
    best = np.argpartition(own, own.shape[1] - wanted, axis=1)[:, -wanted:]
    return np.take_along_axis(own, best, axis=1), places[best]


def together(parts: Sequence[tuple[Vectors, Places]]) -> tuple[Vectors, Places]:
    """Side by side."""
    return np.concatenate([part[0] for part in parts], axis=1), np.concatenate([part[1] for part in parts], axis=1)


def selector(allow: Mask | None) -> Any:
    """What FAISS asks whether a place is allowed; None where all are. A place that is not there is not allowed."""
    return None if allow is None else faiss.IDSelectorBitmap(np.packbits(allow, bitorder="little"))
