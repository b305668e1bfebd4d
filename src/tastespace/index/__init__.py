"""Nearest vectors by inner product. Arrays only: no torch, no ids, no models."""

from typing import TYPE_CHECKING, Any

from tastespace.index.base import Index, Neighbours
from tastespace.index.build import IndexReport, build_index, index_class
from tastespace.index.exact import ExactIndex

if TYPE_CHECKING:
    from tastespace.index.ivf import InvertedIndex
    from tastespace.index.pq import QuantisedIndex

__all__ = [
    "ExactIndex",
    "Index",
    "IndexReport",
    "InvertedIndex",
    "Neighbours",
    "QuantisedIndex",
    "build_index",
]


def __getattr__(name: str) -> Any:
    """Import FAISS only when an approximate index is requested."""
    if name == "InvertedIndex":
        return index_class("ivf")
    if name == "QuantisedIndex":
        return index_class("pq")
    raise AttributeError(name)
