"""Requests: ids, histories and attributes resolved into a route, or refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tastespace as ts
from tastespace.data.dataset import Dataset, Table
from tastespace.data.split import whole
from tastespace.errors import OptionError, UnknownIdError


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"history": "xy"}, "history is 'xy', but a list of item ids is expected"),
        ({"history": 5}, "history is 5, but a list of item ids is expected"),
        ({"exclude": "xy"}, "exclude is 'xy', but a list of item ids is expected"),
        ({"allow": 3}, "allow is 3, but a list of item ids is expected"),
        ({"features": "age=3"}, "features are 'age=3', but a mapping of names to values is expected"),
    ],
)
def test_a_text_is_no_list(recommender: ts.Recommender, question: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        recommender.recommend(**question)


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"user": 999}, UnknownIdError, "no user 999; nearest: 79"),
        ({"user": "5"}, UnknownIdError, "no user '5'"),
        ({"history": ["item-0"]}, UnknownIdError, "no item 'item-0'; nearest: 'item-"),
        ({"exclude": ["nope"]}, UnknownIdError, "no item 'nope'"),
        ({"k": 0}, OptionError, "k is 0, but a whole number of at least 1"),
        ({"k": True}, OptionError, "k is True"),
        ({"k": 61}, OptionError, "k is 61, but the catalogue has only 60 items"),
    ],
)
def test_impossible_requests_are_refused(
    recommender: ts.Recommender, asked: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        recommender.recommend(**asked)  # type: ignore[arg-type]


def test_a_condition_that_cannot_be_read_is_refused(recommender: ts.Recommender) -> None:
    with pytest.raises(OptionError, match="no attribute 'yaer'; did you mean 'year'"):
        recommender.recommend(where="yaer = 3")


def test_attributes_alone_are_an_answer(described: ts.Recommender) -> None:
    answer = described.recommend(features={"mood": "wild", "age": 3}, k=5)
    assert answer.route == "features"
    assert answer.notes == ()
    assert all(item % 2 == 1 for item in answer.items)


def test_an_unknown_category_counts_as_missing_with_a_note(described: ts.Recommender) -> None:
    answer = described.recommend(features={"mood": "blue"}, k=5)
    assert answer.notes == ("the training data never had 'blue' as mood: it counts as missing",)
    assert len(answer.items) == 5
    assert answer.route == "popular"


def test_a_value_below_all_edges_counts_as_known(described: ts.Recommender) -> None:
    """Whose encoding is all zeros: no edge lies below them."""
    assert described.recommend(features={"age": 0}).route == "features"
    assert described.recommend(features={"age": None}).route == "popular"


def test_attributes_join_a_history(described: ts.Recommender) -> None:
    history = [0, 2, 4]
    alone = described.recommend(history=history, k=5)
    both = described.recommend(history=history, features={"mood": "calm"}, k=5)
    assert alone.route == both.route == "session"
    assert alone.scores != both.scores


def test_attributes_of_a_known_user_replace_what_was_known(described: ts.Recommender) -> None:
    known = described.recommend(user=6, k=5)
    again = described.recommend(user=6, features={"mood": "calm", "age": 6}, k=5)
    other = described.recommend(user=6, features={"mood": "wild"}, k=5)
    assert known.route == again.route == "user"
    np.testing.assert_allclose(known.scores, again.scores, rtol=1e-4)
    assert known.scores != other.scores


def test_attributes_that_training_never_had_are_refused(recommender: ts.Recommender) -> None:
    with pytest.raises(OptionError, match="there is no feature 'age'; the model was trained without any"):
        recommender.recommend(features={"age": 3})


@pytest.mark.parametrize("name", ["mf", "ease", "popularity", "sasrec"])
def test_models_that_read_no_attributes_answer_by_similar_users(board: Dataset, tmp_path: Path, name: str) -> None:
    log = board.interactions
    moods = np.array(["calm", "wild"], dtype=object)[np.arange(log.n_users) % 2]
    data = Dataset("moods", log, user_table=Table({"mood": moods, "age": np.arange(log.n_users) * 1.0}))
    settings = {"dim": 8, "epochs": 2} if name in ("mf", "sasrec") else {}
    answers = ts.Recommender.build(ts.train(name, whole(data), **settings), tmp_path / "b")
    few = answers.recommend(features={"mood": "calm"}, k=5)
    assert few.route == "features"
    assert all(item % 2 == 0 for item in few.items)  # as the calm ones like
    found = answers.explain(few.items[0], features={"mood": "calm"})
    assert [(one.kind, one.value) for one in found.reasons] == [("similar_users", few.scores[0])]
    assert answers.recommend(features={"mood": "gone"}, k=5).route == "popular"
    told = answers.recommend(history=[2], features={"mood": "calm"}, k=5)
    assert told.route == "session"
    assert told.items == answers.recommend(history=[2], k=5).items
    assert told.notes == (
        "only 1 like is known, so popularity counts too",
        f"the model {name} reads no attributes: only the history was used",
    )


def test_a_feature_that_does_not_exist_is_refused(described: ts.Recommender) -> None:
    with pytest.raises(OptionError, match="there is no feature 'mod'; did you mean 'mood'"):
        described.recommend(features={"mod": "calm"})


def test_arrays_and_none_are_lists_too(recommender: ts.Recommender) -> None:
    ids = recommender.bundle.items.ids
    assert recommender.recommend(history=ids[[0, 2]], k=3).route == "session"
    assert recommender.recommend(user=3, exclude=None, k=3).route == "user"
