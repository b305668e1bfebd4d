"""Reads rules from YAML, and names the line of whatever is wrong (docs/rules.md describes each rule).

pin:    [{item: sku-1, place: 1}]
boost:  [{where: "brand = 'own'", by: 0.5}]
demote: [{where: "stock = 0"}]
cap:    [{of: category, at_most: 2}]
share:  [{where: "year >= 2020", at_least: 0.3}]
fresh:  {column: released, within: 30}
mmr:    0.7
popularity_penalty: 0.2
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from tastespace._messages import did_you_mean, shown
from tastespace.data.conditions import Condition
from tastespace.errors import OptionError
from tastespace.serving.rules import (
    KINDS,
    Boost,
    Cap,
    Demote,
    Fresh,
    Pin,
    Rule,
    RuleFieldError,
    Rules,
    Share,
    check_count,
)

T = TypeVar("T")
Fields = Mapping[str, yaml.Node]

_MOST_CHARACTERS = 2**20  # of a file
_TEXTS = ("str", "int", "float", "bool", "timestamp", "merge", "value")  # YAML's types that are accepted as text


def read_rules(file: str | Path) -> Rules:
    """Read rules from a YAML file. Raises `OptionError` with the line of whatever is wrong."""
    try:
        with open(file, encoding="utf-8") as handle:
            text = handle.read(_MOST_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise OptionError(f"the rules {file} cannot be read: {reason}") from error
    return parse_rules(text, str(file))


def parse_rules(text: str, name: str = "rules") -> Rules:
    """Parse the text of a YAML file called `name`."""
    if len(text) > _MOST_CHARACTERS:
        raise OptionError(f"{name} has more than {_MOST_CHARACTERS:,} characters, which is too large for rules")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}" if mark is not None else "unknown line"
        problem = getattr(error, "problem", None) or "nested too deeply, or with characters that YAML does not allow"
        raise OptionError(f"{name}, {line}: this is not YAML: {problem}") from error
    return Rules() if node is None else _RulesReader(name).rules(node)


@dataclass(frozen=True)
class _RulesReader:
    """Converts YAML nodes to rules; errors name the file and the line."""

    name: str

    def rules(self, node: yaml.Node) -> Rules:
        nodes = self._fields(node, KINDS, "a kind of rule")
        values: dict[str, Any] = {}
        readers: Mapping[str, Callable[[yaml.Node], Rule]] = {
            "pin": self._pin,
            "boost": self._boost,
            "demote": self._demote,
            "cap": self._cap,
            "share": self._share,
        }
        for kind, child in nodes.items():
            if kind in readers:
                values[kind] = self._list(kind, child, readers[kind])
            elif kind == "fresh":
                values[kind] = self._fresh(child)
            else:
                values[kind] = self._number(child)
        return self._construct(Rules, values, nodes)

    def _list(self, kind: str, node: yaml.Node, read: Callable[[yaml.Node], Rule]) -> tuple[Rule, ...]:
        if not isinstance(node, yaml.SequenceNode):
            raise self._error(node, "a list of rules is expected, each with a - before it")
        try:
            check_count(kind, len(node.value))  # before any of them is read
        except OptionError as error:
            raise self._error(node, str(error)) from error
        return tuple(read(child) for child in node.value)

    def _construct(
        self, cls: Callable[..., T], values: Mapping[str, Any], fields: Fields, node: yaml.Node | None = None
    ) -> T:
        """Construct a rule that was read from `node`; an error about a field gets the line of that field."""
        try:
            return cls(**values) if node is None else cls(**values, at=self._at(node))
        except RuleFieldError as error:
            raise self._error(fields[error.field], str(error)) from error

    def _pin(self, node: yaml.Node) -> Pin:
        fields = self._fields(node, ("item", "place"), "a field", required=True)
        values = {"item": self._text(fields["item"]), "place": self._number(fields["place"])}
        return self._construct(Pin, values, fields, node)

    def _boost(self, node: yaml.Node) -> Boost:
        fields = self._fields(node, ("where", "by"), "a field", required=True)
        values = {"where": self._condition(fields["where"]), "by": self._number(fields["by"])}
        return self._construct(Boost, values, fields, node)

    def _demote(self, node: yaml.Node) -> Demote:
        fields = self._fields(node, ("where",), "a field", required=True)
        return self._construct(Demote, {"where": self._condition(fields["where"])}, fields, node)

    def _cap(self, node: yaml.Node) -> Cap:
        fields = self._fields(node, ("of", "at_most"), "a field", required=True)
        values = {"of": self._text(fields["of"]), "at_most": self._number(fields["at_most"])}
        return self._construct(Cap, values, fields, node)

    def _share(self, node: yaml.Node) -> Share:
        fields = self._fields(node, ("where", "at_least", "at_most"), "a field")
        if "where" not in fields or len(fields) == 1:
            raise self._error(node, "a share needs where, and at_least or at_most")
        limits = {name: self._number(child) for name, child in fields.items() if name != "where"}
        return self._construct(Share, {"where": self._condition(fields["where"]), **limits}, fields, node)

    def _fresh(self, node: yaml.Node) -> Fresh:
        fields = self._fields(node, ("column", "within"), "a field", required=True)
        values = {"column": self._text(fields["column"]), "within": self._number(fields["within"])}
        return self._construct(Fresh, values, fields, node)

    def _fields(
        self, node: yaml.Node, known: tuple[str, ...], expected: str, *, required: bool = False
    ) -> dict[str, yaml.Node]:
        """Nodes of a mapping by name; names must be `known`, and with `required` all of them are there."""
        if not isinstance(node, yaml.MappingNode):
            raise self._error(node, f"names and values are expected ({', '.join(known)})")
        fields: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name not in known:
                raise self._error(key, f"{shown(name)} is not {expected}{did_you_mean(str(name), known)}")
            if name in fields:
                raise self._error(key, f"{name} is given twice")
            fields[name] = value
        missing = [name for name in known if name not in fields]
        if required and missing:
            raise self._error(node, f"{' and '.join(missing)} is missing")
        return fields

    def _condition(self, node: yaml.Node) -> Condition:
        try:
            return Condition.parse(self._text(node))
        except OptionError as error:
            raise self._error(node, str(error)) from error

    def _text(self, node: yaml.Node) -> str:
        """Text of a scalar exactly as written, whatever type YAML gives it (`no`, 2020-01-01, 0x10, 007)."""
        kind = self._type(node)
        if kind not in _TEXTS:
            value = "nothing" if kind == "null" else shown(node.value)
            raise self._error(node, f"a text or a number is expected, not {value}; put quotes around a text like that")
        return str(node.value)

    def _number(self, node: yaml.Node) -> Any:
        """Number of a scalar; its text where it is none, for the rule to refuse."""
        kind, text = self._type(node), node.value
        try:
            if kind == "int":
                return int(text.replace("_", ""))
            if kind == "float":
                return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError as error:
            raise self._error(node, f"{shown(text)} is not a plain number") from error
        return text

    def _type(self, node: yaml.Node) -> str:
        """Type that YAML gives a scalar."""
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, "a single value is expected")
        return str(node.tag).removeprefix("tag:yaml.org,2002:")

    def _at(self, node: yaml.Node) -> str:
        return f"{self.name}, line {node.start_mark.line + 1}"

    def _error(self, node: yaml.Node, message: str) -> OptionError:
        return OptionError(f"{self._at(node)}: {message}")
