"""Ranking: the best items for one question, by the index, by the network or by counted likes; indices throughout."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tastespace.index.exact import top_k
from tastespace.serving.filters import Filter
from tastespace.serving.loaded_model import LoadedModel
from tastespace.serving.questions import Question
from tastespace.serving.reranking import ResolvedRules, rerank
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
        return _rerank(loaded, question, item_filter, k, loaded.resolved_rules(rules))
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
    items = top_k(item_filter.masked(scores), k)
    return Ranking(items, scores[items])


def _rerank(loaded: LoadedModel, question: Question, item_filter: Filter, k: int, rules: ResolvedRules) -> Ranking:
    """Choose `k` items among candidates by rules; among all items where the first candidates are too few."""
    if rules.fresh is not None:
        item_filter = replace(item_filter, fresh=rules.fresh)
    remaining = item_filter.remaining
    n_remaining = int(remaining.sum())
    for searches in (rules.searches(k), [(len(remaining), None)]):  # caps may need more candidates than a few
        candidates = [
            _search(loaded, question, item_filter.restricted_to(mask), min(n_candidates, len(remaining)))
            for n_candidates, mask in searches
        ]
        items, first = np.unique(np.concatenate([ranking.items for ranking in candidates]), return_index=True)
        scores = np.concatenate([ranking.scores for ranking in candidates])[first]
        order = np.lexsort((items, -scores))
        items, scores = items[order], scores[order]
        directions = loaded.unit_item_vectors if rules.rules.mmr < 1 else None
        reranked = rerank(rules, items, scores, k, remaining, directions)
        if not reranked.needs_candidates or len(items) >= n_remaining:
            break
    score_of = dict(zip(items.tolist(), scores.tolist(), strict=True))
    chosen = [
        score_of[item] if item in score_of else score_item(loaded, question, item) for item in reranked.items.tolist()
    ]
    notes = (*item_filter.notes(n_remaining, k), *reranked.notes)
    return Ranking(reranked.items, np.array(chosen, dtype=np.float32), notes)
