import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tastespace.data.dataset import Dataset
from tastespace.data.histories import Histories
from tastespace.data.interactions import Interactions
from tastespace.data.protocols import PROTOCOLS, names
from tastespace.data.split import Split, ready_split, split, whole
from tastespace.errors import DataError, OptionError, TooLittleDataError
from tests.build import dataset, examples, log, logs, pairs

modest = settings(max_examples=examples(60))
protocols = st.sampled_from(names())


def _try_split(rows: Interactions, protocol: str) -> Split | None:
    try:
        return split(Dataset("random", rows), protocol)
    except (TooLittleDataError, DataError):
        return None


def _lists(histories: Histories) -> list[list[int]]:
    return [histories.take(np.array([row])).items.tolist() for row in range(len(histories))]


def _events(rows: Interactions, weight: float | None = None) -> list[tuple[float, ...]]:
    """Each row as (user, item, weight, time); `weight` stands in for all weights."""
    times = np.zeros(len(rows)) if rows.time is None else rows.time
    weights = rows.weight if weight is None else np.full(len(rows), weight)
    return list(zip(rows.user.tolist(), rows.item.tolist(), weights.tolist(), times.tolist(), strict=True))


def _at(rows: Interactions, places: Sequence[int]) -> list[tuple[int, int]]:
    return [pairs(rows)[place] for place in sorted(places)]


def _slow_article(rows: Interactions) -> tuple[set[int], set[int]]:
    positives = [place for place in range(len(rows)) if rows.weight[place] > 0]
    shuffled = np.random.RandomState(42).permutation(len(positives)).tolist()
    return {positives[place] for place in shuffled[: math.ceil(0.2 * len(positives))]}, set()


def _slow_random_811(rows: Interactions) -> tuple[set[int], set[int]]:
    test, validation = set(), set()
    shuffled = np.random.RandomState(42).permutation(len(rows)).tolist()
    for user in range(rows.n_users):
        mine = [place for place in shuffled if rows.user[place] == user]
        tenth = len(mine) // 10
        test.update(mine[len(mine) - tenth :])
        validation.update(mine[len(mine) - 2 * tenth : len(mine) - tenth])
    return test, validation


def _slow_leave_last_out(rows: Interactions) -> tuple[set[int], set[int]]:
    test, validation = set(), set()
    times = [0.0] * len(rows) if rows.time is None else rows.time.tolist()
    for user in range(rows.n_users):
        mine = sorted((times[place], place) for place in range(len(rows)) if rows.user[place] == user)
        if len(mine) >= 3:
            test.add(mine[-1][1])
            validation.add(mine[-2][1])
    return test, validation


def _slow_at_time(rows: Interactions) -> tuple[set[int], set[int]]:
    """The latest distinct times, one after the other, until a tenth of the rows would be exceeded; one at least."""
    if rows.time is None:
        return set(), set()
    times = rows.time.tolist()

    def last_part(places: list[int], share: float) -> set[int]:
        taken: set[int] = set()
        for time in sorted({times[place] for place in places}, reverse=True)[:-1]:
            more = {place for place in places if times[place] == time}
            if taken and len(taken) + len(more) > (1 - share) * len(places) + 1e-9:
                break
            taken |= more
        return taken

    test = last_part(list(range(len(rows))), 0.9)
    return test, last_part([place for place in range(len(rows)) if place not in test], 8 / 9) if test else set()


