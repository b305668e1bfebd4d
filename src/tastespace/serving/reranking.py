"""Re-ranking of candidates by business rules, one position of the list after the other, on item indices."""

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

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]
Values = NDArray[np.float64]

N_CANDIDATES = 200  # at least, from which rules choose; 10 times the list where that is more


@dataclass(frozen=True, eq=False)
class ResolvedRules:
    """Rules resolved for a catalogue of N items: conditions are masks (N,), and pinned ids are indices."""

    rules: Rules
    pins: dict[int, int]  # place from 1: item index
    boost: Values  # (N,) in standard deviations of the candidates' scores
    demoted: Mask
    caps: tuple[tuple[Cells, int], ...]
    shares: tuple[tuple[str, Mask, float, float], ...]  # condition as text, mask, bounds
    fresh: Mask | None
    popularity: Values  # (N,) log of the number of likes, standardised

    @classmethod
    def of(cls, rules: Rules, attributes: Attributes, items: Vocabulary, likes: Indices) -> "ResolvedRules":
        """Resolve rules; `likes` (N,) counts them by item.

        Raises `OptionError` for an unknown column and `UnknownIdError` for a pinned id that is no item.
        """
        boost = np.zeros(attributes.n)
        for rule in rules.boost:
            with _error_location(rule.at):
                boost += rule.by * rule.where.mask(attributes)
        demoted = np.zeros(attributes.n, dtype=bool)
        for demotion in rules.demote:
            with _error_location(demotion.at):
                demoted |= demotion.where.mask(attributes)
        for cap in rules.cap:
            with _error_location(cap.at):
                _check_column(attributes, cap.of, "cap")
        pinned: list[int] = []
        masks, fresh = [], None
        for pin in rules.pin:
            with _error_location(pin.at):
                identifier = items.parse(pin.item) if isinstance(pin.item, str) else pin.item
                item = int(items.index_of([identifier])[0])
                if item in pinned:
                    raise OptionError(f"item {shown(identifier)} is pinned twice")
                pinned.append(item)
        for share in rules.share:
            with _error_location(share.at):
                masks.append(share.where.mask(attributes))
        if rules.fresh is not None:
            with _error_location(rules.fresh.at):
                fresh = _fresh_items(rules.fresh, attributes)
        return cls(
            rules,
            {pin.place: item for pin, item in zip(rules.pin, pinned, strict=True)},
            boost,
            demoted,
            tuple((attributes[cap.of], cap.at_most) for cap in rules.cap),
            tuple(
                (share.where.text, mask, share.at_least, share.at_most)
                for share, mask in zip(rules.share, masks, strict=True)
            ),
            fresh,
            _standardised(np.log1p(likes.astype(np.float64))),
        )

    def searches(self, k: int) -> list[tuple[int, Mask | None]]:
        """Searches that retrieve the candidates: the number of items, and the mask (N,) they are restricted to."""
        n_candidates = max(N_CANDIDATES, 10 * k)
        searches: list[tuple[int, Mask | None]] = [(n_candidates, None)]
        if self.demoted.any():
            searches = [(n_candidates, ~self.demoted), (k, self.demoted)]
        searches += [(k, mask) for _, mask, at_least, _ in self.shares if at_least > 0]
        if (self.boost > 0).any():
            searches.append((k, self.boost > 0))
        return searches


@contextmanager
def _error_location(at: str) -> Iterator[None]:
    """Put the file and line of a rule in front of errors about it."""
    try:
        yield
    except (OptionError, UnknownIdError) as error:
        raise type(error)(f"{at}: {error}" if at else str(error)) from error


def _check_column(attributes: Attributes, name: str, rule: str) -> None:
    """Raise `OptionError` for an unknown column, and for one of vectors."""
    if name not in attributes.table:
        hint = did_you_mean(name, list(attributes.table.columns)) or "; there are none at all"
        raise OptionError(f"the rule {rule} names {shown(name)}, which is no attribute of the items{hint}")
    if attributes[name].vectors:
        raise OptionError(f"the rule {rule} names {shown(name)}, which holds vectors; numbers or texts are expected")


def _fresh_items(rule: Fresh, attributes: Attributes) -> Mask:
    """(N,) items whose value is at most `rule.within` below the largest."""
    _check_column(attributes, rule.column, "fresh")
    cells = attributes[rule.column]
    values = cells.values if cells.numeric else _days(rule.column, cells)
    if len(values) == 0:
        return np.zeros(attributes.n, dtype=bool)
    return cells.fitting(values >= values.max() - rule.within)


