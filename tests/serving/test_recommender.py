"""Recommender: routes, exclusions, similar users and items, look-ups."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tastespace as ts
from tastespace.data.dataset import Dataset
from tastespace.data.split import whole
from tastespace.errors import OptionError, UnknownIdError
from tests.build import examples


def seen(recommender: ts.Recommender, user: int) -> set[str]:
    lists = recommender.bundle.histories
    return set(recommender.bundle.items.ids[lists.take(np.array([user])).items])


def test_a_known_user_gets_unseen_items(recommender: ts.Recommender) -> None:
    answer = recommender.recommend(user=5, k=7)
    assert answer.route == "user"
    assert len(set(answer.items)) == 7
    assert not seen(recommender, 5) & set(answer.items)
    assert list(answer.scores) == sorted(answer.scores, reverse=True)


def test_newer_events_fold_in_and_are_hidden(recommender: ts.Recommender) -> None:
    newer = recommender.recommend(user=5, k=1).items[0]
    answer = recommender.recommend(user=5, history=[newer], k=5)
    assert answer.route == "folded-in"
    assert newer not in answer.items


def test_a_history_without_a_user_is_a_session(recommender: ts.Recommender) -> None:
    ids = recommender.bundle.items.ids[[0, 2, 4]].tolist()
    answer = recommender.recommend(history=ids, k=5)
    assert answer.route == "session"
    assert not set(ids) & set(answer.items)
    assert all(np.flatnonzero(recommender.bundle.items.ids == item)[0] % 2 == 0 for item in answer.items)


@pytest.mark.parametrize("asked", [{}, {"history": []}])
def test_a_request_without_a_user_gets_the_most_popular(
    recommender: ts.Recommender, shop: Dataset, asked: dict[str, list[str]]
) -> None:
    likes = np.bincount(shop.interactions.item, minlength=shop.interactions.n_items)
    best = np.lexsort((np.arange(len(likes)), -likes))[:4]
    answer = recommender.recommend(k=4, **asked)
    assert answer.route == "popular"
    assert answer.items == tuple(shop.interactions.items.ids[best])
    assert answer.scores == tuple(likes[best].astype(float))


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_always_k_items_when_k_exist(recommender: ts.Recommender, data: st.DataObject) -> None:
    ids = recommender.bundle.items.ids.tolist()
    some = st.lists(st.sampled_from(ids), unique=True)
    user = data.draw(st.none() | st.integers(0, 79))
    exclude, allow = data.draw(some), data.draw(st.none() | some)
    where = data.draw(st.none() | st.sampled_from(["genres = 'even'", "year is missing", "title < 'Title 3'"]))
    exclude_seen = data.draw(st.booleans())
    k = data.draw(st.integers(1, len(ids)))
    asked = {"user": user, "exclude": exclude, "allow": allow, "where": where, "exclude_seen": exclude_seen}
    answer = recommender.recommend(k=k, **asked)
    left = set(ids if allow is None else allow) - set(exclude)
    if user is not None and exclude_seen:
        left -= seen(recommender, user)
    if where is not None:
        laws = {
            "genres = 'even'": lambda row: "even" in row["genres"],
            "year is missing": lambda row: row["year"] is None,
            "title < 'Title 3'": lambda row: row["title"] is not None and row["title"] < "Title 3",
        }
        left = {item for item in left if laws[where](recommender.describe(item))}
    assert set(answer.items) <= left
    assert len(answer.items) == min(k, len(left)) == len(set(answer.items))
    assert bool(answer.notes) == (len(answer.items) < k)
    everything = recommender.recommend(user=user, k=len(ids), exclude_seen=False)
    assert list(answer.items) == [item for item in everything.items if item in left][:k]


def test_an_answer_says_what_left_so_little(recommender: ts.Recommender) -> None:
    ids = recommender.bundle.items.ids.tolist()
    answer = recommender.recommend(allow=ids[:5], exclude=ids[2:4], where="genres = 'even'", k=4)
    assert answer.items == (ids[0], ids[4]) or answer.items == (ids[4], ids[0])
    assert answer.notes == (
        "only 2 items left: 30 of 60 items fit the condition, 3 of these are in the allow-list, 1 of these excluded",
    )
    nothing = recommender.recommend(user=5, where="year < 1900")
    assert nothing.items == ()
    assert nothing.notes == ("no items left: 0 of 60 items fit the condition",)
    met = seen(recommender, 5)
    most = recommender.recommend(user=5, k=60)
    assert most.notes == (f"only {60 - len(met)} items left: {len(met)} already seen",)


def test_similar_items_and_users_leave_themselves_out(recommender: ts.Recommender) -> None:
    ids = recommender.bundle.items.ids
    near = recommender.similar_items(ids[2], k=6)
    assert ids[2] not in near.items
    assert sum(np.flatnonzero(ids == item)[0] % 2 == 0 for item in near.items) >= 5
    users = recommender.similar_users(3, k=6)
    assert 3 not in users.items
    assert sum(user % 2 == 1 for user in users.items) >= 5
    assert all(-1.001 <= score <= 1.001 for score in near.scores + users.scores)


def test_more_neighbours_than_there_are_are_refused(recommender: ts.Recommender) -> None:
    with pytest.raises(OptionError, match="k is 81, but there are only 80 users"):
        recommender.similar_users(3, k=81)
    with pytest.raises(OptionError, match="k is 61, but the catalogue has only 60 items"):
        recommender.similar_items(recommender.bundle.items.ids[2], k=61)


def test_similarity_of_the_unknown_is_refused(board: Dataset, tmp_path: Path) -> None:
    log = board.interactions
    rows = log.take((log.item != 7) & (log.user != 9))
    answers = ts.Recommender.build(ts.train("mf", whole(Dataset("b", rows)), dim=8, epochs=2), tmp_path / "b")
    with pytest.raises(UnknownIdError, match="nobody in the training data liked item 7"):
        answers.similar_items(7)
    with pytest.raises(UnknownIdError, match="user 9 liked nothing"):
        answers.similar_users(9)
    assert answers.recommend(user=9).route == "popular"
    assert 7 not in answers.similar_items(3, k=59).items


def test_popularity_says_that_it_has_no_vectors(board: Dataset, tmp_path: Path) -> None:
    answers = ts.Recommender.build(ts.train("popularity", whole(board)), tmp_path / "b")
    with pytest.raises(OptionError, match="popularity has no vectors to compare items by"):
        answers.similar_items(3)
    with pytest.raises(OptionError, match="popularity has no vectors to compare users by"):
        answers.similar_users(3)
    with pytest.raises(OptionError, match="popularity has no items vectors"):
        _ = answers.item_vectors


def test_an_item_is_found_by_id_title_or_part_of_it(recommender: ts.Recommender) -> None:
    ids = recommender.bundle.items.ids
    assert recommender.find_item(ids[5]) == ids[5]
    assert recommender.find_item("title 12") == ids[12]
    with pytest.raises(UnknownIdError, match=r"'Twin' fits 2 items; name one by its id: "):
        recommender.find_item("Twin")
    with pytest.raises(UnknownIdError, match=r"no item titled 'Titel 12'; did you mean 'Title 12'"):
        recommender.find_item("Titel 12")


def test_a_label_is_title_and_year_or_the_id(recommender: ts.Recommender) -> None:
    ids = recommender.bundle.items.ids
    assert recommender.label(ids[2]) == "Title 2 (1990)"
    assert recommender.label(ids[5]) == "Title 5"
    assert recommender.describe(ids[2]) == {"title": "Title 2", "year": 1990, "genres": ["even"], "nothing": None}


def test_a_missing_title_stays_missing(recommender: ts.Recommender) -> None:
    untitled = recommender.bundle.items.ids[7]
    assert recommender.describe(untitled)["title"] is None
    assert recommender.label(untitled) == untitled


def test_vectors_are_exposed(recommender: ts.Recommender) -> None:
    assert recommender.user_vectors.shape == (80, 9)
    assert recommender.item_vectors.shape == (60, 9)
    answer = recommender.recommend(user=5, k=1)
    best = recommender.item_vectors[np.flatnonzero(recommender.bundle.items.ids == answer.items[0])[0]]
    assert float(best @ recommender.user_vectors[5]) == pytest.approx(answer.scores[0], rel=1e-5)
