"""Frozen dataclasses as options: documented, checked, read from text and written to JSON.

Own code rather than pydantic, which would nearly double the 0.13 s of `tastespace --help`: a process that declares one
class of options takes 0.15 s with it and 0.04 s without (benchmarks/own_implementations.py). The nearest name for a
misspelt option would be own code all the same.
"""

import contextlib
import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from tastespace._messages import did_you_mean, shown
from tastespace.errors import OptionError

T = TypeVar("T")
AUTO: Any = "auto"  # in the place of a value of any type

if TYPE_CHECKING:  # code that reads an option does so after it was resolved
    AutoInt = int
    AutoFloat = float
else:
    AutoInt = int | Literal["auto"]
    AutoFloat = float | Literal["auto"]

RelevantWith = Mapping[str, tuple[str, tuple[Any, ...]]]
"""Option to (another option, the values of it under which the first has an effect): a config's `RELEVANT_WITH`."""

_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def option(
    default: Any,
    doc: str,
    *,
    usual: tuple[float, float] | None = None,
    at_least: float | None = None,
    above: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> Any:
    """A dataclass field with its documentation.

    `usual` is the range worth searching and is never enforced; the others bound what is possible at all and are
    checked by `check`.
    """
    bounds = {"at_least": at_least, "above": above, "below": below, "at_most": at_most}
    metadata = {"doc": doc, "usual": usual, **bounds}
    return dataclasses.field(default=default, metadata=metadata)


def check(config: Any) -> None:
    """Raise `OptionError` for a field of the wrong type or outside what is possible.

    Meant to be the `__post_init__` of a config.
    """
    for field, kind in declared(type(config)).values():
        value = getattr(config, field.name)
        name = f"{type(config).__qualname__}.{field.name}"
        if not _fits(value, kind):
            raise OptionError(f"{name} is {shown(value)}, but {_describe(kind)} is expected")
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        bounds = field.metadata
        if isinstance(value, float) and not math.isfinite(value):
            raise OptionError(f"{name} is {value}, but a finite number is expected")
        if bounds.get("at_least") is not None and value < bounds["at_least"]:
            raise OptionError(f"{name} is {value}, but it must be at least {bounds['at_least']}")
        if bounds.get("above") is not None and value <= bounds["above"]:
            raise OptionError(f"{name} is {value}, but it must be above {bounds['above']}")
        if bounds.get("below") is not None and value >= bounds["below"]:
            raise OptionError(f"{name} is {value}, but it must be below {bounds['below']}")
        if bounds.get("at_most") is not None and value > bounds["at_most"]:
            raise OptionError(f"{name} is {shown(value)}, but it must be at most {bounds['at_most']}")


def names(cls: type) -> list[str]:
    """Field names of a config class, in order."""
    return list(declared(cls))


def unresolved(config: Any) -> list[str]:
    """Names of the options that are still "auto"."""
    return [name for name in names(type(config)) if getattr(config, name) == AUTO]


def is_relevant(relevant_with: RelevantWith, name: str, values: Mapping[str, Any]) -> bool:
    """Whether an option has an effect under the `values` of the others."""
    if name not in relevant_with:
        return True
    other, allowed = relevant_with[name]
    return values.get(other) in allowed and is_relevant(relevant_with, other, values)


def to_mapping(config: Any) -> dict[str, Any]:
    """The config as plain values, ready for JSON."""
    return dataclasses.asdict(config)


def from_mapping(cls: type[T], mapping: Mapping[str, Any]) -> T:
    """A config from plain values; an unknown key is an error that names the nearest field."""
    fields = declared(cls)
    for key in mapping:
        if key not in fields:
            raise OptionError(f"there is no option {shown(key)}{did_you_mean(str(key), fields)}")
    return cls(**{key: _number_as_declared(value, fields[key][1]) for key, value in mapping.items()})


def from_text(cls: type, name: str, text: str) -> Any:
    """The value of field `name` from what a user typed, e.g. `from_text(Config, "dim", "128")`."""
    kind = declared(cls)[name][1]
    for choice in alternatives(kind):
        if choice is type(None) and text.casefold() in ("none", "null", ""):
            return None
        if typing.get_origin(choice) is typing.Literal and text in typing.get_args(choice):
            return text
        if choice is bool and text.casefold() in _WORDS:
            return _WORDS[text.casefold()]
        if choice in (int, float):
            try:
                return choice(text)
            except ValueError:
                continue
        if choice is str:
            return text
    raise OptionError(f"{name}={shown(text)} cannot be read: {_describe(kind)} is expected")


def describe_type(cls: type, name: str) -> str:
    """Describe in words the values that field `name` takes."""
    return _describe(declared(cls)[name][1])


@functools.cache
def _type_hints(cls: Any) -> Mapping[str, Any]:
    return typing.get_type_hints(cls)


def declared(cls: type) -> dict[str, tuple[dataclasses.Field[Any], Any]]:
    """Fields of a config class and the types of their values, by name, in order."""
    hints = _type_hints(cls)
    return {field.name: (field, hints[field.name]) for field in dataclasses.fields(cls)}


def alternatives(kind: Any) -> tuple[Any, ...]:
    """Members of a union, or the one type that `kind` is."""
    return typing.get_args(kind) if typing.get_origin(kind) in (types.UnionType, typing.Union) else (kind,)


def _fits(value: Any, kind: Any) -> bool:
    for choice in alternatives(kind):
        if typing.get_origin(choice) is typing.Literal:
            if value in typing.get_args(choice):
                return True
        elif choice is float:
            if isinstance(value, int | float) and not isinstance(value, bool):
                return True
        elif choice is int:
            if isinstance(value, int) and not isinstance(value, bool):
                return True
        elif isinstance(value, choice):
            return True
    return False


def _number_as_declared(value: Any, kind: Any) -> Any:
    if float in alternatives(kind) and isinstance(value, int) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            return float(value)
    return value


def _describe(kind: Any) -> str:
    words: list[str] = []
    for choice in alternatives(kind):
        if typing.get_origin(choice) is typing.Literal:
            words.extend(repr(value) for value in typing.get_args(choice))
        else:
            words.append(
                {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}.get(
                    choice, "nothing" if choice is type(None) else str(choice)
                )
            )
    return " or ".join(words)