@dataclass(frozen=True, eq=False)
class RerankedList:
    """Item indices in order, sentences on rules that could not be satisfied, and whether more candidates may help."""

    items: Indices
    notes: tuple[str, ...]
    needs_candidates: bool


def rerank(
    rules: ResolvedRules,
    candidates: Indices,
    scores: NDArray[np.float32],
    k: int,
    allowed: Mask,
    directions: NDArray[np.float32] | None,
) -> RerankedList:
    """Choose up to `k` of the candidates (M,), in order.

    `allowed` (N,) applies to pins too. `directions` (N, D) are item embeddings of norm 1, for the similarity of MMR.
    """
    k = min(k, int(np.count_nonzero(allowed)))
    value = _standardised(scores.astype(np.float64)) + rules.boost[candidates]
    value = value - rules.rules.popularity_penalty * rules.popularity[candidates]
    pins = {place: item for place, item in rules.pins.items() if place <= k and allowed[item]}
    n_hidden_pins = sum(place <= k and not allowed[item] for place, item in rules.pins.items())
    chosen = _PartialList(rules, candidates, k, pins)
    mmr = rules.rules.mmr if directions is not None else 1.0
    relevance = _scaled_to_unit_range(value) if mmr < 1 else value
    candidate_directions = directions[candidates] if directions is not None and mmr < 1 else None
    highest_similarity: Values | None = None  # (M,) to the items chosen so far
    for place in range(1, k + 1):
        if place in pins:
            item = pins[place]
        else:
            eligible = chosen.eligible(place)
            if not eligible.any():
                continue
            objective = mmr * relevance - (0 if highest_similarity is None else (1 - mmr) * highest_similarity)
            item = int(candidates[np.argmax(np.where(eligible, objective, -np.inf))])
        chosen.append(item)
        if candidate_directions is not None and directions is not None:
            similarity = (candidate_directions @ directions[item]).astype(np.float64)
            if highest_similarity is None:
                highest_similarity = similarity
            else:
                highest_similarity = np.maximum(highest_similarity, similarity)
    return RerankedList(np.array(chosen.items, dtype=np.int64), *chosen.violations(n_hidden_pins))


