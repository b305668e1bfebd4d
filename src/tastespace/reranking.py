"""Re-ranking: rules applied to candidates, place by place. Arrays in, places out."""

import math
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from tastespace.data.vocabulary import Vocabulary
from tastespace.data.where import Attributes, Cells
from tastespace.errors import OptionError
from tastespace.rules import Fresh, Rules
from tastespace.suggest import did_you_mean, shown

Places = NDArray[np.int64]
Mask = NDArray[np.bool_]
Values = NDArray[np.float64]

CANDIDATES = 200  # at least, of which rules choose; 10 times the list where that is more


@dataclass(frozen=True, eq=False)
class Prepared:
    """Rules looked up in a catalogue of N items; conditions are (N,) masks."""

    rules: Rules
    pins: dict[int, int]  # place from 1 to item
    boost: Values  # (N,) in deviations of the candidates' scores
    buried: Mask
    caps: tuple[tuple[str, Cells, int], ...]
    shares: tuple[tuple[str, Mask, float, float], ...]
    fresh: Mask | None
    popularity: Values  # (N,) logarithm of likes, in deviations

    @classmethod
    def of(cls, rules: Rules, attributes: Attributes, items: Vocabulary, likes: Places) -> "Prepared":
        """Raises `OptionError` for a column that is not there, and `UnknownIdError` for a pin that is no item."""
        boost = np.zeros(attributes.n)
        for one in rules.boost:
            boost += one.by * one.where.mask(attributes)
        buried = np.zeros(attributes.n, dtype=bool)
        for rule in rules.bury:
            buried |= rule.where.mask(attributes)
        for cap in rules.cap:
            check_column(attributes, cap.of, "cap")
        places = [int(items.index_of([pin.item])[0]) for pin in rules.pin]
        return cls(
            rules,
            {pin.place: place for pin, place in zip(rules.pin, places, strict=True)},
            boost,
            buried,
            tuple((cap.of, attributes[cap.of], cap.at_most) for cap in rules.cap),
            tuple((one.where.text, one.where.mask(attributes), one.at_least, one.at_most) for one in rules.share),
            None if rules.fresh is None else fresh_items(rules.fresh, attributes),
            _deviations(np.log1p(likes.astype(np.float64))),
        )

    def searches(self, k: int) -> list[tuple[int, Mask | None]]:
        """What candidates to look for: how many, and among which items (None: all)."""
        found: list[tuple[int, Mask | None]] = [(max(CANDIDATES, 10 * k), None)]
        if self.buried.any():
            found = [(found[0][0], ~self.buried), (k, self.buried)]
        found += [(k, fits) for _, fits, least, _ in self.shares if least > 0]
        if (self.boost > 0).any():
            found.append((k, self.boost > 0))
        return found


def check_column(attributes: Attributes, name: str, rule: str) -> None:
    """Raise `OptionError` where there is no such column."""
    if name not in attributes.table:
        hint = did_you_mean(name, list(attributes.table.columns)) or "; there are none at all"
        raise OptionError(f"the rule {rule} names {shown(name)}, which is no attribute of the items{hint}")


def fresh_items(rule: Fresh, attributes: Attributes) -> Mask:
    """(N,) items within the window before the newest."""
    check_column(attributes, rule.column, "fresh")
    cells = attributes[rule.column]
    values = cells.values if cells.numeric else _days(rule.column, cells)
    if len(values) == 0:
        return np.zeros(attributes.n, dtype=bool)
    return cells.fitting(values >= values.max() - rule.within)


def choose(
    prepared: Prepared, places: Places, scores: NDArray[np.float32], k: int, allowed: Mask, vectors: Values | None
) -> tuple[Places, tuple[str, ...]]:
    """Up to `k` of the candidates `places` (M,), in order, and what of the rules could not be kept, in sentences.

    `allowed` (N,) holds for pins too. `vectors` (M, D) of length 1 say how alike candidates are (mmr).
    """
    value = _deviations(scores.astype(np.float64)) + prepared.boost[places]
    value = value - prepared.rules.damp * prepared.popularity[places]
    value = np.where(prepared.buried[places], value - 1e6, value)
    pins = {place: item for place, item in prepared.pins.items() if place <= k and allowed[item]}
    chosen = _Chosen(prepared, places, k, pins)
    closest = np.zeros(len(places))
    relevance = _between_0_and_1(value) if prepared.rules.mmr < 1 else value
    for place in range(1, k + 1):
        if place in pins:
            chosen.take(pins[place])
            continue
        open_ = chosen.open(place)
        if not open_.any():
            continue
        worth = prepared.rules.mmr * relevance - (1 - prepared.rules.mmr) * closest
        best = int(np.argmax(np.where(open_, worth, -np.inf)))
        chosen.take(int(places[best]))
        if vectors is not None and prepared.rules.mmr < 1:
            alike = vectors @ vectors[best]
            closest = alike if len(chosen.items) == 1 else np.maximum(closest, alike)
    lost = [item for place, item in prepared.pins.items() if place <= k and not allowed[item]]
    return np.array(chosen.items, dtype=np.int64), chosen.broken(len(lost))


