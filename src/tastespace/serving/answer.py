"""The values that a recommender returns: answers, reasons, explanations."""

from dataclasses import dataclass
from typing import Any, Literal

Route = Literal["user", "folded-in", "session", "features", "popular", "similar"]
Kind = Literal["history", "feature", "user", "baseline", "similar_users", "popular"]


@dataclass(frozen=True)
class Reason:
    """One part of a score.

    `kind` "history": an item of the history, its id in `name`; "feature": an attribute of the user, in words; "user":
    what the model learnt of this user beyond their history; "baseline": the score that the item has for any user, such
    as its bias; "similar_users": the number of the most similar users who like it; "popular": that of all users.
    """

    kind: Kind
    name: Any
    value: float


@dataclass(frozen=True)
class Answer:
    """Ids with their scores, best first, and the route that led to them.

    Scores are the model's own (comparable within one answer), numbers of likes on the routes `popular` and `features`
    (there of the 300 users most similar to the description, or of a third of a small data set), cosines for `similar`.
    `notes` say which part of the request could not be used, that the history is short, and why fewer items came back
    than requested. `reasons`, where requested, explain the score of each item, the strongest first.
    """

    items: tuple[Any, ...]
    scores: tuple[float, ...]
    route: Route
    notes: tuple[str, ...] = ()
    reasons: tuple[tuple[Reason, ...], ...] = ()


@dataclass(frozen=True)
class Explanation:
    """Why an item has its score: reasons, the strongest first.

    `adds_up`: their values add up to the score; otherwise each is what the score would lose without that item of the
    history (transformers and networks).
    """

    item: Any
    score: float
    route: Route
    reasons: tuple[Reason, ...]
    adds_up: bool
    notes: tuple[str, ...] = ()
