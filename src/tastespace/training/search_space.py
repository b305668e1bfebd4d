"""Search space: the values of each option of a model that are worth trying, from the option's declaration.

An option is searched over its usual range, whole numbers as such; a range whose ends are ten times apart or more is
searched on a logarithmic scale, and one between powers of two that are eight times apart or more (dimensions, batch
sizes, heads) in powers of two. An option that takes one of a few values is searched over these.
"""

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tastespace import config as configs
from tastespace import models
from tastespace._messages import did_you_mean, shown
from tastespace.config import AUTO, RelevantWith
from tastespace.errors import OptionError
from tastespace.models.base import Options

_ALWAYS = ("loss",)  # searched although it has no range
_LOG_FROM = 10
_POWERS_FROM = 8


@dataclass(frozen=True)
class Domain:
    """Values of one option that are searched: `low` to `high` on a `scale`, or one of `choices`."""

    name: str
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    scale: Literal["linear", "logarithmic", "powers of two"] = "linear"
    choices: tuple[str | bool, ...] = ()

    def __str__(self) -> str:
        if self.choices:
            return f"{self.name} {'/'.join(str(choice).lower() for choice in self.choices)}"
        return f"{self.name} {self.low:g} to {self.high:g}"

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        if self.choices:
            return {"choices": list(self.choices)}
        return {"low": self.low, "high": self.high, "scale": self.scale}

    def contains(self, value: Any) -> bool:
        """Whether a value of the option is in the domain (between powers of two, too)."""
        if self.choices:
            return value in self.choices
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True)
class SearchSpace:
    """Domains of a model's options in the order in which they are drawn, and what each option's effect depends on."""

    domains: Mapping[str, Domain]
    relevant_with: RelevantWith

    def is_relevant(self, name: str, values: Mapping[str, Any]) -> bool:
        """Whether an option has an effect under the `values` of the others."""
        return configs.is_relevant(self.relevant_with, name, values)


def defaults(name: str) -> dict[str, Any]:
    """Default of each option of a model that can be searched."""
    cls = models.get(name)
    shared = configs.to_mapping(cls.OPTIONS) if cls.learns_by_gradient() else {}
    return {**shared, **configs.to_mapping(cls.Config())}


def search_space(name: str, *, only: Sequence[str] = (), fixed: Mapping[str, Any] | None = None) -> SearchSpace:
    """Return the space of the options named by `only`, or of all that are searched by default.

    By default these are `loss` and the options with a usual range that holds their default, as far as they have an
    effect with the `fixed` values, which are not searched. Raises `OptionError` for an unknown option, for one that is
    both fixed and named, for one that has no range, and where nothing is left.
    """
    cls = models.get(name)
    fixed, initial = fixed or {}, defaults(name)
    relevant_with: RelevantWith = getattr(cls.Config, "RELEVANT_WITH", {})
    kinds = [cls.Config, *([Options] if cls.learns_by_gradient() else [])]
    found = {domain.name: domain for kind in reversed(kinds) for domain in _domains(kind)}
    for option in only:
        if option not in initial:
            raise OptionError(f"{name} has no option {shown(option)}{did_you_mean(option, initial)}")
        if option in fixed:
            raise OptionError(f"the option {option} cannot be both searched and fixed")
        if option not in found:
            raise OptionError(f"{option} has no range to search; fix it instead (--set {option}=...)")
    wanted = only or [
        option
        for option, domain in found.items()
        if option in _ALWAYS or (not domain.choices and (initial[option] == AUTO or domain.contains(initial[option])))
    ]
    conditions = [relevant_with[option][0] for option in wanted if option in relevant_with]
    ordered = sorted(
        (option for option in dict.fromkeys(wanted) if option not in fixed),
        key=lambda option: (option not in conditions, option in relevant_with),
    )
    space = SearchSpace({option: found[option] for option in ordered}, relevant_with)
    domains = {option: found[option] for option in ordered if _can_matter(space, option, {**initial, **fixed})}
    if not domains:
        raise OptionError(f"{name} has no option left to search{did_you_mean('', found)}; name some with --only")
    return SearchSpace(domains, relevant_with)


def _can_matter(space: SearchSpace, option: str, values: Mapping[str, Any]) -> bool:
    """Whether an option has an effect under some value of those that are searched, and these `values` of the others."""
    if option not in space.relevant_with:
        return True
    other, allowed = space.relevant_with[option]
    possible = space.domains[other].choices if other in space.domains else (values.get(other),)
    return any(value in allowed for value in possible) and _can_matter(space, other, values)


def _domains(cls: type) -> list[Domain]:
    found = [_domain(field, kind) for field, kind in configs.declared(cls).values()]
    return [domain for domain in found if domain is not None]


def _domain(field: "dataclasses.Field[Any]", kind: Any) -> Domain | None:
    alternatives = configs.alternatives(kind)
    usual = field.metadata.get("usual")
    if usual is not None:
        low, high = usual
        whole = float not in alternatives
        powers = whole and _is_power_of_two(low) and _is_power_of_two(high) and high >= _POWERS_FROM * low
        logarithmic = low > 0 and high >= _LOG_FROM * low
        return Domain(
            field.name,
            low,
            high,
            whole=whole,
            scale="powers of two" if powers else "logarithmic" if logarithmic else "linear",
        )
    if alternatives == (bool,):
        return Domain(field.name, choices=(False, True))
    if len(alternatives) == 1 and typing.get_origin(alternatives[0]) is Literal:
        return Domain(
            field.name, choices=tuple(choice for choice in typing.get_args(alternatives[0]) if choice != AUTO)
        )
    return None


def _is_power_of_two(value: float) -> bool:
    return value >= 1 and float(value).is_integer() and int(value) & (int(value) - 1) == 0
