"""Nearest vectors by inner product. Arrays only: no torch, no ids, no models."""

from tastespace.index.base import Index, Neighbours
from tastespace.index.exact import ExactIndex

__all__ = ["ExactIndex", "Index", "Neighbours"]
