"""Explanations: the parts that add up to a score, or, where it is no sum, what it loses without each history item."""

from dataclasses import replace
from typing import Any

import numpy as np

from tastespace.data.histories import Histories
from tastespace.data.queries import Queries
from tastespace.models.parts.contributions import Contributions, weighted_mean
from tastespace.serving.answer import Kind, Reason
from tastespace.serving.loaded_model import LoadedModel
from tastespace.serving.questions import Question

_HISTORIES_AT_ONCE = 64


def explain_score(loaded: LoadedModel, question: Question, item: int) -> tuple[tuple[Reason, ...], bool]:
    """Explain the score of an item (index): reasons, the strongest first, and whether they add up to the score."""
    if question.counts is not None:
        kind: Kind = "popular" if question.route == "popular" else "similar_users"
        return (Reason(kind, None, float(question.counts[item])),), True
    parts, adds_up = score_parts(loaded, question.queries, item), True
    if parts is None:
        parts, adds_up = score_drops(loaded, question.queries, item), False
    history = loaded.bundle.items.ids[question.queries.history.items].tolist()
    return reasons_of(parts, history), adds_up


def score_parts(loaded: LoadedModel, queries: Queries, item: int) -> Contributions | None:
    """Split the score of an item into its summands, by the vectors where they suffice; None where it is no sum."""
    fold_in = loaded.bundle.fold_in
    if fold_in is None:
        items, weights = loaded.known_items_for(item)
        known_queries = loaded.without_added_items(queries)
        parts_of_each = [loaded.model.contributions(known_queries, known) for known in items.tolist()]
        sums = [parts for parts in parts_of_each if parts is not None]
        return weighted_mean(sums, weights.tolist()) if sums else None
    parts = fold_in.contributions(queries, loaded.bundle.vectors["items"][item])
    return replace(parts, user=loaded.score(queries, item) - parts.total) if queries.users[0] >= 0 else parts


def score_drops(loaded: LoadedModel, queries: Queries, item: int) -> Contributions:
    """Measure what the score of an item loses without each item of the history; the user's own row is left out."""
    history = queries.history
    distinct, first, which = np.unique(history.items, return_index=True, return_inverse=True)
    included = np.arange(len(distinct) + 1)[:, None] != which[None, :]  # (V + 1, T) all but one item; last row: all
    batches = []
    for rows in np.array_split(included, -(-len(included) // _HISTORIES_AT_ONCE)):
        positions = np.broadcast_to(np.arange(len(which)), rows.shape)[rows]
        offsets = np.concatenate([[0], np.cumsum(rows.sum(axis=1))]).astype(np.int64)
        reduced = Histories(history.items[positions], offsets, history.weights[positions])
        features = None if queries.features is None else np.repeat(queries.features, len(rows), axis=0)
        users = np.full(len(rows), -1, dtype=np.int64)
        batches.append(loaded.score_pairs(Queries(users, reduced, features), item))
    scores = np.concatenate(batches).astype(np.float64)
    drops = np.zeros(len(which))
    drops[first] = scores[-1] - scores[:-1]
    return Contributions(drops)


def reasons_of(parts: Contributions, history: list[Any]) -> tuple[Reason, ...]:
    """Turn the parts of a score into reasons; `history` are the ids of the history's items, repeats allowed."""
    by_item: dict[Any, float] = {}
    for item, value in zip(history, parts.history.tolist(), strict=True):
        by_item[item] = by_item.get(item, 0.0) + value
    reasons = [Reason("history", item, value) for item, value in by_item.items()]
    reasons += [Reason("feature", name, value) for name, value in parts.features.items()]
    reasons += [Reason("user", None, parts.user), Reason("baseline", None, parts.baseline)]
    return tuple(sorted((reason for reason in reasons if reason.value != 0), key=lambda reason: -abs(reason.value)))
