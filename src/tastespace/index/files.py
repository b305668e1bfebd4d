"""Kinds of index by name, and the files of each."""

from typing import Literal, get_args

Kind = Literal["exact", "ivf", "pq"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LIST_FILES = ("lists.safetensors", "lists.bin")
FILES: dict[Kind, tuple[str, ...]] = {"exact": (), "ivf": LIST_FILES, "pq": LIST_FILES}
