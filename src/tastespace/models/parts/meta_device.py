"""Build tensors on torch's meta device: shapes without contents, whatever their size."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_SCALED = {"mul", "div", "__mul__", "__rmul__", "__truediv__"}
_DRAWN = {"randn", "rand"}


@contextmanager
def shapes_only() -> Iterator[None]:
    """Create tensors without memory in this block: their device is "meta"."""
    with torch.device("meta"), _Unfilled():
        yield


class _Unfilled(TorchFunctionMode):
    """Skip operations that fill or scale a tensor without contents: torch would load its compiler, or sympy."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in _DRAWN:
            return torch.empty(*args, **(kwargs or {}))
        if args and isinstance(args[0], Tensor) and args[0].is_meta:
            if name.endswith("_") and not name.endswith("__"):
                return args[0]
            if name in _SCALED and not isinstance(args[1], Tensor):
                return torch.empty(args[0].shape, dtype=args[0].dtype)
        return func(*args, **(kwargs or {}))
