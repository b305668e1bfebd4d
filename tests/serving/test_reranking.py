"""Re-ranking: what each rule does to a list."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tastespace as ts
from tastespace.data.conditions import Condition
from tastespace.data.dataset import Dataset, Table
from tastespace.data.interactions import Interactions
from tastespace.data.split import whole
from tastespace.data.vocabulary import Vocabulary
from tastespace.errors import OptionError, UnknownIdError
from tastespace.serving.rules import Demote, Fresh, Pin, Rules
from tastespace.serving.rules_yaml import parse_rules
from tests.build import examples


@pytest.fixture(scope="module")
def recommender(board: Dataset, tmp_path_factory: pytest.TempPathFactory) -> ts.Recommender:
    n = board.interactions.n_items
    labels = np.empty(n, dtype=object)
    labels[:] = [[["red"], ["blue"], ["red", "blue"], []][place % 4] for place in range(n)]
    dates = np.array([f"20{place:02}-06-01" for place in range(n)], dtype=object)
    table = Table({"colour": labels, "year": np.arange(n) + 1950.0, "released": dates})
    data = Dataset("shop", board.interactions, item_table=table)
    fit = ts.train("mf", whole(data), dim=8, epochs=5)
    return ts.Recommender.build(fit, tmp_path_factory.mktemp("shop") / "bundle")


def listed(recommender: ts.Recommender, text: str, **asked: Any) -> list[int]:
    return list(recommender.recommend(**{"user": 5, "exclude_seen": False, **asked}, rules=parse_rules(text)).items)


def notes(recommender: ts.Recommender, text: str, **asked: Any) -> tuple[str, ...]:
    return recommender.recommend(**{"user": 5, "exclude_seen": False, **asked}, rules=parse_rules(text)).notes


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}"])
def test_an_empty_file_is_no_rules(recommender: ts.Recommender, text: str) -> None:
    assert parse_rules(text).names == ()
    assert listed(recommender, text) == list(recommender.recommend(user=5, exclude_seen=False).items)


def test_rules_made_in_python_are_those_of_a_file(recommender: ts.Recommender) -> None:
    made = Rules(
        pin=(Pin(57, np.int64(2)),),
        demote=(Demote(Condition.parse("year = 1990")),),
        fresh=Fresh("year", np.float32(40)),
        mmr=1,
    )
    found = recommender.recommend(user=5, exclude_seen=False, rules=made)
    text = "pin: [{item: 57, place: 2}]\ndemote: [{where: year = 1990}]\nfresh: {column: year, within: 40}"
    assert list(found.items) == listed(recommender, text)


IDS = ["no", "on", "1e3", "2020-01-01", "0x10", "1_000", "007", "7", "12:30:00", "1.50", "=", "<<", "true", "NULL"]


def test_ids_are_the_texts_that_stand_in_the_file(tmp_path: Path) -> None:
    rows = Interactions.of(
        np.repeat(np.arange(6), 4),
        np.arange(24) % len(IDS),
        Vocabulary.of(range(6)),
        Vocabulary(np.array(sorted(IDS), object)),
    )
    table = Table({"yes": np.arange(len(IDS)) % 2.0})
    fit = ts.train("popularity", whole(Dataset("texts", rows, item_table=table)))
    texts = ts.Recommender.build(fit, tmp_path / "texts")
    for name in IDS:
        quoted = f"'{name}'" if name == "NULL" else name
        assert listed(texts, f"pin: [{{item: {quoted}, place: 1}}]", user=None)[0] == name
    assert len(listed(texts, "cap: [{of: yes, at_most: 1}]\nfresh: {column: yes, within: 3}", user=None)) == 2


def test_ids_that_are_whole_numbers_are_read_as_such(recommender: ts.Recommender) -> None:
    assert listed(recommender, "pin: [{item: 057, place: 2}, {item: '5_8', place: 1}]")[:2] == [58, 57]
    for text in ("0x10", "1e1", "2020-01-01", "no"):
        with pytest.raises(UnknownIdError, match=f"line 1: '{text}' is no item id: ids here are whole numbers"):
            listed(recommender, f"pin: [{{item: {text}, place: 1}}]")
    with pytest.raises(OptionError, match="rules, line 3: item 57 is pinned twice"):
        listed(recommender, "pin:\n- {item: 57, place: 2}\n- {item: 057, place: 1}")


def test_pins_stand_at_their_places(recommender: ts.Recommender) -> None:
    plain = listed(recommender, "")
    found = listed(recommender, "pin: [{item: 57, place: 2}, {item: 59, place: 5}, {item: 1, place: 99}]")
    assert (found[1], found[4]) == (57, 59)
    rest = [item for place, item in enumerate(found) if place not in (1, 4)]
    assert rest == [item for item in plain if item not in (57, 59)][:8]


def test_a_pin_that_filters_hide_is_noted(recommender: ts.Recommender) -> None:
    text = "pin: [{item: 57, place: 2}]"
    assert 57 not in listed(recommender, text, exclude=[57])
    assert notes(recommender, text, exclude=[57]) == ("1 pinned item left out, hidden by filters or history",)


def test_a_boost_lifts_and_lowers(recommender: ts.Recommender) -> None:
    lifted = listed(recommender, "boost: [{where: year = 2009, by: 100}, {where: year = 2008, by: 99}]")
    assert lifted[:2] == [59, 58]
    best = listed(recommender, "")[0]
    assert best not in listed(recommender, f"boost: [{{where: year = {1950 + best}, by: -100}}]")


def test_demoted_items_come_last_and_only_where_nothing_else_is_left(recommender: ts.Recommender) -> None:
    text = "demote: [{where: year < 2008}]"
    found = listed(recommender, text, k=5)
    assert set(found[:2]) == {58, 59}
    assert found[2:] == [item for item in listed(recommender, "", k=60) if item < 58][:3]


def test_a_cap_holds_for_every_label(recommender: ts.Recommender) -> None:
    found = listed(recommender, "cap: [{of: colour, at_most: 2}]", k=19)
    labels = [label for item in found for label in recommender.describe(item)["colour"]]
    assert max(labels.count("red"), labels.count("blue")) <= 2
    assert sum(not recommender.describe(item)["colour"] for item in found) == 15
    assert len(found) > 15
    told = notes(recommender, "cap: [{of: colour, at_most: 0}]", k=20)
    assert told == ("rules leave only 15 of 20 items",)


def test_a_share_is_kept_from_both_sides(recommender: ts.Recommender) -> None:
    for least, most in ((0.5, 1.0), (1.0, 1.0), (0.0, 0.0), (0.3, 0.3)):
        found = listed(recommender, f"share: [{{where: year >= 2000, at_least: {least}, at_most: {most}}}]")
        assert len(found) == 10
        assert least * 10 <= sum(item >= 50 for item in found) <= most * 10


def test_rules_that_cannot_be_satisfied_together_are_noted(recommender: ts.Recommender) -> None:
    text = "share: [{where: year >= 2000, at_least: 0.8}, {where: year < 1960, at_least: 0.8}]"
    found = notes(recommender, text)
    assert found == (
        "the share of year >= 2000: 8 of 10 items are required, 5 available",
        "the share of year < 1960: 8 of 10 items are required, 5 available",
        "these shares cannot be satisfied together",
    )
    few = notes(recommender, "share: [{where: year > 2007, at_least: 0.5}]")
    assert few == ("the share of year > 2007: 5 of 10 items are required, 2 available",)


def test_a_window_keeps_what_is_fresh(recommender: ts.Recommender) -> None:
    assert set(listed(recommender, "fresh: {column: year, within: 11}")) <= set(range(48, 60))
    assert set(listed(recommender, "fresh: {column: released, within: 800}", k=3)) == {57, 58, 59}
    assert notes(recommender, "fresh: {column: year, within: 2}", k=4) == (
        "only 3 items left: 3 of 60 items are fresh",
    )
    with pytest.raises(OptionError, match="fresh needs numbers or ISO dates in colour"):
        listed(recommender, "fresh: {column: colour, within: 2}")


def test_mmr_makes_lists_more_varied(recommender: ts.Recommender) -> None:
    def alike(text: str) -> float:
        places = np.array(listed(recommender, text))
        vectors = recommender.item_vectors[places, :-1]
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return float((unit @ unit.T).mean())

    plain, varied, most = alike(""), alike("mmr: 0.5"), alike("mmr: 0")
    assert most < varied < plain
    assert listed(recommender, "mmr: 0")[0] == listed(recommender, "")[0]


def test_popularity_penalty_prefers_the_less_liked(recommender: ts.Recommender) -> None:
    likes = recommender.loaded.likes
    assert likes[listed(recommender, "popularity_penalty: 3")].mean() < likes[listed(recommender, "")].mean()


def test_rules_of_columns_and_items_that_are_not_there_are_refused(recommender: ts.Recommender) -> None:
    with pytest.raises(OptionError, match="rule cap names 'color', which is no attribute of the items; did you mean"):
        listed(recommender, "cap: [{of: color, at_most: 2}]")
    with pytest.raises(OptionError, match="rule fresh names 'age'"):
        listed(recommender, "fresh: {column: age, within: 2}")
    with pytest.raises(OptionError, match="no attribute 'yeer'"):
        listed(recommender, "demote: [{where: yeer = 2}]")
    with pytest.raises(UnknownIdError, match="no item 99"):
        listed(recommender, "pin: [{item: 99, place: 1}]")


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_lists_are_full_without_doubles_and_within_the_filters(
    recommender: ts.Recommender, data: st.DataObject
) -> None:
    lines = [
        "pin: [{item: 57, place: 2}, {item: 4, place: 7}]",
        "boost: [{where: colour = 'red', by: 1}]",
        "demote: [{where: year < 1980}]",
        "cap: [{of: year, at_most: 1}]",
        "share: [{where: colour = 'blue', at_least: 0.4}]",
        "mmr: 0.6",
        "popularity_penalty: 0.5",
    ]
    text = "\n".join(data.draw(st.lists(st.sampled_from(lines), unique=True)))
    asked: dict[str, Any] = {
        "user": data.draw(st.none() | st.integers(0, 79)),
        "k": data.draw(st.integers(1, 60)),
        "exclude": data.draw(st.lists(st.integers(0, 59), max_size=30)),
        "where": data.draw(st.sampled_from([None, "year > 1990", "colour is missing"])),
        "exclude_seen": data.draw(st.booleans()),
    }
    plain = recommender.recommend(**{**asked, "k": 60})
    found = recommender.recommend(**asked, rules=parse_rules(text))
    assert len(found.items) == len(set(found.items)) == min(asked["k"], len(plain.items))
    assert set(found.items) <= set(plain.items)
    scores = dict(zip(plain.items, plain.scores, strict=True))
    np.testing.assert_allclose(found.scores, [scores[item] for item in found.items], rtol=1e-4, atol=1e-5)


def test_shares_that_can_be_met_together_are(recommender: ts.Recommender) -> None:
    text = "share: [{where: year >= 2000, at_least: 0.5}, {where: year < 1960, at_least: 0.5}]"
    found = listed(recommender, text, k=4)
    assert (sum(item >= 50 for item in found), sum(item < 10 for item in found)) == (2, 2)
    both = "share: [{where: colour = 'red', at_least: 0.5}, {where: colour = 'blue', at_least: 1}]"
    labels = [recommender.describe(item)["colour"] for item in listed(recommender, both, k=8)]
    assert sum("red" in one for one in labels) >= 4
    assert all("blue" in one for one in labels)


def test_demoting_leaves_the_order_of_the_others_under_mmr(recommender: ts.Recommender) -> None:
    plain = listed(recommender, "mmr: 0.9", k=6)
    demoted = listed(recommender, f"mmr: 0.9\ndemote: [{{where: year = {1950 + plain[5]}}}]", k=5)
    assert demoted == plain[:5]
    last = listed(recommender, "mmr: 0.2\ndemote: [{where: year < 2000}]", k=12)
    assert {item >= 50 for item in last[:10]} == {True}


def test_mmr_keeps_away_from_pins(recommender: ts.Recommender) -> None:
    pinned = listed(recommender, "mmr: 0\npin: [{item: 7, place: 1}]", k=2)
    vectors = recommender.item_vectors[:, :-1]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert pinned[1] == int(np.argmin(unit @ unit[7]))


def test_caps_count_pins_that_come_later(recommender: ts.Recommender) -> None:
    found = listed(recommender, "pin: [{item: 4, place: 3}]\ncap: [{of: colour, at_most: 1}]", k=3)
    assert found[2] == 4
    assert "red" not in [label for item in found[:2] for label in recommender.describe(item)["colour"]]


def test_a_share_is_looked_for_beyond_the_best(recommender: ts.Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    from tastespace.serving import reranking

    monkeypatch.setattr(reranking, "N_CANDIDATES", 1)
    text = "share: [{where: colour = 'red', at_least: 1}]\ncap: [{of: year, at_most: 1}, {of: colour, at_most: 9}]"
    assert notes(recommender, text, k=6) == ()


def test_a_wrong_rule_names_its_line(recommender: ts.Recommender) -> None:
    for text, line in (
        ("mmr: 1\ncap:\n  - {of: colr, at_most: 2}", 3),
        ("demote:\n  - where: colr = 'x'", 2),
        ("pin:\n  - {item: 99, place: 1}", 2),
        ("fresh: {column: age, within: 3}", 1),
    ):
        with pytest.raises((OptionError, UnknownIdError), match=f"rules.yaml, line {line}: "):
            recommender.recommend(user=5, rules=parse_rules(text, "rules.yaml"))
