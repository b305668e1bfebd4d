"""Reading: a comparison's JSON as values to show; what is absent, not finite or of another kind is None or empty."""

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

    told: Mapping[str, Any]
    reference: bool

    @property
    def name(self) -> str:
        """The model's name, as it came."""
        return str(self.told.get("model"))

    def figure(self, key: str) -> float | None:
        """A figure that stands for itself, e.g. "ndcg@10"."""
        return number(self.told.get(key))

    def interval(self, metric: str) -> tuple[float, float] | None:
        """The 95 % interval of a metric."""
        ends = [number(end) for end in sequence(self.told.get(f"{metric}_ci"))]
        return (ends[0], ends[1]) if len(ends) == 2 and ends[0] is not None and ends[1] is not None else None

    def spread(self, metric: str) -> tuple[float, float] | None:
        """Lowest and highest over seeds, None for a single one."""
        values = [number(value) for value in sequence(mapping(self.told.get("by_seed")).get(metric))]
        known = [value for value in values if value is not None]
        return (min(known), max(known)) if len(known) > 1 else None

    def group(self, name: str, key: str) -> float | None:
        """A figure of one group of users or items that lies between 0 and 1."""
        value = number(mapping(self.groups.get(name)).get(key))
        return value if value is not None and 0 <= value <= 1 else None

    @property
    def groups(self) -> Mapping[str, Any]:
        """Groups of users and items by name."""
        return mapping(self.told.get("groups"))

    @property
    def seeds(self) -> list[Any]:
        """The seeds that it was trained with."""
        return list(sequence(self.told.get("seeds")))

    @property
    def history(self) -> list[Epoch]:
        """Its epochs, in order."""
        found = []
        for told in map(mapping, sequence(self.told.get("history"))):
            at = number(told.get("epoch"))
            if at is not None:
                found.append(Epoch(at, number(told.get("loss")), number(told.get("metric"))))
        return sorted(found, key=lambda epoch: epoch.epoch)

    @property
    def spaces(self) -> dict[str, Mapping[str, Any]]:
        """Health of its "items" and "users" vectors, where it has such."""
        health = mapping(self.told.get("health"))
        return {noun: mapping(health[noun]) for noun in ("items", "users") if mapping(health.get(noun))}

    @property
    def collapsed(self) -> list[str]:
        """Which of its vectors have collapsed."""
        return [noun for noun, space in self.spaces.items() if space.get("collapsed") is True]

    @property
    def warnings(self) -> list[str]:
        """What is bad about its vectors, a sentence each; a collapse is always named."""
        told = [str(one) for one in sequence(mapping(self.told.get("health")).get("warnings"))]
        unsaid = [
            noun for noun in self.collapsed if not any(f"{noun[:-1]} vectors have collapsed" in one for one in told)
        ]
        return [*told, *(f"the {noun[:-1]} vectors have collapsed" for noun in unsaid)]


@dataclass(frozen=True)
class Duel:
    """A model against the winner: the winner's mean less its own, and whether chance may explain it."""

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

    told: Mapping[str, Any]

    @property
    def k(self) -> str:
        """The cut-off as metrics are named by it."""
        k = number(self.told.get("k"))
        return "10" if k is None else f"{k:.0f}"

    @property
    def metric(self) -> str:
        """What models are ordered and tested by."""
        return f"ndcg@{self.k}"

    @property
    def data(self) -> str:
        """The data's name, as it came."""
        return str(self.told.get("data", "?"))

    @property
    def protocol(self) -> str:
        """The protocol's name, as it came."""
        return str(self.told.get("protocol", "?"))

    @cached_property
    def asked(self) -> list[Row]:
        """Models in the order asked for, which is that of their colours under every protocol."""
        references = sequence(self.told.get("references"))
        return [Row(told, told.get("model") in references) for told in map(mapping, sequence(self.told.get("rows")))]

    @cached_property
    def rows(self) -> list[Row]:
        """Models by NDCG, those without it last."""

        def order(row: Row) -> float:
            value = row.figure(self.metric)
            return math.inf if value is None else -value

        return sorted(self.asked, key=order)

    @property
    def winner(self) -> Row | None:
        """The model with the highest NDCG."""
        return self.rows[0] if self.rows and self.rows[0].figure(self.metric) is not None else None

    @property
    def all_equal(self) -> bool:
        """Whether several models have one and the same NDCG."""
        values = {row.figure(self.metric) for row in self.rows}
        return len(self.rows) > 1 and len(values) == 1

    @property
    def tests(self) -> list[Mapping[str, Any]]:
        """Paired tests of all pairs."""
        return [mapping(test) for test in sequence(self.told.get("tests"))]

    @cached_property
    def duels(self) -> list[Duel]:
        """The winner against each other model, the nearest first."""
        if self.winner is None:
            return []
        best, found = self.winner.name, {}
        for test in self.tests:
            pair, difference = (str(test.get("a")), str(test.get("b"))), number(test.get("difference"))
            if best in pair:
                other = pair[1] if pair[0] == best else pair[0]
                turned = None if difference is None else difference if pair[0] == best else -difference
                found[other] = Duel(other, turned, number(test.get("p_corrected")))
        return [found[row.name] for row in self.rows if row.name in found]

    def best(self, key: str, *, lowest: bool = False) -> float | None:
        """The best value of a figure, None where models do not differ."""
        values = [value for row in self.rows if (value := row.figure(key)) is not None]
        if len(values) < 2 or min(values) == max(values):
            return None
        return min(values) if lowest else max(values)
