"""Reading bundles of format 2 that were written before an option and its tensors were added to models."""

from collections.abc import Mapping, Sequence
from typing import Any

_OPTIONS = {"degree_exponent": 0.0}  # all item vectors had one length
_FACTORS = ("item_length", "mlp_gate")  # tensors that came with it, and multiply


def is_older(config: Mapping[str, Any]) -> bool:
    """Whether the config of a bundle was written before the options that were added."""
    return not all(name in config for name in _OPTIONS)


def with_added_options(config: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
    """Return the config with the options that were added to those `known` today, as models were without them."""
    return {**{name: value for name, value in _OPTIONS.items() if name in known}, **config}


def is_added_factor(key: str) -> bool:
    """Whether a tensor was added; models without it multiplied by 1."""
    return key.rpartition(".")[2] in _FACTORS
