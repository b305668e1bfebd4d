"""Ranking: the best items for one question, by the index, by the network or by counted likes; indices throughout."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tastespace.index.exact import best_of
from tastespace.serving.filters import Filter
from tastespace.serving.loaded_model import LoadedModel
from tastespace.serving.questions import Question
from tastespace.serving.reranking import Prepared, choose
from tastespace.serving.rules import Rules


@dataclass(frozen=True, eq=False)
class Ranking:
    """Item indices (K,) with their scores (K,), best first, and notes on why it is short or breaks a rule."""

    items: NDArray[np.int64]
    scores: NDArray[np.float32]
    notes: tuple[str, ...] = ()


def rank(loaded: LoadedModel, question: Question, item_filter: Filter, k: int, rules: Rules | None = None) -> Ranking:
    """Rank up to `k` items, in the order of their scores or, where there are rules, as these reorder them."""
    if rules is not None and rules.names:
        return _rerank(loaded, question, item_filter, k, loaded.prepared(rules))
    ranking = _search(loaded, question, item_filter, k)
    return replace(ranking, notes=item_filter.notes(len(ranking.items), k))


def score_item(loaded: LoadedModel, question: Question, item: int) -> float:
    """Score one item for a question."""
    if question.counts is not None:
        return float(question.counts[item])
    return loaded.score(question.queries, item)


def _search(loaded: LoadedModel, question: Question, item_filter: Filter, k: int) -> Ranking:
    """Find up to `k` items of the highest scores."""
    if question.counts is not None:
        return _top(question.counts, item_filter, k)
    vector = loaded.query_vector(question.queries)
    if vector is None:
        return _top(loaded.scores(question.queries)[0], item_filter, k)
    neighbours = loaded.index.search(vector[None, :], k, exclude=[item_filter.hidden], allow=item_filter.allowed)
    filled = neighbours.indices[0] >= 0
    return Ranking(neighbours.indices[0][filled], neighbours.scores[0][filled])


def _top(scores: NDArray[np.float32], item_filter: Filter, k: int) -> Ranking:
    """Pick up to `k` highest of the scores (N,) of all items."""
    items = best_of(item_filter.applied(scores), k)
    return Ranking(items, scores[items])


def _rerank(loaded: LoadedModel, question: Question, item_filter: Filter, k: int, prepared: Prepared) -> Ranking:
    """Choose `k` items among candidates by rules; among all items where the first candidates are too few."""
    if prepared.fresh is not None:
        item_filter = replace(item_filter, fresh=prepared.fresh)
    left = item_filter.left
    n_left = int(left.sum())
    for searches in (prepared.searches(k), [(len(left), None)]):  # caps may need more candidates than a few
        candidates = [
            _search(loaded, question, item_filter.among(mask), min(n_candidates, len(left)))
            for n_candidates, mask in searches
        ]
        items, first = np.unique(np.concatenate([ranking.items for ranking in candidates]), return_index=True)
        scores = np.concatenate([ranking.scores for ranking in candidates])[first]
        order = np.lexsort((items, -scores))
        items, scores = items[order], scores[order]
        directions = loaded.item_cosine_index.vectors if prepared.rules.mmr < 1 else None
        choice = choose(prepared, items, scores, k, left, directions)
        if not choice.short or len(items) >= n_left:
            break
    score_of = dict(zip(items.tolist(), scores.tolist(), strict=True))
    chosen = [
        score_of[item] if item in score_of else score_item(loaded, question, item) for item in choice.places.tolist()
    ]
    notes = (*item_filter.notes(n_left, k), *choice.notes)
    return Ranking(choice.places, np.array(chosen, dtype=np.float32), notes)
