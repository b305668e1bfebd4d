"""Nearest vectors by inner product. Arrays only: no torch, no ids, no models."""

from typing import TYPE_CHECKING, Any

from tastespace.index.base import Index, Neighbours
from tastespace.index.build import Figures, build_index, class_of
from tastespace.index.exact import ExactIndex

if TYPE_CHECKING:
    from tastespace.index.hnsw import GraphIndex
    from tastespace.index.ivf import InvertedIndex
    from tastespace.index.pq import QuantisedIndex

__all__ = [
    "ExactIndex",
    "Figures",
    "GraphIndex",
    "Index",
    "InvertedIndex",
    "Neighbours",
    "QuantisedIndex",
    "build_index",
]


def __getattr__(name: str) -> Any:
    """FAISS is loaded where an approximate index is asked for, not before."""
    if name == "InvertedIndex":
        return class_of("ivf")
    if name == "QuantisedIndex":
        return class_of("pq")
    if name == "GraphIndex":
        return class_of("hnsw")
    raise AttributeError(name)
