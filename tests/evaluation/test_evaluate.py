import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tastespace.data.interactions import Interactions
from tastespace.data.queries import Queries
from tastespace.data.split import Split, ready_split, split
from tastespace.errors import OptionError, TooLittleDataError
from tastespace.evaluation import Evaluator, Report, average, evaluate, parse_metric
from tests.build import dataset, examples, log, logs


def _first_is_best(queries: Queries) -> Tensor:
    return torch.arange(5, 0, -1, dtype=torch.float32).repeat(len(queries), 1)


def _by_hand(*, repeat: int = 1) -> Split:
    """User 0 is shown 1, 2 and wanted 1, 4; user 1 is shown 2, 3 and wanted 3; user 2 wanted nothing."""
    train = log([(0, 0, 1), (1, 0, 1), (1, 1, 1), (2, 0, 1), (2, 3, -1)] * repeat, n_items=5)
    test = log([(0, 1, 1), (0, 4, 1), (1, 3, 1), (1, 4, -1)] * repeat, n_users=3, n_items=5)
    return ready_split("by hand", train, test)


def test_an_evaluator_asks_as_its_split_does() -> None:
    on = split(dataset([(user, item) for user in range(40) for item in range(10)]), "new-users")
    asked = []

    def score(queries: Queries) -> Tensor:
        asked.append(queries)
        return torch.zeros(len(queries), 10)

    evaluator = Evaluator(on, 3)
    found = evaluator.rank(score)
    assert found.users.tolist() == np.unique(on.test.user).tolist() == evaluator.users.tolist()
    assert asked[0].users.tolist() == [-1] * len(found.users)
    assert asked[0].history.items.tolist() == on.queries(evaluator.users).history.items.tolist()
    assert on.given is not None
    assert asked[0].history.lengths.tolist() == np.bincount(on.given.user)[found.users].tolist()


def test_users_held_out_are_grouped_by_the_likes_given() -> None:
    on = split(dataset([(user, item) for user in range(40) for item in range(10)]), "new-users")
    groups = evaluate(lambda queries: torch.zeros(len(queries), 10), on, k=3).groups
    assert [values["known positives up to"] for name, values in groups.items() if name.startswith("users")] == [8] * 3


THIRD = 1 / math.log2(3)  # the discount of place 2


@pytest.mark.parametrize("repeat", [1, 3])
def test_a_report_by_hand_even_where_every_row_is_repeated(repeat: int) -> None:
    found = evaluate(_first_is_best, _by_hand(repeat=repeat), k=2)
    assert found.users.tolist() == [0, 1]
    expected = {
        "recall@2": [0.5, 1],
        "ndcg@2": [1 / (1 + THIRD), THIRD],
        "hit@2": [1, 1],
        "mrr@2": [1, 0.5],
        "map@2": [0.5, 0.5],
        "precision@2": [0.5, 0.5],
    }
    assert found.per_user.keys() == expected.keys()
    for metric, values in expected.items():
        np.testing.assert_allclose(found.per_user[metric], values)
    assert found.overall == pytest.approx(
        # three users like something; each item shown counts as liked by one; item 2 is shown twice
        {"coverage@2": 3 / 5, "novelty@2": math.log2(3), "popularity@2": 1 / 4, "gini@2": 10 / 20}
    )


def test_groups_by_hand() -> None:
    groups = evaluate(_first_is_best, _by_hand(), k=2).groups
    assert groups == {
        "users: least active third": {
            "users": 1,
            "known positives up to": 1,
            "recall@2": 0.5,
            "ndcg@2": pytest.approx(1 / (1 + THIRD)),
        },
        "users: middle third": {
            "users": 1,
            "known positives up to": 2,
            "recall@2": 1,
            "ndcg@2": pytest.approx(THIRD),
        },
        "items: head (a third of all likes)": {"items": 1, "relevant": 0, "found@2": 0},
        "items: middle": {"items": 0, "relevant": 0, "found@2": 0},
        "items: tail": {"items": 4, "relevant": 3, "found@2": pytest.approx(2 / 3)},
    }