def _slow_tenth(candidates: list[int]) -> set[int]:
    if len(candidates) < 2:
        return set()
    drawn = [candidates[place] for place in np.random.RandomState(42).permutation(len(candidates))]
    return set(drawn[: max(1, len(candidates) // 10)])


def _slow_new_users(rows: Interactions) -> tuple[set[int], set[int]]:
    users = rows.user.tolist()
    held = _slow_tenth([user for user in range(rows.n_users) if users.count(user) >= 5])
    shuffled = np.random.RandomState(42).permutation(len(rows)).tolist()
    test = set()
    for user in held:
        mine = [place for place in shuffled if users[place] == user]
        test.update(mine[len(mine) - len(mine) // 5 :])
    return test, set()


def _slow_new_items(rows: Interactions) -> tuple[set[int], set[int]]:
    liked = [place for place in range(len(rows)) if rows.weight[place] > 0]
    held = _slow_tenth(sorted({int(rows.item[place]) for place in liked}))
    return {place for place in liked if rows.item[place] in held}, set()


def _slow_left_out(rows: Interactions, protocol: str, test: set[int]) -> set[int]:
    """Rows that are neither tested nor trained on: those of new users, and of new items."""
    if protocol == "new-users":
        return {p for p in range(len(rows)) if rows.user[p] in {rows.user[t] for t in test}} - test
    if protocol == "new-items":
        return {p for p in range(len(rows)) if rows.item[p] in {rows.item[t] for t in test}} - test
    return set()


SLOW = {
    "at-time": _slow_at_time,
    "new-users": _slow_new_users,
    "new-items": _slow_new_items,
    "article": _slow_article,
    "article-rated": _slow_article,
    "random-811": _slow_random_811,
    "leave-last-out": _slow_leave_last_out,
}


def test_every_protocol_that_cuts_has_a_slow_reference() -> None:
    assert sorted(SLOW) == sorted(names())


@modest
@given(logs(max_users=3, max_items=25), protocols)
def test_a_protocol_cuts_as_its_slow_reference(rows: Interactions, protocol: str) -> None:
    test, validation = SLOW[protocol](rows)
    made = _try_split(rows, protocol)
    if made is None:
        liked = np.ones(len(rows), dtype=bool) if PROTOCOLS[protocol].every_row_positive else rows.weight > 0
        left_out = _slow_left_out(rows, protocol, test)
        train = [place for place in range(len(rows)) if place not in test | validation | left_out]
        known = {rows.user[place] for place in [*train, *validation]}
        tested = [p for p in test if liked[p] and (PROTOCOLS[protocol].cold_users or rows.user[p] in known)]
        assert not tested or not any(liked[place] for place in train)
        return
    assert pairs(made.test) == _at(rows, list(test))
    left_out = _slow_left_out(rows, protocol, test)
    train = [place for place in range(len(rows)) if place not in test | validation | left_out]
    assert pairs(made.train) == _at(rows, train)
    assert (pairs(made.given) if made.given else []) == _at(rows, list(left_out) if protocol == "new-users" else [])
    assert (pairs(made.validation) if made.validation else []) == _at(rows, list(validation))


@pytest.mark.parametrize("n", [2, 4, 5, 6, 10, 11])
def test_article_tests_the_first_fifth_of_a_permutation_of_the_positives(n: int) -> None:
    rows = [row for item in range(n) for row in ((0, item, 1), (1, item, 0))]
    drawn = np.random.RandomState(42).permutation(n)[: math.ceil(0.2 * n)]
    assert pairs(split(dataset(rows), "article").test) == [(0, item) for item in sorted(drawn)]


@pytest.mark.parametrize("protocol", ["article", "article-rated"])
def test_article_keeps_neutral_and_disliked_rows_in_train(protocol: str) -> None:
    made = split(dataset([(0, 0, 0), (0, 1, 1), (0, 2, -1), (1, 0, 1), (1, 1, 0)]), protocol)
    assert bool((made.test.weight > 0).all())
    assert sorted(made.train.weight[made.train.weight <= 0].tolist()) == [-1, 0, 0]


@pytest.mark.parametrize(
    ("n", "sizes"), [(0, (0, 0, 0)), (1, (1, 0, 0)), (2, (2, 0, 0)), (3, (1, 1, 1)), (4, (2, 1, 1))]
)
def test_leave_last_out_needs_three_rows_of_a_user(n: int, sizes: tuple[int, int, int]) -> None:
    enough = [(1, item) for item in range(3)]  # another user, so that something can be tested
    made = split(dataset([(0, item) for item in range(n)] + enough, n_users=2, n_items=4), "leave-last-out")
    assert made.validation is not None
    parts = (made.train, made.validation, made.test)
    assert tuple(int((part.user == 0).sum()) for part in parts) == sizes


@pytest.mark.parametrize(
    ("n", "sizes"),
    [
        (0, (0, 0, 0)),
        (1, (1, 0, 0)),
        (2, (2, 0, 0)),
        (9, (9, 0, 0)),
        (10, (8, 1, 1)),
        (19, (17, 1, 1)),
        (20, (16, 2, 2)),
    ],
)
def test_random_811_takes_a_tenth_from_ten_rows_on(n: int, sizes: tuple[int, int, int]) -> None:
    enough = [(1, item) for item in range(10)]
    made = split(dataset([(0, item) for item in range(n)] + enough, n_users=2, n_items=20), "random-811")
    assert made.validation is not None
    parts = (made.train, made.validation, made.test)
    assert tuple(int((part.user == 0).sum()) for part in parts) == sizes


def test_leave_last_out_goes_by_time_and_then_by_file_order() -> None:
    made = split(dataset([(0, 0, 1, 9), (0, 1, 1, 5), (0, 2, 1, 1), (0, 3, 1, 9)]), "leave-last-out")
    assert made.validation is not None
    assert (pairs(made.train), pairs(made.validation), pairs(made.test)) == ([(0, 1), (0, 2)], [(0, 0)], [(0, 3)])


@modest
@given(logs(max_users=3, max_items=25), protocols)
def test_no_row_is_lost_or_doubled(rows: Interactions, protocol: str) -> None:
    made = _try_split(rows, protocol)
    if made is None:
        return
    weight = 1.0 if PROTOCOLS[protocol].every_row_positive else None
    if protocol == "new-items":  # what is not a like of a new item is in no part
        rows = rows.take(~np.isin(rows.item, made.test.item) | (rows.weight > 0))
    parts = [part for part in (made.train, made.test, made.validation, made.given) if part is not None]
    assert Counter(event for part in parts for event in _events(part)) == Counter(_events(rows, weight))


@modest
@given(logs(max_users=3, max_items=25), protocols)
def test_known_is_train_and_validation_in_file_order(rows: Interactions, protocol: str) -> None:
    made = _try_split(rows, protocol)
    if made is None:
        return
    tested = set(pairs(made.test))  # pairs of these logs are distinct
    items = set(made.test.item.tolist()) if protocol == "new-items" else set()
    users = set(made.test.user.tolist()) if protocol == "new-users" else set()
    known = [(u, i) for u, i in pairs(rows) if (u, i) not in tested and i not in items and u not in users]
    assert pairs(made.known) == known
    assert _lists(made.histories()) == _lists(made.known.histories())


@modest
@given(logs(max_users=3, max_items=25), st.sampled_from([*names(), "ready", "all"]))
def test_the_split_to_tune_on_never_holds_a_test_row(rows: Interactions, protocol: str) -> None:
    try:
        if protocol == "all":
            made = whole(Dataset("random", rows))
        elif protocol == "ready":
            half = np.arange(len(rows)) % 2 == 0
            made = ready_split("random", rows.take(half), rows.take(~half))
        else:
            made = split(Dataset("random", rows), protocol)
    except (TooLittleDataError, DataError):
        return
    tuning = made.for_validation()
    assert tuning.validation is None
    parts = [*pairs(tuning.train), *pairs(tuning.test), *(pairs(tuning.given) if tuning.given else [])]
    assert not set(parts) & set(pairs(made.test))
    if protocol not in ("new-users", "new-items"):
        assert Counter(parts) == Counter(pairs(made.known))
        assert pairs(tuning.known) == pairs(tuning.train)
    assert len(parts) == len(set(parts))
    if made.validation is not None:
        assert pairs(tuning.test) == pairs(made.validation)


def test_without_validation_rows_the_protocols_own_cut_is_applied_to_train() -> None:
    made = split(dataset([(user, item) for user in range(5) for item in range(10)]), "article")
    tuning = made.for_validation()
    assert [len(tuning.train), len(tuning.test), len(made.test)] == [32, 8, 10]
    assert pairs(tuning.test) == pairs(split(Dataset("train", made.train), "article").test)


@pytest.mark.parametrize(("n", "tuned"), [(1, 0), (2, 1), (19, 1), (20, 2)])
def test_a_ready_split_is_tuned_on_a_tenth_of_a_users_positives(n: int, tuned: int) -> None:
    train = log([(0, item) for item in range(n)], n_items=21)
    test = log([(0, 20)], n_items=21)
    tuning = ready_split("published", train, test).for_validation()
    assert [len(tuning.train), len(tuning.test)] == [n - tuned, tuned]


def test_the_tuning_split_counts_what_it_cannot_test_itself() -> None:
    rows = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 0), (1, 2), (2, 0)]
    made = split(dataset(rows), "leave-last-out")  # test (0, 2), (1, 2); validation (0, 1), (1, 0)
    cold = "test positives whose item has no training positive"
    assert made.dropped == {"users without a test positive": 1, cold: 2}
    assert made.for_validation().dropped == {"users without a test positive": 1, cold: 0}


def test_a_validation_row_trains_no_item() -> None:
    made = split(dataset([(0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (1, 1)]), "leave-last-out")
    assert pairs(made.train) == [(0, 0), (1, 0)]
    assert made.dropped["test positives whose item has no training positive"] == 2


@modest
@given(logs(max_users=3, max_items=25), protocols)
def test_no_tested_pair_is_hidden_from_the_ranking(rows: Interactions, protocol: str) -> None:
    made = _try_split(rows, protocol)
    if made is None:
        return
    hidden = made.hidden_items()
    assert len(hidden) == rows.n_users
    assert not set(zip(hidden.rows.tolist(), hidden.items.tolist(), strict=True)) & set(pairs(made.test))


def test_a_pair_both_known_and_tested_is_not_hidden() -> None:
    made = ready_split("published", log([(0, 0), (0, 1)], n_items=3), log([(0, 1), (0, 2)], n_items=3))
    assert _lists(made.hidden_items()) == [[0]]


@modest
@given(logs(max_users=3, max_items=25), st.sampled_from(["article", "article-rated"]))
def test_article_hides_training_positives_and_article_rated_all_other_seen_items(
    rows: Interactions, protocol: str
) -> None:
    made = _try_split(rows, protocol)
    if made is None:
        return
    tested = set(pairs(made.test))
    expected = [
        sorted(
            item
            for (who, item), weight in zip(pairs(rows), rows.weight, strict=True)
            if who == user and (who, item) not in tested and (weight > 0 or protocol == "article-rated")
        )
        for user in range(rows.n_users)
    ]
    assert [sorted(items) for items in _lists(made.hidden_items())] == expected


def test_a_repeated_test_pair_is_one_relevant_item() -> None:
    train, test = log([(0, 0), (1, 0)], n_items=4), log([(0, 3), (0, 1), (0, 3)], n_users=2, n_items=4)
    assert _lists(ready_split("published", train, test).relevant_items()) == [[3, 1], []]


def test_a_disliked_test_row_is_not_relevant() -> None:
    train, test = log([(0, 0)], n_items=3), log([(0, 1, 1), (0, 2, -1)], n_items=3)
    assert _lists(ready_split("published", train, test).relevant_items()) == [[1]]


def test_equal_seeds_cut_alike_and_others_do_not() -> None:
    rows = dataset([(user, item) for user in range(4) for item in range(20)])
    for protocol in ("article", "random-811"):
        assert pairs(split(rows, protocol).test) == pairs(split(rows, protocol, seed=42).test)
        assert pairs(split(rows, protocol).test) != pairs(split(rows, protocol, seed=43).test)


@pytest.mark.parametrize("timed", [True, False])
def test_protocols_in_order_ask_what_follows_and_the_others_do_not(timed: bool) -> None:
    rows = [
        (user, item, 1, *([(7 * item + 3 * user) % 20] if timed else [])) for user in range(30) for item in range(20)
    ]
    data = dataset(rows)
    for protocol in [name for name in names() if timed or name != "at-time"]:
        asked = protocol in ("leave-last-out", "at-time")
        assert split(data, protocol).validates_on_newest() == asked
        assert split(data, protocol).for_validation().validates_on_newest() == asked


def test_where_nothing_is_tested_it_is_what_follows_that_counts() -> None:
    assert whole(dataset([(0, 0), (0, 1), (1, 0)])).validates_on_newest()


def test_a_ready_split_keeps_the_published_parts() -> None:
    train, test = log([(0, 0, 1, 3), (1, 1, 1, 1)]), log([(0, 1, 1, 4), (1, 0, 1, 2)])
    made = ready_split("published", train, test)
    assert (made.train, made.test, made.validation) == (train, test, None)
    assert pairs(made.dataset.interactions) == pairs(train) + pairs(test)
    assert made.dataset.interactions.time is not None
    assert made.dataset.interactions.time.tolist() == [3, 1, 4, 2]


def test_whole_trains_on_every_row_and_tests_none() -> None:
    rows = dataset([(0, 0, 1), (0, 1, -1), (1, 1, 0)])
    made = whole(rows)
    assert pairs(made.train) == pairs(rows.interactions)
    assert [len(made.test), made.validation] == [0, None]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("artcle", "there is no protocol 'artcle'; did you mean 'article' or 'article-rated'"),
        ("leave-one-out", "did you mean 'leave-last-out'"),
        ("ready", "there is no protocol 'ready'; "),
        ("", "there is no protocol ''; there are 'article', "),
    ],
)
def test_an_unknown_protocol_is_answered_with_the_nearest(asked: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        split(dataset([(0, 0)]), asked)


@pytest.mark.parametrize(
    ("protocol", "rows", "message"),
    [
        ("article", [], "tiny: protocol article leaves no positive row to train on"),
        ("article", [(0, 0, -1), (0, 1, 0)], "tiny: protocol article leaves no positive row to train on"),
        ("article", [(0, 0)], r"leaves no positive row to test on \(1 rows of 1 users are too few\)"),
        ("leave-last-out", [(0, 0), (0, 1)], r"leaves no positive row to test on \(2 rows of 1 users are too few\)"),
        ("random-811", [(0, n) for n in range(9)], r"leaves no positive row to test on \(9 rows of 1 users"),
    ],
)
def test_too_little_data_says_what_is_missing(protocol: str, rows: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(TooLittleDataError, match=message):
        split(dataset(rows), protocol)


def test_too_little_data_for_whole_and_ready_splits() -> None:
    liked, disliked = log([(0, 0)]), log([(0, 0, -1)])
    with pytest.raises(TooLittleDataError, match="tiny has no positive row, so there is nothing to learn"):
        whole(dataset([(0, 0, -1)]))
    with pytest.raises(TooLittleDataError, match="published: the training part has no positive row"):
        ready_split("published", disliked, liked)
    with pytest.raises(TooLittleDataError, match="published: the test part has no positive row"):
        ready_split("published", liked, disliked)


@pytest.mark.parametrize("protocol", names())
def test_a_split_describes_itself_in_one_line(protocol: str) -> None:
    rows = [(user, item, 1, 10 * user + item) for user in range(5) for item in range(10)]
    made = split(dataset(rows), protocol)
    text = made.describe()
    assert "\n" not in text
    validation = "" if made.validation is None else f" / {len(made.validation)} validation"
    given = "" if made.given is None else f" / {len(made.given)} given"
    name = f"{protocol} (also random-80-20)" if protocol == "article" else protocol
    assert f"tiny (5 users, 10 items, 50 rows), protocol {name}: " in text
    assert (
        f"seed 42; {len(made.train)} train{validation}{given} / {len(made.test)} test rows; whole catalogue ranked"
        in text
    )
    assert text.endswith("all seen items hidden" if PROTOCOLS[protocol].hidden == "seen" else "known positives hidden")


def test_ready_and_whole_splits_describe_themselves_in_one_line() -> None:
    assert "split as published" in ready_split("published", log([(0, 0)]), log([(0, 0)])).describe()
    assert "nothing is tested" in whole(dataset([(0, 0)])).describe()


@modest
@given(logs(max_users=25, max_items=6), st.sampled_from(["new-users", "new-items"]))
def test_who_or_what_is_new_is_in_no_training_row(rows: Interactions, protocol: str) -> None:
    made = _try_split(rows, protocol)
    if made is None:
        return
    for part in (made, made.for_validation()):
        if protocol == "new-users":
            assert not set(part.test.user.tolist()) & set(part.train.user.tolist())
            assert part.given is not None
            assert set(part.test.user.tolist()) <= set(part.given.user.tolist())
        else:
            assert not set(part.test.item.tolist()) & set(part.train.item.tolist())


@modest
@given(logs(max_users=4, max_items=25))
def test_at_time_every_known_row_is_older_than_every_test_row(rows: Interactions) -> None:
    made = _try_split(rows, "at-time")
    if made is None:
        return
    assert made.known.time is not None
    assert made.test.time is not None
    assert made.train.time is not None
    assert made.known.time.max() < made.test.time.min()
    assert made.validation is not None
    if made.validation.time is not None and len(made.validation):
        assert made.train.time.max() < made.validation.time.min()


def test_at_time_takes_tenths_where_times_differ() -> None:
    made = split(dataset([(n % 3, n % 7, 1, n) for n in range(40)]), "at-time")
    assert made.validation is not None
    assert [len(made.train), len(made.validation), len(made.test)] == [32, 4, 4]


def test_at_time_leaves_out_users_of_whom_nothing_is_known() -> None:
    rows = [(0, n, 1, n) for n in range(18)] + [(0, 18, 1, 90), (1, 3, 1, 91)]
    made = split(dataset(rows), "at-time")
    assert set(made.test.user.tolist()) == {0, 1}
    assert made.relevant_items().lengths.tolist() == [1, 0]
    assert made.dropped["users with a test positive of whom nothing is known"] == 1


def test_at_time_needs_times() -> None:
    with pytest.raises(DataError, match="tiny: protocol at-time needs times, but the log has none; name their column"):
        split(dataset([(0, 0), (0, 1), (1, 0)]), "at-time")


def test_at_time_needs_times_that_differ() -> None:
    with pytest.raises(TooLittleDataError, match="at-time needs times that differ, but all 30 rows have the same"):
        split(dataset([(0, item, 1, 7) for item in range(30)]), "at-time")


def test_at_time_needs_a_test_user_of_whom_something_is_known() -> None:
    rows = [(0, item, 1, item) for item in range(18)] + [(1, 0, 1, 90), (2, 1, 1, 91)]
    with pytest.raises(TooLittleDataError, match="none of the 2 users with a positive test row has a known row"):
        split(dataset(rows), "at-time")


@pytest.mark.parametrize(
    ("times", "sizes"),
    [
        ([1, 2], (1, 0, 1)),
        ([1, 2, 3], (1, 1, 1)),
        ([1] * 9 + [2], (9, 0, 1)),
        ([1, 1, 2, 2, 3, 3], (2, 2, 2)),
        ([1] * 5 + [2] * 95, (5, 0, 95)),  # the quantile is the newest time: it is test, whole
        ([*range(80), *[80] * 15, *range(81, 86)], (80, 15, 5)),  # fifteen rows of one time stay together
    ],
)
def test_at_time_cuts_between_distinct_times(times: list[int], sizes: tuple[int, int, int]) -> None:
    made = split(dataset([(0, n, 1, time) for n, time in enumerate(times)]), "at-time")
    assert made.validation is not None
    assert (len(made.train), len(made.validation), len(made.test)) == sizes


def test_new_users_are_asked_as_strangers_with_the_history_given() -> None:
    made = split(dataset([(user, item) for user in range(20) for item in range(10)]), "new-users")
    held = np.unique(made.test.user).astype(np.int64)
    assert len(held) == 2
    assert made.given is not None
    assert [len(made.given), len(made.test), len(made.train)] == [16, 4, 180]
    asked = made.queries(np.arange(20))
    assert np.flatnonzero(asked.users < 0).tolist() == held.tolist()
    assert asked.history.lengths[held].tolist() == [8, 8]
    hidden = made.hidden_items()
    for user in held:
        mine = made.given.item[made.given.user == user]
        assert sorted(hidden.take(np.array([user])).items.tolist()) == sorted(mine.tolist())
    assert "16 given / 4 test rows" in made.describe()


def test_new_items_keep_their_low_ratings_out_of_train() -> None:
    rows = [(user, item, 1 if user else -1) for user in range(5) for item in range(20)]
    made = split(dataset(rows), "new-items")
    new = set(made.test.item.tolist())
    assert len(new) == 2
    assert bool((made.test.weight > 0).all())
    assert [len(made.train), len(made.test)] == [90, 8]
    assert made.dropped["test positives whose item has no training positive"] == 8


@pytest.mark.parametrize("protocol", ["new-users", "new-items"])
def test_another_seed_holds_out_others(protocol: str) -> None:
    data = dataset([(user, item) for user in range(40) for item in range(40)])
    first, again, other = (split(data, protocol, seed=seed) for seed in (42, 42, 7))
    assert pairs(first.test) == pairs(again.test) != pairs(other.test)


@pytest.mark.parametrize("protocol", ["new-users", "new-items"])
def test_one_user_or_item_cannot_be_held_out(protocol: str) -> None:
    rows = [(0, item) for item in range(9)] if protocol == "new-users" else [(user, 0) for user in range(9)]
    with pytest.raises(TooLittleDataError, match="leaves no positive row to test on"):
        split(dataset(rows), protocol)


@modest
@given(logs(max_users=25, max_items=6), st.booleans())
def test_given_and_test_rows_are_all_rows_of_the_new_users(rows: Interactions, tuning: bool) -> None:
    made = _try_split(rows, "new-users")
    if made is None:
        return
    log, part = (made.train, made.for_validation()) if tuning else (rows, made)
    assert part.given is not None
    new = np.isin(log.user, part.given.user)
    assert Counter(pairs(part.given) + pairs(part.test)) == Counter(pairs(log.take(new)))
    lengths = np.bincount(log.user[new], minlength=rows.n_users)
    assert lengths[lengths > 0].min(initial=5) >= 5
    assert np.bincount(part.test.user, minlength=rows.n_users).tolist() == (lengths // 5).tolist()


@modest
@given(logs(max_users=25, max_items=6), st.sampled_from(names()))
def test_questions_are_asked_with_everything_but_the_test_rows(rows: Interactions, protocol: str) -> None:
    made = _try_split(rows, protocol)
    if made is None:
        return
    users = np.arange(rows.n_users)[::-1].copy()
    asked = made.queries(users)
    strangers = set() if made.given is None else set(made.given.user.tolist())
    assert asked.users.tolist() == [-1 if user in strangers else user for user in users]
    out = set(pairs(made.test)) | {(u, i) for u, i in pairs(rows) if protocol == "new-items" and i in made.test.item}
    order = [pair for pair in pairs(rows.take(rows.order)) if pair not in out]
    assert _lists(asked.history) == [[item for who, item in order if who == user] for user in users]
    assert {user for user in strangers if made.train.user.tolist().count(user)} == set()


@modest
@given(logs(max_users=6, max_items=8), protocols)
def test_targets_are_liked_test_rows_of_users_who_can_be_asked(rows: Interactions, protocol: str) -> None:
    made = _try_split(rows, protocol)
    if made is None:
        return
    observed = set(made.observed.user.tolist())
    expected = [
        (user, item)
        for (user, item), weight in zip(pairs(made.test), made.test.weight, strict=True)
        if weight > 0 and (user in observed or PROTOCOLS[protocol].cold_users)
    ]
    assert pairs(made.targets()) == expected != []
    assert sorted(zip(*(made.relevant_items().rows, made.relevant_items().items), strict=True)) == sorted(expected)


def test_a_pair_both_given_and_tested_is_not_hidden() -> None:
    made = split(dataset([(user, n % 2) for user in range(20) for n in range(10)]), "new-users")
    assert made.given is not None
    assert set(pairs(made.given)) & set(pairs(made.test))
    assert not set(pairs(made.test)) & {(u, i) for u, list_ in enumerate(_lists(made.hidden_items())) for i in list_}


@pytest.mark.parametrize("protocol", ["new-users", "new-items"])
def test_the_split_to_tune_on_holds_out_others_by_the_same_rule(protocol: str) -> None:
    made = split(dataset([(user, item) for user in range(40) for item in range(40)]), protocol)
    tuning, again = made.for_validation(), split(Dataset("train", made.train), protocol)
    assert pairs(tuning.test) == pairs(again.test)
    assert (None if tuning.given is None else pairs(tuning.given)) == (
        None if again.given is None else pairs(again.given)
    )
    held = [set((part.test.user if protocol == "new-users" else part.test.item).tolist()) for part in (made, tuning)]
    assert [len(one) for one in held] == [4, 3]
    assert not held[0] & held[1]


def test_a_split_and_its_parts_are_printed_in_one_line_each() -> None:
    cut = split(dataset([(user, item) for user in range(9) for item in range(user % 3, 5)]), "article")
    assert repr(cut) == f"Split({cut.describe()})"
    assert repr(cut.train) == f"Interactions({len(cut.train)} rows, 9 users, 5 items)"
    assert repr(cut.train.users) == "Vocabulary(9 users)"
