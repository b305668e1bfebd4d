"""Reasons: what a score is the sum of, or, where it is no sum, what it would lose without each item of the history."""

from dataclasses import dataclass
from typing import Any, Literal

from tastespace.models.parts.fold_in import Parts

Kind = Literal["history", "feature", "user", "everybody", "people", "popular"]


@dataclass(frozen=True)
class Reason:
    """One part of a score.

    `kind` "history": an item of the history, its id in `name`; "feature": an attribute of the user, in words; "user":
    what the model learnt of this user beyond their history; "everybody": what the item gets from anybody; "people": so
    many of the users most like the description like it; "popular": so many users do, which is all there is to say.
    """

    kind: Kind
    name: Any
    value: float


@dataclass(frozen=True)
class Explanation:
    """Why an item has its score: reasons, the strongest first.

    `adds_up`: their values add up to the score; else each is what the score would lose without that item of the
    history (transformers and networks).
    """

    item: Any
    score: float
    route: str
    reasons: tuple[Reason, ...]
    adds_up: bool
    notes: tuple[str, ...] = ()


def reasons_of(parts: Parts, history: list[Any]) -> tuple[Reason, ...]:
    """Parts of a score as reasons; `history` are the ids of the history's items, of which one may come up twice."""
    of_items: dict[Any, float] = {}
    for item, value in zip(history, parts.history.tolist(), strict=True):
        of_items[item] = of_items.get(item, 0.0) + value
    found = [Reason("history", item, value) for item, value in of_items.items()]
    found += [Reason("feature", name, value) for name, value in parts.features.items()]
    found += [Reason("user", None, parts.user), Reason("everybody", None, parts.everybody)]
    return tuple(sorted((one for one in found if one.value != 0), key=lambda one: -abs(one.value)))
