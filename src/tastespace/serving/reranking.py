"""Re-ranking: rules applied to candidates, place by place. Arrays in, places out."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from tastespace._messages import did_you_mean, shown
from tastespace.data.conditions import Attributes, Cells
from tastespace.data.vocabulary import Vocabulary
from tastespace.errors import OptionError, UnknownIdError
from tastespace.serving.rules import Fresh, Rules

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
    demoted: Mask
    caps: tuple[tuple[Cells, int], ...]
    shares: tuple[tuple[str, Mask, float, float], ...]
    fresh: Mask | None
    popularity: Values  # (N,) logarithm of likes, in deviations

    @classmethod
    def of(cls, rules: Rules, attributes: Attributes, items: Vocabulary, likes: Places) -> "Prepared":
        """Raises `OptionError` for a column that is not there, and `UnknownIdError` for a pin that is no item."""
        boost = np.zeros(attributes.n)
        for one in rules.boost:
            with told_where(one.at):
                boost += one.by * one.where.mask(attributes)
        demoted = np.zeros(attributes.n, dtype=bool)
        for rule in rules.demote:
            with told_where(rule.at):
                demoted |= rule.where.mask(attributes)
        for cap in rules.cap:
            with told_where(cap.at):
                check_column(attributes, cap.of, "cap")
        places: list[int] = []
        masks, fresh = [], None
        for pin in rules.pin:
            with told_where(pin.at):
                identifier = items.parse(pin.item) if isinstance(pin.item, str) else pin.item
                place = int(items.index_of([identifier])[0])
                if place in places:
                    raise OptionError(f"item {shown(identifier)} is pinned for the second time")
                places.append(place)
        for share in rules.share:
            with told_where(share.at):
                masks.append(share.where.mask(attributes))
        if rules.fresh is not None:
            with told_where(rules.fresh.at):
                fresh = fresh_items(rules.fresh, attributes)
        return cls(
            rules,
            {pin.place: place for pin, place in zip(rules.pin, places, strict=True)},
            boost,
            demoted,
            tuple((attributes[cap.of], cap.at_most) for cap in rules.cap),
            tuple((one.where.text, m, one.at_least, one.at_most) for one, m in zip(rules.share, masks, strict=True)),
            fresh,
            _deviations(np.log1p(likes.astype(np.float64))),
        )

    def searches(self, k: int) -> list[tuple[int, Mask | None]]:
        """What candidates to look for: how many, and among which items (None: all)."""
        found: list[tuple[int, Mask | None]] = [(max(CANDIDATES, 10 * k), None)]
        if self.demoted.any():
            found = [(found[0][0], ~self.demoted), (k, self.demoted)]
        found += [(k, fits) for _, fits, least, _ in self.shares if least > 0]
        if (self.boost > 0).any():
            found.append((k, self.boost > 0))
        return found


@contextmanager
def told_where(at: str) -> Iterator[None]:
    """Puts the place of a rule before what is wrong with it."""
    try:
        yield
    except (OptionError, UnknownIdError) as error:
        raise type(error)(f"{at}: {error}" if at else str(error)) from error


def check_column(attributes: Attributes, name: str, rule: str) -> None:
    """Raise `OptionError` where there is no such column."""
    if name not in attributes.table:
        hint = did_you_mean(name, list(attributes.table.columns)) or "; there are none at all"
        raise OptionError(f"the rule {rule} names {shown(name)}, which is no attribute of the items{hint}")
    if attributes[name].vectors:
        raise OptionError(f"the rule {rule} names {shown(name)}, which holds vectors; numbers or texts are expected")


def fresh_items(rule: Fresh, attributes: Attributes) -> Mask:
    """(N,) items within the window before the newest."""
    check_column(attributes, rule.column, "fresh")
    cells = attributes[rule.column]
    values = cells.values if cells.numeric else _days(rule.column, cells)
    if len(values) == 0:
        return np.zeros(attributes.n, dtype=bool)
    return cells.fitting(values >= values.max() - rule.within)


@dataclass(frozen=True, eq=False)
class Choice:
    """A list of places, what of the rules could not be kept, in sentences, and whether more candidates might help."""

    places: Places
    notes: tuple[str, ...]
    short: bool


def choose(
    prepared: Prepared,
    places: Places,
    scores: NDArray[np.float32],
    k: int,
    allowed: Mask,
    directions: NDArray[np.float32] | None,
) -> Choice:
    """Up to `k` of the candidates `places` (M,), in order.

    `allowed` (N,) holds for pins too. `directions` (N, D), of length 1, say how alike items are (mmr).
    """
    k = min(k, int(np.count_nonzero(allowed)))
    value = _deviations(scores.astype(np.float64)) + prepared.boost[places]
    value = value - prepared.rules.popularity_penalty * prepared.popularity[places]
    pins = {place: item for place, item in prepared.pins.items() if place <= k and allowed[item]}
    lost = sum(place <= k and not allowed[item] for place, item in prepared.pins.items())
    chosen = _Chosen(prepared, places, k, pins)
    mmr = prepared.rules.mmr if directions is not None else 1.0
    relevance = _between_0_and_1(value) if mmr < 1 else value
    candidates = directions[places] if directions is not None and mmr < 1 else None
    closest: Values | None = None
    for place in range(1, k + 1):
        if place in pins:
            item = pins[place]
        else:
            open_ = chosen.open(place)
            if not open_.any():
                continue
            worth = mmr * relevance - (0 if closest is None else (1 - mmr) * closest)
            item = int(places[np.argmax(np.where(open_, worth, -np.inf))])
        chosen.take(item)
        if candidates is not None and directions is not None:
            alike = candidates @ directions[item]
            closest = alike.astype(np.float64) if closest is None else np.maximum(closest, alike)
    return Choice(np.array(chosen.items, dtype=np.int64), *chosen.broken(lost))


class _Chosen:
    """The list so far, and what caps and shares still allow."""

    def __init__(self, prepared: Prepared, places: Places, k: int, pins: dict[int, int]) -> None:
        self.prepared, self.places, self.k = prepared, places, k
        self.items: list[int] = []
        self._pins = pins
        self._taken = np.isin(places, list(pins.values()))
        self._buried = prepared.demoted[places]
        self._caps = [(_rows_of(cells, places), cells, most) for cells, most in prepared.caps]
        self._counts = [np.zeros(len(cells.values), dtype=np.int64) for cells, _ in prepared.caps]
        fits = [fits[places] for _, fits, _, _ in prepared.shares]
        self._fits = np.array(fits, dtype=bool).reshape(len(prepared.shares), len(places))
        least = [math.ceil(least * k - 1e-9) for _, _, least, _ in prepared.shares]
        most = [math.floor(most * k + 1e-9) for _, _, _, most in prepared.shares]
        self._least, self._most = np.array(least, dtype=np.int64), np.array(most, dtype=np.int64)
        self._found = np.zeros(len(prepared.shares), dtype=np.int64)
        for item in pins.values():  # they count from the start, wherever they stand
            self._count(item)

    def _count(self, item: int) -> None:
        for counts, (_, cells, _) in zip(self._counts, self._caps, strict=True):
            counts[cells.held[cells.cells == item]] += 1
        self._found += np.array([fits[item] for _, fits, _, _ in self.prepared.shares], dtype=np.int64)

    def take(self, item: int) -> None:
        self.items.append(item)
        self._taken |= self.places == item
        if item not in self._pins.values():
            self._count(item)

    def open(self, place: int) -> Mask:
        """(M,) candidates that may stand at a place."""
        found = ~self._taken
        for counts, ((rows, held), _, most) in zip(self._counts, self._caps, strict=True):
            found[rows[counts[held] >= most]] = False
        found &= ~(self._fits & (self._found >= self._most)[:, None]).any(axis=0)
        slots = self.k - place + 1 - sum(at > place for at in self._pins)
        needs = self._least - self._found
        if (needs > 0).any():
            found &= self._hopeful(found, needs, slots)
        return found & ~self._buried if (found & ~self._buried).any() else found

    def _hopeful(self, open_: Mask, needs: Places, slots: int) -> Mask:
        """(M,) candidates after whom what shares still need has room in the list; the best of them where none has."""
        patterns, which, counts = np.unique(self._fits[:, open_], axis=1, return_inverse=True, return_counts=True)
        after = [
            _room(needs - patterns[:, place], patterns, counts - (np.arange(len(counts)) == place))
            for place in range(patterns.shape[1])
        ]
        good = np.array(after) <= slots - 1
        if not good.any():
            good = np.array(after) == min(after, default=0)
        found = np.zeros(len(open_), dtype=bool)
        found[open_] = good[which.ravel()]
        return found

    def broken(self, lost_pins: int) -> tuple[tuple[str, ...], bool]:
        """What could not be kept, and whether anything is short that more candidates might mend."""
        told, short = [], False
        if lost_pins:
            told.append(f"{lost_pins} pinned item{'s' * (lost_pins != 1)} left out, as filters or history say")
        for found, wanted, (text, _, _, _) in zip(self._found, self._least, self.prepared.shares, strict=True):
            if found < wanted:
                told.append(f"the share of {text}: {wanted} of {self.k} items asked for, {found} found")
                short = True
        if sum(self._found < self._least) > 1:
            told.append("these shares cannot be met together")
        if len(self.items) < self.k:
            told.append(f"rules leave only {len(self.items)} of {self.k} items")
            short = True
        return tuple(told), short


def _room(needs: Places, patterns: Mask, counts: Places) -> int:
    """How many places it takes, about, to meet the needs (S,) of shares with items of patterns (S, P), `counts` (P,).

    Greedily: those first that meet most needs at once; a need that nothing meets takes a place too.
    """
    needs, left, taken = np.maximum(needs, 0), counts.copy(), 0
    while (needs > 0).any():
        meets = (patterns & (needs > 0)[:, None]).sum(axis=0) * (left > 0)
        best = int(np.argmax(meets)) if len(meets) else 0
        if len(meets) == 0 or meets[best] == 0:
            return taken + int(needs.sum())
        times = min(int(left[best]), int(needs[patterns[:, best] & (needs > 0)].min()))
        needs = np.maximum(needs - times * patterns[:, best], 0)
        left[best] -= times
        taken += times
    return taken


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
