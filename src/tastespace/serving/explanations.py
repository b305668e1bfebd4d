"""Explanations: contributions that add up to a score, or, where it is no sum, what each history item adds to it."""

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
    contributions, adds_up = score_contributions(loaded, question.queries, item), True
    if contributions is None:
        contributions, adds_up = score_drops(loaded, question.queries, item), False
    history = loaded.bundle.items.ids[question.queries.history.items].tolist()
    return reasons_of(contributions, history), adds_up


def score_contributions(loaded: LoadedModel, queries: Queries, item: int) -> Contributions | None:
    """Split the score of an item into its summands, by the vectors where they suffice; None where it is no sum."""
    fold_in = loaded.bundle.fold_in
    if fold_in is None:
        items, weights = loaded.known_items_for(item)
        known_queries = loaded.without_added_items(queries)
        of_each = [loaded.model.contributions(known_queries, known) for known in items.tolist()]
        sums = [contributions for contributions in of_each if contributions is not None]
        return weighted_mean(sums, weights.tolist()) if sums else None
    folded = fold_in.contributions(queries, loaded.bundle.vectors["items"][item])
    return replace(folded, user=loaded.score(queries, item) - folded.total) if queries.users[0] >= 0 else folded


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


def reasons_of(contributions: Contributions, history: list[Any]) -> tuple[Reason, ...]:
    """Turn contributions to a score into reasons; `history` are the ids of the history's items, repeats allowed."""
    by_item: dict[Any, float] = {}
    for item, value in zip(history, contributions.history.tolist(), strict=True):
        by_item[item] = by_item.get(item, 0.0) + value
    reasons = [Reason("history", item, value) for item, value in by_item.items()]
    reasons += [Reason("feature", name, value) for name, value in contributions.features.items()]
    reasons += [Reason("user", None, contributions.user), Reason("baseline", None, contributions.baseline)]
    return tuple(sorted((reason for reason in reasons if reason.value != 0), key=lambda reason: -abs(reason.value)))
