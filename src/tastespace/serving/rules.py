"""Business rules as checked values: pins, boosts, demotions, caps, shares, freshness, MMR and a popularity penalty.

`rules_yaml` reads them from a file, `reranking` applies them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

from tastespace._messages import shown
from tastespace.data.conditions import Condition
from tastespace.errors import OptionError

_MOST_RULES = 1000  # of a kind


class RuleFieldError(OptionError):
    """Names the field that is not valid, so that the reader of a file can give its line."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Rule:
    """Base of all rules. `at` is the file and line that a rule was read from; equality ignores it.

    Raises `OptionError` for a field of another type or out of its bounds.
    """

    at: str = field(default="", compare=False, kw_only=True)

    def _check_number(self, name: str, least: float, most: float, *, whole: bool = False) -> None:
        _check_number(name, getattr(self, name), least, most, whole=whole)

    def _check_type(self, name: str, kind: type, expected: str) -> None:
        value = getattr(self, name)
        if not isinstance(value, kind) or value == "":
            raise RuleFieldError(name, f"{name} is {shown(value)}, but {expected} is expected")

    def _check_condition(self) -> None:
        self._check_type("where", Condition, "a condition, such as Condition.parse('year >= 1990'),")


@dataclass(frozen=True)
class Pin(Rule):
    """Put an item at a fixed place of every list (from 1), unless a filter hides it.

    `item` is an id, or its text as the vocabulary parses it.
    """

    item: Any
    place: int

    def __post_init__(self) -> None:
        is_integer = isinstance(self.item, Integral) and not isinstance(self.item, bool)
        if not is_integer:
            self._check_type("item", str, "an id")
        self._check_number("place", 1, 10_000, whole=True)


@dataclass(frozen=True)
class Boost(Rule):
    """Add `by` standard deviations of the candidates' scores to items that match a condition; negative: subtract."""

    where: Condition
    by: float

    def __post_init__(self) -> None:
        self._check_condition()
        self._check_number("by", -100, 100)


@dataclass(frozen=True)
class Demote(Rule):
    """Rank items that match a condition after all others."""

    where: Condition

    def __post_init__(self) -> None:
        self._check_condition()


@dataclass(frozen=True)
class Cap(Rule):
    """Allow at most `at_most` items of a list with the same value (or label) in the column `of`."""

    of: str
    at_most: int

    def __post_init__(self) -> None:
        self._check_type("of", str, "the name of a column")
        self._check_number("at_most", 0, 10_000, whole=True)


@dataclass(frozen=True)
class Share(Rule):
    """Keep the share of a list that matches a condition between `at_least` and `at_most`, both in [0, 1]."""

    where: Condition
    at_least: float = 0.0
    at_most: float = 1.0

    def __post_init__(self) -> None:
        self._check_condition()
        self._check_number("at_least", 0, 1)
        self._check_number("at_most", 0, 1)
        if self.at_least > self.at_most:
            raise RuleFieldError("at_least", f"at_least {self.at_least:g} is above at_most {self.at_most:g}")


@dataclass(frozen=True)
class Fresh(Rule):
    """Recommend only items whose number (or ISO date, in days) in a column is at most `within` below the largest."""

    column: str
    within: float

    def __post_init__(self) -> None:
        self._check_type("column", str, "the name of a column")
        self._check_number("within", 0, 1e15)


@dataclass(frozen=True)
class Rules:
    """A set of rules. `mmr` is the weight of relevance against diversity: 1 for relevance alone, 0 for diversity alone.

    `popularity_penalty` in [0, 10] is subtracted for each standard deviation of log popularity.
    Raises `OptionError` for values of another type, and for two pins of the same item or place.
    """

    pin: tuple[Pin, ...] = ()
    boost: tuple[Boost, ...] = ()
    demote: tuple[Demote, ...] = ()
    cap: tuple[Cap, ...] = ()
    share: tuple[Share, ...] = ()
    fresh: Fresh | None = None
    mmr: float = 1.0
    popularity_penalty: float = 0.0

    def __post_init__(self) -> None:
        for kind, cls in _LISTED.items():
            rules = getattr(self, kind)
            if not isinstance(rules, tuple) or not all(isinstance(rule, cls) for rule in rules):
                raise RuleFieldError(kind, f"{kind} is {shown(rules)}, but a tuple of {cls.__name__} is expected")
            check_count(kind, len(rules))
        if self.fresh is not None and not isinstance(self.fresh, Fresh):
            raise RuleFieldError("fresh", f"fresh is {shown(self.fresh)}, but one Fresh or None is expected")
        _check_number("mmr", self.mmr, 0, 1)
        _check_number("popularity_penalty", self.popularity_penalty, 0, 10)
        items, places = {str(pin.item) for pin in self.pin}, {pin.place for pin in self.pin}
        if min(len(items), len(places)) < len(self.pin):
            raise RuleFieldError("pin", "two pins share an item or a place")

    @property
    def names(self) -> tuple[str, ...]:
        """Kinds of rules that are in use."""
        return tuple(kind for kind in KINDS if getattr(self, kind) != getattr(Rules(), kind))

    def only(self, kind: str) -> "Rules":
        """Rules of one kind alone."""
        return Rules(**{kind: getattr(self, kind)})


_LISTED: Mapping[str, type[Rule]] = {"pin": Pin, "boost": Boost, "demote": Demote, "cap": Cap, "share": Share}
KINDS = (*_LISTED, "fresh", "mmr", "popularity_penalty")


def _check_number(name: str, value: Any, least: float, most: float, *, whole: bool = False) -> None:
    is_number = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:
        kind = "a whole number" if whole else "a number"
        raise RuleFieldError(name, f"{name} is {shown(value)}, but {kind} from {least:g} to {most:g} is expected")


def check_count(kind: str, n: int) -> None:
    """Raise `OptionError` for too many rules of one kind."""
    if n > _MOST_RULES:
        raise RuleFieldError(kind, f"{kind} has {n:,} rules, but at most {_MOST_RULES:,} are allowed")