@settings(max_examples=examples(40))
@given(logs(max_users=7), st.integers(0, 9), st.integers(1, 4))
def test_groups_add_up_to_all_users_and_all_relevant_items(rows: Interactions, seed: int, k: int) -> None:
    in_test = np.random.default_rng(seed).random(len(rows)) < 0.4
    train, test = rows.take(~in_test), rows.take(in_test)
    if not len(train.positives()) or not len(test.positives()):
        return
    table = torch.from_numpy(np.random.default_rng(seed).random((rows.n_users, rows.n_items)))
    found = evaluate(lambda queries: table[torch.from_numpy(queries.users)], ready_split("random", train, test), k=k)
    users = [group for name, group in found.groups.items() if name.startswith("users")]
    items = [group for name, group in found.groups.items() if name.startswith("items")]
    assert sum(group["users"] for group in users) == len(found.users)
    assert sum(group["users"] * group[f"recall@{k}"] for group in users) == pytest.approx(
        found.per_user[f"recall@{k}"].sum()
    )
    assert sum(group["items"] for group in items) == rows.n_items
    assert sum(group["relevant"] for group in items) == len(test.positives())
    n_hits = found.per_user[f"precision@{k}"].sum() * k
    assert sum(group["relevant"] * group[f"found@{k}"] for group in items) == pytest.approx(n_hits)


def test_one_metric_alone_equals_the_report() -> None:
    evaluator = Evaluator(_by_hand(), k=2)
    found = evaluator.report(_first_is_best)
    for metric in found.per_user:
        assert evaluator.mean(_first_is_best, metric.removesuffix("@2")) == found.mean(metric)


def test_a_cut_off_above_the_catalogue_finds_everything() -> None:
    found = evaluate(_first_is_best, _by_hand(), k=20)
    assert found.per_user["recall@20"].tolist() == [1, 1]
    assert found.per_user["precision@20"].tolist() == [2 / 20, 1 / 20]


def test_an_evaluator_refuses_what_it_cannot_rank() -> None:
    with pytest.raises(OptionError, match="k is 0, but at least 1 is expected"):
        Evaluator(_by_hand(), k=0)
    unliked = replace(_by_hand(), test=log([(0, 1, -1)], n_users=3, n_items=5))
    with pytest.raises(TooLittleDataError, match="by hand: no user has a positive test row under ready"):
        Evaluator(unliked)


def test_estimates_are_the_means_within_their_intervals() -> None:
    found = evaluate(_first_is_best, _by_hand(), k=2)
    assert found.values.keys() == found.per_user.keys()
    estimate = found.estimate("recall@2")
    assert (estimate.low, estimate.value, estimate.high) == (0.5, 0.75, 1)
    assert found.mean("recall@2") == 0.75
    with pytest.raises(OptionError, match="there is no metric 'recall@3'; there are recall@2, ndcg@2, "):
        found.estimate("recall@3")


def _report(recall: list[float], *, k: int = 1, seconds: float = 1) -> Report:
    first = recall[0]
    per_user = {"recall@1": np.array(recall)}
    groups = {"users: all": {"users": 2.0, "recall@1": first}}
    return Report(k, np.arange(len(recall)), per_user, {"gini@1": first}, groups, seconds)


def test_average_is_over_seeds_user_by_user() -> None:
    made = average([_report([0, 1], seconds=1), _report([1, 1], seconds=3)])
    assert made.per_user["recall@1"].tolist() == [0.5, 1]
    assert made.overall == {"gini@1": 0.5}
    assert made.groups == {"users: all": {"users": 2, "recall@1": 0.5}}
    assert (made.k, made.users.tolist(), made.seconds) == (1, [0, 1], 2)


@pytest.mark.parametrize("other", [_report([0, 1, 1]), _report([0, 1], k=2)], ids=["users", "cut-off"])
def test_reports_of_different_users_or_cut_offs_are_not_averaged(other: Report) -> None:
    with pytest.raises(OptionError, match="reports of different users or cut-offs cannot be averaged"):
        average([_report([0, 1]), other])


@pytest.mark.parametrize(("text", "parsed"), [("recall@10", ("recall", 10)), ("map@1", ("map", 1))])
def test_a_metric_is_a_name_and_a_cut_off(text: str, parsed: tuple[str, int]) -> None:
    assert parse_metric(text) == parsed


@pytest.mark.parametrize(
    "text",
    ["", "recall", "recall@", "@10", "recal@10", "recall@0", "recall@-1", "recall@1.5", "recall@1@2", "recall@²"],
)
def test_what_is_no_metric_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match=f"'{text}' is no ranking metric; write for example recall@10 or ndcg@20"):
        parse_metric(text)
