"""Nearest vectors by inner product. Arrays only: no torch, no ids, no models."""

from typing import TYPE_CHECKING, Any

from tastespace.index.base import Index, Neighbours
from tastespace.index.build import Figures, build_index
from tastespace.index.exact import ExactIndex

if TYPE_CHECKING:
    from tastespace.index.ivf import InvertedIndex

__all__ = ["ExactIndex", "Figures", "Index", "InvertedIndex", "Neighbours", "build_index"]


def __getattr__(name: str) -> Any:
    """FAISS is loaded where lists are asked for, not before."""
    if name == "InvertedIndex":
        from tastespace.index.ivf import InvertedIndex

        return InvertedIndex
    raise AttributeError(name)
