"""The kinds of index by name, and the files that each leaves in a folder. FAISS is loaded where one asks for it."""

from typing import Literal, get_args

from tastespace.index.base import Index
from tastespace.index.exact import ExactIndex

Kind = Literal["exact", "ivf", "pq", "hnsw"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LIST_FILES = ("lists.safetensors", "lists.bin")
GRAPH_FILES = ("graph.safetensors",)
FILES: dict[Kind, tuple[str, ...]] = {"exact": (), "ivf": LIST_FILES, "pq": LIST_FILES, "hnsw": GRAPH_FILES}


def class_of(kind: Kind) -> type[Index]:
    """What searches in this way."""
    if kind == "ivf":
        from tastespace.index.ivf import InvertedIndex

        return InvertedIndex
    if kind == "pq":
        from tastespace.index.pq import QuantisedIndex

        return QuantisedIndex
    if kind == "hnsw":
        from tastespace.index.hnsw import GraphIndex

        return GraphIndex
    return ExactIndex
