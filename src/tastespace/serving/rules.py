"""Rules of a business as data: a YAML file, checked line by line (docs/formats.md says what each rule does).

pin:    [{item: sku-1, place: 1}]
boost:  [{where: "brand = 'own'", by: 0.5}]
demote:   [{where: "stock = 0"}]
cap:    [{of: category, at_most: 2}]
share:  [{where: "year >= 2020", at_least: 0.3}]
fresh:  {column: released, within: 30}
mmr:    0.7
popularity_penalty:   0.2
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

import yaml

from tastespace._messages import did_you_mean, shown
from tastespace.data.conditions import Condition
from tastespace.errors import OptionError

T = TypeVar("T")

_LARGEST = 2**20  # characters of a file
_MOST = 1000  # rules of a kind


class _FieldError(OptionError):
    """What is wrong with one field, so that a file's reader can tell its line."""

    def __init__(self, field: str, told: str) -> None:
        super().__init__(told)
        self.field = field


@dataclass(frozen=True)
class Rule:
    """One rule; `at` is the file and line that it stands on, and no part of it.

    Rules raise `OptionError` for a field that is of another type or beyond its bounds.
    """

    at: str = field(default="", compare=False, kw_only=True)

    def _check_number(self, name: str, least: float, most: float, *, whole: bool = False) -> None:
        _check_number(name, getattr(self, name), least, most, whole=whole)

    def _check_type(self, name: str, kind: type, expected: str) -> None:
        value = getattr(self, name)
        if not isinstance(value, kind) or value == "":
            raise _FieldError(name, f"{name} is {shown(value)}, but {expected} is expected")

    def _check_condition(self) -> None:
        self._check_type("where", Condition, "a condition, such as Condition.parse('year >= 1990'),")


@dataclass(frozen=True)
class Pin(Rule):
    """An item that stands at a place of every list (from 1), wherever filters let it come back at all.

    The item is an id, or a text that the vocabulary reads as one.
    """

    item: Any
    place: int

    def __post_init__(self) -> None:
        whole = isinstance(self.item, Integral) and not isinstance(self.item, bool)
        if not whole:
            self._check_type("item", str, "an id")
        self._check_number("place", 1, 10_000, whole=True)


@dataclass(frozen=True)
class Boost(Rule):
    """Items that score `by` standard deviations of the candidates' scores more; below 0: less."""

    where: Condition
    by: float

    def __post_init__(self) -> None:
        self._check_condition()
        self._check_number("by", -100, 100)


@dataclass(frozen=True)
class Demote(Rule):
    """Items that come after all others."""

    where: Condition

    def __post_init__(self) -> None:
        self._check_condition()


@dataclass(frozen=True)
class Cap(Rule):
    """At most so many items of a list share a value of a column."""

    of: str
    at_most: int

    def __post_init__(self) -> None:
        self._check_type("of", str, "the name of a column")
        self._check_number("at_most", 0, 10_000, whole=True)


@dataclass(frozen=True)
class Share(Rule):
    """At least and at most such shares of a list fit a condition."""

    where: Condition
    at_least: float = 0.0
    at_most: float = 1.0

    def __post_init__(self) -> None:
        self._check_condition()
        self._check_number("at_least", 0, 1)
        self._check_number("at_most", 0, 1)
        if self.at_least > self.at_most:
            raise _FieldError("at_least", f"at_least {self.at_least:g} is above at_most {self.at_most:g}")


@dataclass(frozen=True)
class Fresh(Rule):
    """Only items whose number (or ISO date, in days) in a column lies within so much of the largest come back."""

    column: str
    within: float

    def __post_init__(self) -> None:
        self._check_type("column", str, "the name of a column")
        self._check_number("within", 0, 1e15)