class _PartialList:
    """Items chosen so far, with the counts that caps and shares constrain."""

    def __init__(self, rules: ResolvedRules, candidates: Indices, k: int, pins: dict[int, int]) -> None:
        self.rules, self.candidates, self.k = rules, candidates, k
        self.items: list[int] = []
        self._pins = pins
        self._used = np.isin(candidates, list(pins.values()))
        self._demoted = rules.demoted[candidates]
        self._caps = [(_values_of(cells, candidates), cells, at_most) for cells, at_most in rules.caps]
        self._cap_counts = [np.zeros(len(cells.values), dtype=np.int64) for cells, _ in rules.caps]
        matches = [mask[candidates] for _, mask, _, _ in rules.shares]
        self._matches = np.array(matches, dtype=bool).reshape(len(rules.shares), len(candidates))  # (S, M)
        at_least = [math.ceil(at_least * k - 1e-9) for _, _, at_least, _ in rules.shares]
        at_most = [math.floor(at_most * k + 1e-9) for _, _, _, at_most in rules.shares]
        self._at_least, self._at_most = np.array(at_least, dtype=np.int64), np.array(at_most, dtype=np.int64)
        self._share_counts = np.zeros(len(rules.shares), dtype=np.int64)
        for item in pins.values():  # pins count from the start, whatever their place
            self._count(item)

    def _count(self, item: int) -> None:
        for counts, (_, cells, _) in zip(self._cap_counts, self._caps, strict=True):
            counts[cells.held[cells.cells == item]] += 1
        self._share_counts += np.array([mask[item] for _, mask, _, _ in self.rules.shares], dtype=np.int64)

    def append(self, item: int) -> None:
        self.items.append(item)
        self._used |= self.candidates == item
        if item not in self._pins.values():
            self._count(item)

    def eligible(self, place: int) -> Mask:
        """(M,) candidates that rules allow at a place."""
        eligible = ~self._used
        for counts, ((rows, values), _, at_most) in zip(self._cap_counts, self._caps, strict=True):
            eligible[rows[counts[values] >= at_most]] = False
        eligible &= ~(self._matches & (self._share_counts >= self._at_most)[:, None]).any(axis=0)
        n_places = self.k - place + 1 - sum(pinned > place for pinned in self._pins)
        needed = self._at_least - self._share_counts
        if (needed > 0).any():
            eligible &= self._feasible(eligible, needed, n_places)
        return eligible & ~self._demoted if (eligible & ~self._demoted).any() else eligible

    def _feasible(self, eligible: Mask, needed: Indices, n_places: int) -> Mask:
        """(M,) eligible candidates that leave enough places for what shares still need; the best ones if none does.

        `needed` (S,) is the number of items that each share lacks.
        """
        patterns, pattern_of, counts = np.unique(
            self._matches[:, eligible], axis=1, return_inverse=True, return_counts=True
        )  # (S, P), (E,), (P,)
        places_needed = np.array(
            [
                _places_needed(needed - patterns[:, row], patterns, counts - (np.arange(len(counts)) == row))
                for row in range(patterns.shape[1])
            ]
        )
        feasible = places_needed <= n_places - 1
        if not feasible.any():
            feasible = places_needed == min(places_needed, default=0)
        mask = np.zeros(len(eligible), dtype=bool)
        mask[eligible] = feasible[pattern_of.ravel()]
        return mask

    def violations(self, n_hidden_pins: int) -> tuple[tuple[str, ...], bool]:
        """Sentences on rules that are not satisfied, and whether more candidates might satisfy them."""
        notes, needs_candidates = [], False
        if n_hidden_pins:
            notes.append(
                f"{n_hidden_pins} pinned item{'s' * (n_hidden_pins != 1)} left out, hidden by filters or history"
            )
        for count, at_least, (text, _, _, _) in zip(self._share_counts, self._at_least, self.rules.shares, strict=True):
            if count < at_least:
                notes.append(f"the share of {text}: {at_least} of {self.k} items are required, {count} available")
                needs_candidates = True
        if sum(self._share_counts < self._at_least) > 1:
            notes.append("these shares cannot be satisfied together")
        if len(self.items) < self.k:
            notes.append(f"rules leave only {len(self.items)} of {self.k} items")
            needs_candidates = True
        return tuple(notes), needs_candidates


def _places_needed(needed: Indices, patterns: Mask, counts: Indices) -> int:
    """Estimate the number of places that shares take which lack `needed` (S,) items.

    `patterns` (S, P) are the combinations of shares that candidates match, `counts` (P,) the candidates of each.
    Greedy: patterns that match most lacking shares first; a share that nothing matches takes places too.
    """
    needed, available, places = np.maximum(needed, 0), counts.copy(), 0
    while (needed > 0).any():
        matched = (patterns & (needed > 0)[:, None]).sum(axis=0) * (available > 0)
        best = int(np.argmax(matched)) if len(matched) else 0
        if len(matched) == 0 or matched[best] == 0:
            return places + int(needed.sum())
        times = min(int(available[best]), int(needed[patterns[:, best] & (needed > 0)].min()))
        needed = np.maximum(needed - times * patterns[:, best], 0)
        available[best] -= times
        places += times
    return places


def _values_of(cells: Cells, candidates: Indices) -> tuple[Indices, Indices]:
    """Pairs of candidate (its position in the list) and value, for every value that a candidate has."""
    position_of = np.full(cells.n, -1, dtype=np.int64)
    position_of[candidates] = np.arange(len(candidates))
    rows = position_of[cells.cells]
    return rows[rows >= 0], cells.held[rows >= 0]


def _standardised(values: Values) -> Values:
    """Values with mean 0 and standard deviation 1; zeros where all are equal."""
    deviation = float(values.std()) if len(values) else 0.0
    return np.asarray((values - values.mean()) / deviation if deviation > 0 else np.zeros(len(values)))


def _scaled_to_unit_range(values: Values) -> Values:
    """Values scaled to [0, 1]; zeros where all are equal."""
    width = float(np.ptp(values)) if len(values) else 0.0
    return np.asarray((values - values.min()) / width if width > 0 else np.zeros(len(values)))


def _days(column: str, cells: Cells) -> Values:
    try:
        return np.array([date.fromisoformat(text[:10]).toordinal() for text in cells.values], dtype=np.float64)
    except ValueError as error:
        raise OptionError(f"the rule fresh needs numbers or ISO dates in {column} ({error})") from error
