"""Read the figures of a comparison's JSON; an entry that is absent, not finite or of another kind is None or empty."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

SIGNIFICANT = 0.05


def number(value: object) -> float | None:
    """A number that can be shown (finite, of 15 digits at most), or None."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15:
        return float(value)
    return None


def mapping(value: object) -> Mapping[str, Any]:
    """A mapping, empty where there is none."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: object) -> Sequence[Any]:
    """A sequence, empty where there is none."""
    return value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else ()


@dataclass(frozen=True)
class Epoch:
    """One point of a learning curve."""

    epoch: float
    loss: float | None
    metric: float | None


@dataclass(frozen=True, eq=False)
class Row:
    """One model's figures."""

    entry: Mapping[str, Any]
    reference: bool

    @property
    def name(self) -> str:
        """Name of the model, unescaped."""
        return str(self.entry.get("model"))

    def figure(self, key: str) -> float | None:
        """A single figure, e.g. "ndcg@10"."""
        return number(self.entry.get(key))

    def interval(self, metric: str) -> tuple[float, float] | None:
        """The 95 % interval of a metric."""
        ends = [number(end) for end in sequence(self.entry.get(f"{metric}_ci"))]
        return (ends[0], ends[1]) if len(ends) == 2 and ends[0] is not None and ends[1] is not None else None

    def spread(self, metric: str) -> tuple[float, float] | None:
        """Lowest and highest over seeds, None for a single one."""
        values = [number(value) for value in sequence(mapping(self.entry.get("by_seed")).get(metric))]
        known = [value for value in values if value is not None]
        return (min(known), max(known)) if len(known) > 1 else None

    def group(self, name: str, key: str) -> float | None:
        """A figure of one group of users or items if it is between 0 and 1."""
        value = number(mapping(self.groups.get(name)).get(key))
        return value if value is not None and 0 <= value <= 1 else None

    @property
    def groups(self) -> Mapping[str, Any]:
        """Groups of users and items by name."""
        return mapping(self.entry.get("groups"))

    @property
    def seeds(self) -> list[Any]:
        """Seeds that it was trained with."""
        return list(sequence(self.entry.get("seeds")))

    @property
    def history(self) -> list[Epoch]:
        """Its epochs, in order."""
        epochs = []
        for epoch in map(mapping, sequence(self.entry.get("history"))):
            at = number(epoch.get("epoch"))
            if at is not None:
                epochs.append(Epoch(at, number(epoch.get("loss")), number(epoch.get("metric"))))
        return sorted(epochs, key=lambda epoch: epoch.epoch)

    @property
    def spaces(self) -> dict[str, Mapping[str, Any]]:
        """Health of its "items" and "users" vectors, where it has them."""
        health = mapping(self.entry.get("health"))
        return {noun: mapping(health[noun]) for noun in ("items", "users") if mapping(health.get(noun))}

    @property
    def collapsed(self) -> list[str]:
        """Which of its vectors have collapsed."""
        return [noun for noun, space in self.spaces.items() if space.get("collapsed") is True]

    @property
    def warnings(self) -> list[str]:
        """Warnings about its vectors, one sentence each; a collapse is always included."""
        given = [str(warning) for warning in sequence(mapping(self.entry.get("health")).get("warnings"))]
        missing = [
            noun
            for noun in self.collapsed
            if not any(f"{noun[:-1]} vectors have collapsed" in warning for warning in given)
        ]
        return [*given, *(f"the {noun[:-1]} vectors have collapsed" for noun in missing)]


@dataclass(frozen=True)
class Margin:
    """A model against the winner: the winner's mean less its own, and the p-value of the difference."""

    other: str
    difference: float | None
    p: float | None  # corrected for all tests of the comparison

    @property
    def significant(self) -> bool:
        """Below 0.05 after correction."""
        return self.p is not None and self.p < SIGNIFICANT


@dataclass(frozen=True, eq=False)
class Figures:
    """One protocol's comparison, the best model first."""

    document: Mapping[str, Any]

    @property
    def k(self) -> str:
        """The cut-off as metrics are named by it."""
        k = number(self.document.get("k"))
        return "10" if k is None else f"{k:.0f}"

    @property
    def metric(self) -> str:
        """Metric that models are ordered and tested by."""
        return f"ndcg@{self.k}"

    @property
    def data(self) -> str:
        """Name of the data, unescaped."""
        return str(self.document.get("data", "?"))

    @property
    def protocol(self) -> str:
        """Name of the protocol, unescaped."""
        return str(self.document.get("protocol", "?"))

    @cached_property
    def requested(self) -> list[Row]:
        """Models in the requested order, by which they get their colours under every protocol."""
        references = sequence(self.document.get("references"))
        return [Row(row, row.get("model") in references) for row in map(mapping, sequence(self.document.get("rows")))]

    @cached_property
    def rows(self) -> list[Row]:
        """Models by NDCG, those without it last."""

        def order(row: Row) -> float:
            value = row.figure(self.metric)
            return math.inf if value is None else -value

        return sorted(self.requested, key=order)

    @property
    def winner(self) -> Row | None:
        """The model with the highest NDCG."""
        return self.rows[0] if self.rows and self.rows[0].figure(self.metric) is not None else None

    @property
    def all_equal(self) -> bool:
        """Whether there are several models, all with the same NDCG."""
        values = {row.figure(self.metric) for row in self.rows}
        return len(self.rows) > 1 and len(values) == 1

    @property
    def tests(self) -> list[Mapping[str, Any]]:
        """Paired tests of all pairs."""
        return [mapping(test) for test in sequence(self.document.get("tests"))]

    @cached_property
    def margins(self) -> list[Margin]:
        """Lead of the winner over each other model, the closest model first."""
        if self.winner is None:
            return []
        best, by_model = self.winner.name, {}
        for test in self.tests:
            pair, difference = (str(test.get("a")), str(test.get("b"))), number(test.get("difference"))
            if best in pair:
                other = pair[1] if pair[0] == best else pair[0]
                lead = None if difference is None else difference if pair[0] == best else -difference
                by_model[other] = Margin(other, lead, number(test.get("p_corrected")))
        return [by_model[row.name] for row in self.rows if row.name in by_model]

    def best(self, key: str, *, lowest: bool = False) -> float | None:
        """The best value of a figure, None where models do not differ."""
        values = [value for row in self.rows if (value := row.figure(key)) is not None]
        if len(values) < 2 or min(values) == max(values):
            return None
        return min(values) if lowest else max(values)