class _Chosen:
    """The list so far, and what caps and shares still allow."""

    def __init__(self, prepared: Prepared, places: Places, k: int, pins: dict[int, int]) -> None:
        self.prepared, self.places, self.k, self.pins = prepared, places, k, pins
        self.items: list[int] = []
        self._taken = np.isin(places, list(pins.values()))
        self._caps = [(_rows_of(cells, places), cells, most) for _, cells, most in prepared.caps]
        self._counts = [np.zeros(len(cells.values), dtype=np.int64) for _, cells, _ in prepared.caps]
        self._found = [0] * len(prepared.shares)

    def take(self, item: int) -> None:
        self.items.append(item)
        self._taken |= self.places == item
        for counts, (_, cells, _) in zip(self._counts, self._caps, strict=True):
            counts[cells.held[cells.cells == item]] += 1
        for number, (_, fits, _, _) in enumerate(self.prepared.shares):
            self._found[number] += bool(fits[item])

    def open(self, place: int) -> Mask:
        """(M,) candidates that may stand at a place."""
        found = ~self._taken
        for counts, ((rows, held), _, most) in zip(self._counts, self._caps, strict=True):
            full = counts[held] >= most
            found[rows[full]] = False
        later = [item for at, item in self.pins.items() if at > place]
        slots = self.k - place + 1 - len(later)
        for number, (_, fits, lower, upper) in enumerate(self.prepared.shares):
            here = fits[self.places]
            have = self._found[number] + sum(bool(fits[item]) for item in later)
            if have >= math.floor(upper * self.k + 1e-9):
                found &= ~here
            if 0 < math.ceil(lower * self.k - 1e-9) - have >= slots and (found & here).any():
                found &= here
        return found

    def broken(self, lost_pins: int) -> tuple[str, ...]:
        """What could not be kept."""
        told = []
        if lost_pins:
            told.append(f"{lost_pins} pinned item{'s' * (lost_pins != 1)} left out, as filters or history say")
        for found, (text, _, least, _) in zip(self._found, self.prepared.shares, strict=True):
            wanted = math.ceil(least * self.k - 1e-9)
            if found < wanted:
                told.append(f"the share of {text}: {wanted} of {self.k} items asked for, {found} found")
        if len(self.items) < self.k and (self.prepared.caps or self.prepared.shares):
            told.append(f"rules leave only {len(self.items)} of {self.k} items")
        return tuple(told)


def _rows_of(cells: Cells, places: Places) -> tuple[Places, Places]:
    """For each value that a candidate holds: which candidate, and which value."""
    where = np.full(cells.n, -1, dtype=np.int64)
    where[places] = np.arange(len(places))
    rows = where[cells.cells]
    return rows[rows >= 0], cells.held[rows >= 0]


def _deviations(values: Values) -> Values:
    """Around 0, with deviation 1; zeros where all are equal."""
    spread = float(values.std()) if len(values) else 0.0
    found: Values = (values - values.mean()) / spread if spread > 0 else np.zeros(len(values))
    return found


def _between_0_and_1(values: Values) -> Values:
    width = float(np.ptp(values)) if len(values) else 0.0
    found: Values = (values - values.min()) / width if width > 0 else np.zeros(len(values))
    return found


def _days(column: str, cells: Cells) -> Values:
    try:
        return np.array([date.fromisoformat(text[:10]).toordinal() for text in cells.values], dtype=np.float64)
    except ValueError as error:
        raise OptionError(f"the rule fresh needs numbers or ISO dates in {column} ({error})") from error
