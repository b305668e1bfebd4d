"""Rules of a business as data: a YAML file, checked line by line (docs/formats.md says what each rule does).

pin:    [{item: sku-1, place: 1}]
boost:  [{where: "brand = 'own'", by: 0.5}]
bury:   [{where: "stock = 0"}]
cap:    [{of: category, at_most: 2}]
share:  [{where: "year >= 2020", at_least: 0.3}]
fresh:  {column: released, within: 30}
mmr:    0.7
damp:   0.2
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tastespace.data.where import Condition
from tastespace.errors import OptionError
from tastespace.suggest import did_you_mean, shown

_LARGEST = 2**20  # characters of a file
_MOST = 1000  # rules of a kind


@dataclass(frozen=True)
class Rule:
    """One rule; `at` is the file and line that it stands on, and no part of it."""

    at: str = field(default="", compare=False, kw_only=True)


@dataclass(frozen=True)
class Pin(Rule):
    """An item that stands at a place of every list (from 1), wherever filters let it come back at all."""

    item: Any
    place: int


@dataclass(frozen=True)
class Boost(Rule):
    """Items that score `by` standard deviations of the candidates' scores more; below 0: less."""

    where: Condition
    by: float


@dataclass(frozen=True)
class Bury(Rule):
    """Items that come after all others."""

    where: Condition


@dataclass(frozen=True)
class Cap(Rule):
    """At most so many items of a list share a value of a column."""

    of: str
    at_most: int


@dataclass(frozen=True)
class Share(Rule):
    """At least and at most such shares of a list fit a condition."""

    where: Condition
    at_least: float = 0.0
    at_most: float = 1.0


@dataclass(frozen=True)
class Fresh(Rule):
    """Only items whose number (or ISO date, in days) in a column lies within so much of the largest come back."""

    column: str
    within: float


@dataclass(frozen=True)
class Rules:
    """All rules of a file; `mmr`: 1 for score alone, 0 for difference alone; `damp`: deviations of popularity."""

    pin: tuple[Pin, ...] = ()
    boost: tuple[Boost, ...] = ()
    bury: tuple[Bury, ...] = ()
    cap: tuple[Cap, ...] = ()
    share: tuple[Share, ...] = ()
    fresh: Fresh | None = None
    mmr: float = 1.0
    damp: float = 0.0

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


_KINDS = ("pin", "boost", "bury", "cap", "share", "fresh", "mmr", "damp")
Fields = Mapping[str, yaml.Node]


@dataclass(frozen=True)
class _Reader:
    """Reads nodes of YAML and says on which line they are wrong."""

    name: str

    def rules(self, node: yaml.Node) -> Rules:
        parts = self._fields(node, _KINDS, "a kind of rule")
        found: dict[str, Any] = {}
        readers: Mapping[str, Callable[[yaml.Node], Any]] = {
            "pin": self._pin,
            "boost": self._boost,
            "bury": self._bury,
            "cap": self._cap,
            "share": self._share,
        }
        for kind, part in parts.items():
            if kind in readers:
                found[kind] = self._each(part, readers[kind])
            elif kind == "fresh":
                fields = self._fields(part, ("column", "within"), "a field", every=True)
                within = self._number(fields["within"], 0, 1e15)
                found[kind] = Fresh(self._text(fields["column"]), within, at=self._at(part))
            else:
                found[kind] = self._number(part, 0, 1 if kind == "mmr" else 10)
        places = [pin.place for pin in found.get("pin", ())]
        items = [pin.item for pin in found.get("pin", ())]
        if len(set(places)) < len(places) or len(set(items)) < len(items):
            raise self._wrong(parts["pin"], "two pins share an item or a place")
        return Rules(**found)

    def _each(self, node: yaml.Node, read: Callable[[yaml.Node], Any]) -> tuple[Any, ...]:
        if not isinstance(node, yaml.SequenceNode):
            raise self._wrong(node, "a list of rules is expected, each with a - before it")
        if len(node.value) > _MOST:
            raise self._wrong(node, f"{len(node.value):,} rules of a kind, but at most {_MOST:,} are read")
        return tuple(read(one) for one in node.value)

    def _pin(self, node: yaml.Node) -> Pin:
        fields = self._fields(node, ("item", "place"), "a field", every=True)
        place = int(self._number(fields["place"], 1, 10_000, whole=True))
        return Pin(self._scalar(fields["item"]), place, at=self._at(node))

    def _boost(self, node: yaml.Node) -> Boost:
        fields = self._fields(node, ("where", "by"), "a field", every=True)
        return Boost(self._condition(fields["where"]), self._number(fields["by"], -100, 100), at=self._at(node))

    def _bury(self, node: yaml.Node) -> Bury:
        return Bury(self._condition(self._fields(node, ("where",), "a field", every=True)["where"]), at=self._at(node))

    def _cap(self, node: yaml.Node) -> Cap:
        fields = self._fields(node, ("of", "at_most"), "a field", every=True)
        most = int(self._number(fields["at_most"], 0, 10_000, whole=True))
        return Cap(self._text(fields["of"]), most, at=self._at(node))

    def _share(self, node: yaml.Node) -> Share:
        fields = self._fields(node, ("where", "at_least", "at_most"), "a field")
        if "where" not in fields or len(fields) == 1:
            raise self._wrong(node, "a share needs where, and at_least or at_most")
        limits = {name: self._number(part, 0, 1) for name, part in fields.items() if name != "where"}
        found = Share(self._condition(fields["where"]), **limits, at=self._at(node))
        if found.at_least > found.at_most:
            raise self._wrong(node, f"at_least {found.at_least:g} is above at_most {found.at_most:g}")
        return found

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
        value = self._scalar(node)
        if not isinstance(value, str):
            raise self._wrong(node, f"a text is expected, not {shown(value)}")
        return value

    def _number(self, node: yaml.Node, least: float, most: float, *, whole: bool = False) -> float:
        value = self._scalar(node)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not least <= value <= most or (whole and value != int(value)):
            kind = "a whole number" if whole else "a number"
            raise self._wrong(node, f"{kind} from {least:g} to {most:g} is expected, not {shown(value)}")
        return float(value)

    def _scalar(self, node: yaml.Node) -> Any:
        """A text, a number or a truth value; anything else is refused."""
        if not isinstance(node, yaml.ScalarNode):
            raise self._wrong(node, "a single value is expected")
        kind = node.tag.rpartition(":")[2]
        try:
            if kind == "int":
                return int(node.value.replace("_", ""))
            if kind == "float":
                return float(node.value.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError as error:
            raise self._wrong(node, f"{shown(node.value)} is not a plain number") from error
        if kind == "str":
            return node.value
        if kind == "bool":
            return node.value.casefold() in ("true", "yes", "on")
        raise self._wrong(node, f"{shown(node.value)} is neither a text nor a number")

    def _at(self, node: yaml.Node) -> str:
        return f"{self.name}, line {node.start_mark.line + 1}"

    def _wrong(self, node: yaml.Node, told: str) -> OptionError:
        return OptionError(f"{self._at(node)}: {told}")
