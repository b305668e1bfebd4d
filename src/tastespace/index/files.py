"""The kinds of index by name, and the files that each writes in a folder."""

from typing import Literal, get_args

Kind = Literal["exact", "ivf", "pq", "hnsw"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LIST_FILES = ("lists.safetensors", "lists.bin")
GRAPH_FILES = ("graph.safetensors",)
FILES: dict[Kind, tuple[str, ...]] = {"exact": (), "ivf": LIST_FILES, "pq": LIST_FILES, "hnsw": GRAPH_FILES}
