"""The architectures, one file each. A file here that is not a shared part is a model; nothing else lists them.

Importing this package loads no torch: `get` does, for the one model it is asked for.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING

from tastespace.errors import OptionError
from tastespace.suggest import did_you_mean, shown

if TYPE_CHECKING:
    from tastespace.models.base import Model

_SHARED_PARTS = frozenset(
    ["base", "climb", "evidence", "fold_in", "layers", "losses", "negatives", "objective", "products", "sizes", "start"]
)


def names() -> list[str]:
    """Every model's name, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in _SHARED_PARTS)


def get(name: str) -> "type[Model]":
    """The model class called `name`; an unknown name raises `OptionError` with the nearest one."""
    if name not in names():
        raise OptionError(f"there is no model {shown(name)}{did_you_mean(str(name), names())}")
    module = importlib.import_module(f"{__name__}.{name}")
    found: type[Model] = module.MODEL
    return found
