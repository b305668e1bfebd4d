"""Model architectures, one file each: every module here but `base` is a model, found by its file name; `parts` holds
what several models share.

Importing this package does not load torch; `get` does, for the requested model.
"""

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING

from tastespace._messages import did_you_mean, shown
from tastespace.errors import OptionError

if TYPE_CHECKING:
    from tastespace.models.base import Model


@cache
def _modules() -> tuple[str, ...]:
    return tuple(
        sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg and module.name != "base")
    )


def names() -> list[str]:
    """Every model's name, sorted."""
    return list(_modules())


def get(name: str) -> "type[Model]":
    """The model class called `name`; an unknown name raises `OptionError` with the nearest one."""
    if name not in names():
        raise OptionError(f"there is no model {shown(name)}{did_you_mean(str(name), names())}")
    module = importlib.import_module(f"{__name__}.{name}")
    model: type[Model] = module.MODEL
    return model
