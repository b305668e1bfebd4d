"""Resolving a request into one query, the route of its answer, and the filter on its items."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tastespace._messages import shown
from tastespace.data.features import EncodedRow
from tastespace.data.histories import Histories
from tastespace.data.queries import Queries
from tastespace.errors import OptionError
from tastespace.models.parts.popularity_prior import n_distinct_positives
from tastespace.serving.answer import Route
from tastespace.serving.filters import Filter
from tastespace.serving.loaded_model import LoadedModel

_SHORT_HISTORY = 3  # likes of an unseen user, up to which a note says that popularity counts (see `popularity_prior`)


@dataclass(frozen=True, eq=False)
class Question:
    """One query, the route of its answer, and notes on what of the request could not be used.

    `counts` (N,) are numbers of likes that rank in place of the model's scores: of all users on the route `popular`, of
    similar users on the route `features`; None where the model scores.
    """

    queries: Queries
    route: Route
    notes: tuple[str, ...] = ()
    counts: NDArray[np.float32] | None = None


def resolve_question(
    loaded: LoadedModel,
    user: Any = None,
    history: Sequence[Any] | None = None,
    features: Mapping[str, Any] | None = None,
) -> Question:
    """Resolve ids and attributes; `UnknownIdError` and `OptionError` for those that the bundle does not know."""
    bundle = loaded.bundle
    check_list("history", history)
    if features is not None and not isinstance(features, Mapping):
        raise OptionError(f"features are {shown(features)}, but a mapping of names to values is expected")
    newer = bundle.items.index_of([] if history is None else list(history))
    row = int(bundle.users.index_of([user])[0]) if user is not None else -1
    past = bundle.histories.take(np.array([row])) if row >= 0 else Histories.of([[]])
    full = _append(past, newer)
    attributes, notes = _encode_features(loaded, features)
    if not bool(np.any(full.weights > 0)):
        return _question_without_likes(loaded, full, attributes, notes)
    route: Route = "session" if row < 0 else "folded-in" if len(newer) else "user"
    queries = Queries(np.array([row if route == "user" else -1]), full)
    likes = int(n_distinct_positives(full)[0]) if route != "user" else 0
    if 0 < likes <= _SHORT_HISTORY:
        notes = (*notes, f"only {likes} {'like is' if likes == 1 else 'likes are'} known, so popularity counts too")
    if attributes is None:
        return Question(queries, route, notes)
    if loaded.features is not None:
        return Question(replace(queries, features=attributes.values), route, notes)
    if attributes.understood:
        unused = f"the model {bundle.manifest['model']} reads no attributes: only the history was used"
        notes = (*notes, unused)
    return Question(queries, route, notes)


def question_of_split(loaded: LoadedModel, query: Queries) -> Question:
    """Make a question of one query of a split: by its history, or by popularity where nothing in it is liked."""
    if (query.history.weights > 0).any():
        return Question(query, "session")
    return Question(query, "popular", counts=loaded.popularity)


def resolve_filter(
    loaded: LoadedModel,
    *,
    seen: NDArray[np.int64] | None = None,
    exclude: Iterable[Any] | None = (),
    allow: Iterable[Any] | None = None,
    where: str | None = None,
) -> Filter:
    """Resolve the filters of a request; `seen` are item indices that do not come back either."""
    items = loaded.bundle.items
    check_list("exclude", exclude)
    check_list("allow", allow)
    return Filter(
        len(items),
        exclude=items.index_of([] if exclude is None else list(exclude)),
        seen=np.zeros(0, np.int64) if seen is None else seen,
        allow=None if allow is None else items.index_of(list(allow)),
        matching=None if where is None else loaded.attributes.fitting(where),
    )


def check_list(name: str, value: object) -> None:
    """Raise `OptionError` for a value that is not a list of ids."""
    if value is not None and (isinstance(value, str) or not isinstance(value, Iterable)):
        raise OptionError(f"{name} is {shown(value)}, but a list of item ids is expected")


def _question_without_likes(
    loaded: LoadedModel, history: Histories, attributes: EncodedRow | None, notes: tuple[str, ...]
) -> Question:
    """Answer by the likes of similar users where attributes are given, else by popularity."""
    queries = Queries(np.array([-1]), history)
    if attributes is not None and attributes.understood:
        counts = loaded.similar_users.count_likes(attributes.values)
        return Question(queries, "features", notes, loaded.with_added_items(counts))
    return Question(queries, "popular", notes, loaded.popularity)


def _encode_features(
    loaded: LoadedModel, features: Mapping[str, Any] | None
) -> tuple[EncodedRow | None, tuple[str, ...]]:
    """Encode the attributes of a request (None: it has none), and note values that training never had."""
    if not features:
        return None, ()
    encoded = loaded.user_encoder.encode_one(features)
    return encoded, tuple(
        f"the training data never had {shown(value)} as {name}: it counts as missing"
        for name, values in encoded.unknown.items()
        for value in values
    )


def _append(past: Histories, newer: NDArray[np.int64]) -> Histories:
    """Append newly liked items to one history."""
    if len(newer) == 0:
        return past
    items = np.concatenate([past.items, newer]).astype(np.int32)
    weights = np.concatenate([past.weights, np.ones(len(newer), np.float32)]).astype(np.float32)
    return Histories(items, np.array([0, len(items)], dtype=np.int64), weights)
