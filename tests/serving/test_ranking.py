"""Ranking: the order is that of the scores, whatever they come from; rules and filters keep to what is left."""

from typing import Any

import numpy as np
import pytest

import tastespace as ts
from tastespace.serving.questions import resolve_filter, resolve_question
from tastespace.serving.ranking import rank, score_item
from tastespace.serving.rules import Rules
from tastespace.serving.rules_yaml import parse_rules


@pytest.mark.parametrize("request_", [{"user": 5}, {}, {"user": 5, "history": ["item-02"]}])
@pytest.mark.parametrize("k", [1, 2, 60])
def test_items_come_in_the_order_of_their_scores(recommender: ts.Recommender, request_: dict[str, Any], k: int) -> None:
    question = resolve_question(recommender.loaded, **request_)
    ranking = rank(recommender.loaded, question, resolve_filter(recommender.loaded), k)
    scores = np.array([score_item(recommender.loaded, question, item) for item in range(60)])
    assert len(ranking.items) == k
    np.testing.assert_allclose(ranking.scores, np.sort(scores)[::-1][:k], rtol=1e-5)
    np.testing.assert_allclose(ranking.scores, scores[ranking.items], rtol=1e-5)
    assert ranking.notes == ()


def test_rules_choose_among_what_filters_leave(recommender: ts.Recommender) -> None:
    loaded, question = recommender.loaded, resolve_question(recommender.loaded, user=5)
    allow = recommender.bundle.items.ids[:6].tolist()
    item_filter = resolve_filter(loaded, allow=allow, exclude=allow[:1])
    ranking = rank(loaded, question, item_filter, 6, parse_rules("demote: [{where: \"genres = 'even'\"}]"))
    assert sorted(ranking.items.tolist()) == [1, 2, 3, 4, 5]
    assert set(ranking.items[:3].tolist()) == {1, 3, 5}
    assert ranking.notes[0].startswith("only 5 items left")
    plain = rank(loaded, question, item_filter, 6)
    assert dict(zip(plain.items.tolist(), plain.scores.tolist(), strict=True)) == pytest.approx(
        dict(zip(ranking.items.tolist(), ranking.scores.tolist(), strict=True))
    )


def test_without_rules_the_order_stays(recommender: ts.Recommender) -> None:
    loaded, question = recommender.loaded, resolve_question(recommender.loaded, user=5)
    item_filter = resolve_filter(loaded)
    assert (
        rank(loaded, question, item_filter, 9, Rules()).items.tolist()
        == rank(loaded, question, item_filter, 9).items.tolist()
    )