@dataclass(frozen=True)
class Rules:
    """All rules of a file; `mmr`: 1 for score alone, 0 for difference alone; `popularity_penalty` in deviations.

    Raises `OptionError` for anything else than rules of the kind, and for two pins that meet.
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
                raise _FieldError(kind, f"{kind} is {shown(rules)}, but a tuple of {cls.__name__} is expected")
            _check_count(kind, len(rules))
        if self.fresh is not None and not isinstance(self.fresh, Fresh):
            raise _FieldError("fresh", f"fresh is {shown(self.fresh)}, but one Fresh or None is expected")
        _check_number("mmr", self.mmr, 0, 1)
        _check_number("popularity_penalty", self.popularity_penalty, 0, 10)
        items, places = {str(pin.item) for pin in self.pin}, {pin.place for pin in self.pin}
        if min(len(items), len(places)) < len(self.pin):
            raise _FieldError("pin", "two pins share an item or a place")

    @classmethod
    def read(cls, file: str | Path) -> "Rules":
        """From a file. Raises `OptionError` with the line of whatever is wrong."""
        try:
            with open(file, encoding="utf-8") as handle:
                text = handle.read(_LARGEST + 1)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise OptionError(f"the rules {file} cannot be read: {reason}") from error
        return cls.parse(text, str(file))

    @classmethod
    def parse(cls, text: str, name: str = "rules") -> "Rules":
        """From the text of a file called `name`."""
        if len(text) > _LARGEST:
            raise OptionError(f"{name} has more than {_LARGEST:,} characters, which are too many for rules")
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
            mark = getattr(error, "problem_mark", None)
            where = f"line {mark.line + 1}" if mark is not None else "somewhere"
            told = getattr(error, "problem", None) or "nested too deeply, or with characters that YAML does not allow"
            raise OptionError(f"{name}, {where}: this is not YAML: {told}") from error
        return cls() if node is None else _Reader(name).rules(node)

    @property
    def names(self) -> tuple[str, ...]:
        """Kinds of rules that are in use."""
        return tuple(kind for kind in _KINDS if getattr(self, kind) != getattr(Rules(), kind))

    def only(self, kind: str) -> "Rules":
        """The rules of one kind alone."""
        return Rules(**{kind: getattr(self, kind)})


_LISTED: Mapping[str, type[Rule]] = {"pin": Pin, "boost": Boost, "demote": Demote, "cap": Cap, "share": Share}
_KINDS = (*_LISTED, "fresh", "mmr", "popularity_penalty")
_TEXTS = ("str", "int", "float", "bool", "timestamp", "merge", "value")  # YAML's types that may as well be texts
Fields = Mapping[str, yaml.Node]


def _check_number(name: str, value: Any, least: float, most: float, *, whole: bool = False) -> None:
    number = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
    if not number or not least <= value <= most:
        kind = "a whole number" if whole else "a number"
        raise _FieldError(name, f"{name} is {shown(value)}, but {kind} from {least:g} to {most:g} is expected")


def _check_count(kind: str, n: int) -> None:
    if n > _MOST:
        raise _FieldError(kind, f"{kind} has {n:,} rules, but at most {_MOST:,} are read")


@dataclass(frozen=True)
class _Reader:
    """Reads nodes of YAML into rules, and says on which line they are wrong."""

    name: str

    def rules(self, node: yaml.Node) -> Rules:
        parts = self._fields(node, _KINDS, "a kind of rule")
        found: dict[str, Any] = {}
        readers: Mapping[str, Callable[[yaml.Node], Rule]] = {
            "pin": self._pin,
            "boost": self._boost,
            "demote": self._demote,
            "cap": self._cap,
            "share": self._share,
        }
        for kind, part in parts.items():
            if kind in readers:
                found[kind] = self._each(kind, part, readers[kind])
            elif kind == "fresh":
                fields = self._fields(part, ("column", "within"), "a field", every=True)
                values = {"column": self._text(fields["column"]), "within": self._number(fields["within"])}
                found[kind] = self._made(Fresh, values, fields, part)
            else:
                found[kind] = self._number(part)
        return self._made(Rules, found, parts)

    def _each(self, kind: str, node: yaml.Node, read: Callable[[yaml.Node], Rule]) -> tuple[Rule, ...]:
        if not isinstance(node, yaml.SequenceNode):
            raise self._wrong(node, "a list of rules is expected, each with a - before it")
        try:
            _check_count(kind, len(node.value))  # before any of them is read
        except OptionError as error:
            raise self._wrong(node, str(error)) from error
        return tuple(read(one) for one in node.value)

    def _made(self, cls: Callable[..., T], values: Mapping[str, Any], fields: Fields, at: yaml.Node | None = None) -> T:
        """What a class makes of values, or what it says of one of them with that one's line."""
        try:
            return cls(**values) if at is None else cls(**values, at=self._at(at))
        except _FieldError as error:
            raise self._wrong(fields[error.field], str(error)) from error

    def _pin(self, node: yaml.Node) -> Pin:
        fields = self._fields(node, ("item", "place"), "a field", every=True)
        values = {"item": self._text(fields["item"]), "place": self._number(fields["place"])}
        return self._made(Pin, values, fields, node)

    def _boost(self, node: yaml.Node) -> Boost:
        fields = self._fields(node, ("where", "by"), "a field", every=True)
        values = {"where": self._condition(fields["where"]), "by": self._number(fields["by"])}
        return self._made(Boost, values, fields, node)

    def _demote(self, node: yaml.Node) -> Demote:
        fields = self._fields(node, ("where",), "a field", every=True)
        return self._made(Demote, {"where": self._condition(fields["where"])}, fields, node)

    def _cap(self, node: yaml.Node) -> Cap:
        fields = self._fields(node, ("of", "at_most"), "a field", every=True)
        values = {"of": self._text(fields["of"]), "at_most": self._number(fields["at_most"])}
        return self._made(Cap, values, fields, node)

    def _share(self, node: yaml.Node) -> Share:
        fields = self._fields(node, ("where", "at_least", "at_most"), "a field")
        if "where" not in fields or len(fields) == 1:
            raise self._wrong(node, "a share needs where, and at_least or at_most")
        limits = {name: self._number(part) for name, part in fields.items() if name != "where"}
        return self._made(Share, {"where": self._condition(fields["where"]), **limits}, fields, node)

    def _fields(
        self, node: yaml.Node, known: tuple[str, ...], what: str, *, every: bool = False
    ) -> dict[str, yaml.Node]:
        """A mapping's nodes by name; names must be `known`, and with `every` all of them there."""
        if not isinstance(node, yaml.MappingNode):
            raise self._wrong(node, f"names and values are expected ({', '.join(known)})")
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name not in known:
                raise self._wrong(key, f"{shown(name)} is not {what}{did_you_mean(str(name), known)}")
            if name in found:
                raise self._wrong(key, f"{name} stands here for the second time")
            found[name] = value
        missing = [name for name in known if name not in found]
        if every and missing:
            raise self._wrong(node, f"{' and '.join(missing)} is missing")
        return found

    def _condition(self, node: yaml.Node) -> Condition:
        try:
            return Condition.parse(self._text(node))
        except OptionError as error:
            raise self._wrong(node, str(error)) from error

    def _text(self, node: yaml.Node) -> str:
        """A text as it stands there, whatever YAML takes it for (`no`, 2020-01-01, 0x10, 007)."""
        kind = self._kind(node)
        if kind not in _TEXTS:
            told = "nothing" if kind == "null" else shown(node.value)
            raise self._wrong(
                node, f"{told} stands where a text or a number is expected; put quotes around a text like that"
            )
        return str(node.value)

    def _number(self, node: yaml.Node) -> Any:
        """A number, or what stands in its place."""
        kind, text = self._kind(node), node.value
        try:
            if kind == "int":
                return int(text.replace("_", ""))
            if kind == "float":
                return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError as error:
            raise self._wrong(node, f"{shown(text)} is not a plain number") from error
        return text

    def _kind(self, node: yaml.Node) -> str:
        """Of a single value, as YAML sees it."""
        if not isinstance(node, yaml.ScalarNode):
            raise self._wrong(node, "a single value is expected")
        return str(node.tag).removeprefix("tag:yaml.org,2002:")

    def _at(self, node: yaml.Node) -> str:
        return f"{self.name}, line {node.start_mark.line + 1}"

    def _wrong(self, node: yaml.Node, told: str) -> OptionError:
        return OptionError(f"{self._at(node)}: {told}")
