"""Comparisons with the baselines: sentences, and what is read from a file."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastespace.training.baselines import BaselineComparison


def figures(ndcg: float) -> dict[str, float]:
    return {"ndcg@10": ndcg, "recall@10": 2 * ndcg}


LOST = BaselineComparison(
    "mf",
    2000,
    {"mf": figures(0.0213), "item_knn": figures(0.0354), "popularity": figures(0.03)},
    {"item_knn": 0.001, "popularity": 0.002},
)


def test_the_best_of_the_significantly_better_baselines_is_named() -> None:
    assert str(LOST) == "validation NDCG@10: mf 0.0213, item_knn 0.0354, popularity 0.0300 (2,000 users)"
    assert LOST.better == "item_knn"
    assert LOST.warning("do this") == (
        "item_knn, which only counts co-occurrences, is significantly better than mf here (validation NDCG@10 0.0354 "
        "against 0.0213); train it with: do this"
    )
    assert str(LOST.warning()).endswith("train it with: tastespace train --model item_knn")


def test_a_lead_within_the_noise_is_no_warning() -> None:
    close = BaselineComparison("mf", 20, {"mf": figures(0.02), "item_knn": figures(0.03)}, {"item_knn": 0.05})
    assert close.better is None
    assert close.warning() is None


def test_reasons_are_told_once_for_all_that_share_them() -> None:
    nothing = BaselineComparison("mf", 0, {}, skipped={"item_knn": "no rows", "popularity": "no rows"})
    assert str(nothing) == "not compared with item_knn and popularity: no rows"
    partly = BaselineComparison("mf", 1, {"mf": figures(0.5), "popularity": figures(0.25)}, {}, {"item_knn": "big"})
    assert str(partly).splitlines() == [
        "validation NDCG@10: mf 0.5000, popularity 0.2500 (1 users)",
        "not compared with item_knn: big",
    ]


def test_what_is_written_is_read_again() -> None:
    assert BaselineComparison.from_json(LOST.to_json()) == LOST
    nothing = BaselineComparison("item_knn", 0, {}, skipped={"popularity": "no rows"})
    assert BaselineComparison.from_json(nothing.to_json()) == nothing


@pytest.mark.parametrize(
    "change",
    [
        {"model": "\x1b[2J"},
        {"model": 3},
        {"model": "ease"},
        {"users": -1},
        {"users": True},
        {"users": 10**30},
        {"values": []},
        {"values": {"mf": {"ndcg@10": 0.5}}},
        {"values": {"mf": figures(float("nan"))}},
        {"values": {"mf": figures(float("inf"))}},
        {"values": {"mf": figures(0.1), "other": figures(0.1)}},
        {"values": {"mf": {"ndcg@10": "0.1", "recall@10": 0.1}}},
        {"p_corrected": {"mf": 0.5}},
        {"p_corrected": {"item_knn": -0.5}},
        {"p_corrected": None},
        {"skipped": {"item_knn": "\x1b[31mred"}},
        {"skipped": {"item_knn": "x" * 1001}},
        {"skipped": {"elsewhere": "why"}},
        {"skipped": {"item_knn": 3}},
    ],
)
def test_hostile_entries_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a comparison with baselines"):
        BaselineComparison.from_json({**LOST.to_json(), **change})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["mf", "ndcg@10"]), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["users", "values", "p_corrected", "skipped"]), json_values) | json_values)
def test_any_json_is_read_or_refused(entry: Any) -> None:
    try:
        found = BaselineComparison.from_json({**LOST.to_json(), **entry} if isinstance(entry, dict) else entry)
    except ValueError:
        return
    assert str(found) is not None
    assert found.to_json()["users"] >= 0
