"""Rules: what their file may hold, and what each does to a list."""

from collections.abc import Callable
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
from tastespace.serving.rules import Boost, Cap, Demote, Fresh, Pin, Rules, Share

FILE = """
pin:
  - {item: 7, place: 1}
  - item: 9
    place: 3
boost:
  - {where: "colour = 'red'", by: 0.5}
demote:
  - where: year < 1955
cap:
  - {of: colour, at_most: 4}
share:
  - {where: year >= 2000, at_least: 0.3, at_most: 0.5}
fresh: {column: year, within: 50}
mmr: 0.8
popularity_penalty: 0.1
"""


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
    return list(recommender.recommend(**{"user": 5, "exclude_seen": False, **asked}, rules=Rules.parse(text)).items)


def notes(recommender: ts.Recommender, text: str, **asked: Any) -> tuple[str, ...]:
    return recommender.recommend(**{"user": 5, "exclude_seen": False, **asked}, rules=Rules.parse(text)).notes


def test_a_file_holds_every_kind(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(FILE)
    rules = Rules.read(tmp_path / "rules.yaml")
    assert rules.names == ("pin", "boost", "demote", "cap", "share", "fresh", "mmr", "popularity_penalty")
    assert [(pin.item, pin.place) for pin in rules.pin] == [("7", 1), ("9", 3)]
    assert (rules.boost[0].where.text, rules.boost[0].by) == ("colour = 'red'", 0.5)
    assert (rules.cap[0].of, rules.cap[0].at_most) == ("colour", 4)
    assert (rules.share[0].at_least, rules.share[0].at_most) == (0.3, 0.5)
    assert (rules.mmr, rules.popularity_penalty) == (0.8, 0.1)
    assert rules.only("cap").names == ("cap",)


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}"])
def test_an_empty_file_is_no_rules(recommender: ts.Recommender, text: str) -> None:
    assert Rules.parse(text).names == ()
    assert listed(recommender, text) == list(recommender.recommend(user=5, exclude_seen=False).items)


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("pinn: []", 1, "'pinn' is not a kind of rule; did you mean 'pin'?"),
        ("mmr: 1\nmmr: 1", 2, "mmr stands here for the second time"),
        ("pin: 3", 1, "a list of rules is expected"),
        ("pin:\n  - {item: 7}", 2, "place is missing"),
        ("pin:\n  - {item: 7, place: 0}", 2, "place is 0, but a whole number from 1 to 10000 is expected"),
        ("pin:\n  - {item: 7, place: 1.5}", 2, "a whole number"),
        ("pin:\n  - {item: [7], place: 1}", 2, "a single value is expected"),
        ("pin:\n  - {item: 7, place: 1}\n  - {item: 7, place: 2}", 2, "two pins share an item or a place"),
        ("pin:\n  - {item: ~, place: 1}", 2, "nothing stands where a text or a number is expected; put quotes around"),
        ("pin:\n  - {item: 7, place: true}", 2, "place is 'true', but a whole number"),
        ("pin:\n  - item: ''\n    place: 1", 2, "item is '', but an id is expected"),
        ("pin:\n  - item: 7\n    place: 0x10", 3, "'0x10' is not a plain number"),
        ("cap:\n  - {of: ~, at_most: 2}", 2, "nothing stands where a text or a number is expected"),
        ("cap:\n  - {of: '', at_most: 2}", 2, "of is '', but the name of a column is expected"),
        ("cap:\n  - of: colour\n    at_most: -1", 3, "at_most is -1, but a whole number from 0 to 10000 is expected"),
        ("fresh:\n  column: year\n  within: -2", 3, "within is -2, but a number from 0 to 1e+15 is expected"),
        ("boost:\n  - where: yeer ~ 3\n    by: 1", 2, "the condition cannot be read: '~'"),
        ("boost:\n  - where: year = 3\n    by: much", 3, "by is 'much', but a number from -100 to 100 is expected"),
        ("boost:\n  - where: year = 3\n    by: .nan", 3, "a number"),
        ("boost:\n  - where: 3\n    by: 1", 2, "the condition cannot be read: '3'"),
        ("share:\n  - {where: year = 3}", 2, "a share needs where, and at_least or at_most"),
        ("share:\n  - {where: year = 3, at_least: 0.5, at_most: 0.2}", 2, "at_least 0.5 is above at_most 0.2"),
        ("cap:\n- {of: colour, at_most: 1, most: 2}", 2, "'most' is not a field"),
        ("fresh: [1]", 1, "names and values are expected (column, within)"),
        ("fresh: {column: year}", 1, "within is missing"),
        ("mmr: 2", 1, "mmr is 2, but a number from 0 to 1 is expected"),
        ("mmr: yes", 1, "mmr is 'yes', but a number from 0 to 1 is expected"),
        ("popularity_penalty: 0x1_0000000000000000z", 1, "a number"),
        ("- pin", 1, "names and values are expected"),
        ("mmr: [1", 1, "this is not YAML"),
        ("a: b: c", 1, "this is not YAML"),
        ("mmr: !!python/object/apply:os.system [ls]", 1, "a single value is expected"),
        ("mmr: !!python/name:os.system ''", 1, "mmr is '', but a number"),
        ("pin: [{item: !!python/name:os.system '', place: 1}]", 1, "'' stands where a text or a number is expected"),
        ("pin: [{item: !!binary aGk=, place: 1}]", 1, "'aGk=' stands where a text or a number is expected"),
        ("? [mmr]\n: 1", 1, "is not a kind of rule"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(text: str, line: int, told: str) -> None:
    with pytest.raises(OptionError) as caught:
        Rules.parse(text, "rules.yaml")
    assert str(caught.value).startswith(f"rules.yaml, line {line}: ")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[" * 5000, "this is not YAML"),
        ("mmr: \x00", "this is not YAML"),
        ("#" * (2**20 + 1), "has more than 1,048,576 characters"),
        ('mmr: "\\UFFFFFFFF"', "this is not YAML"),
        ('mmr: "\\U00110000"', "this is not YAML"),
        ("fresh: {column: year, within: 1" + "0" * 400 + "}", "a number from 0 to 1e"),
        ("demote:\n" + "  - where: year = 1\n" * 1001, "demote has 1,001 rules, but at most 1,000 are read"),
    ],
)
def test_hostile_files_are_refused(text: str, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        Rules.parse(text)


WHERE = Condition.parse("year = 1990")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Pin(7, 0), "place is 0, but a whole number from 1 to 10000 is expected"),
        (lambda: Pin(7, 1.0), "place is 1.0, but a whole number"),  # type: ignore[arg-type]
        (lambda: Pin(7, True), "place is True, but a whole number"),
        (lambda: Pin(None, 1), "item is None, but an id is expected"),
        (lambda: Pin(True, 1), "item is True, but an id is expected"),
        (lambda: Pin("", 1), "item is '', but an id is expected"),
        (lambda: Boost("year = 3", 1), "where is 'year = 3', but a condition, such as"),  # type: ignore[arg-type]
        (lambda: Boost(WHERE, float("nan")), "by is nan, but a number from -100 to 100 is expected"),
        (lambda: Demote(None), "where is None, but a condition"),  # type: ignore[arg-type]
        (lambda: Cap(3, 1), "of is 3, but the name of a column is expected"),  # type: ignore[arg-type]
        (lambda: Cap("year", 10_001), "at_most is 10001, but a whole number from 0 to 10000 is expected"),
        (lambda: Share(WHERE, at_most=1.5), "at_most is 1.5, but a number from 0 to 1 is expected"),
        (lambda: Share(WHERE, 0.5, 0.2), "at_least 0.5 is above at_most 0.2"),
        (lambda: Fresh("year", -1), "within is -1, but a number from 0 to"),
        (lambda: Fresh("", 1), "column is '', but the name of a column is expected"),
        (lambda: Rules(pin=[Pin(7, 1)]), "pin is .*, but a tuple of Pin is expected"),  # type: ignore[arg-type]
        (lambda: Rules(cap=(Demote(WHERE),)), "cap is .*, but a tuple of Cap is expected"),  # type: ignore[arg-type]
        (lambda: Rules(fresh=WHERE), "fresh is .*, but one Fresh or None is expected"),  # type: ignore[arg-type]
        (lambda: Rules(demote=(Demote(WHERE),) * 1001), "demote has 1,001 rules, but at most 1,000 are read"),
        (lambda: Rules(pin=(Pin(7, 1), Pin("7", 2))), "two pins share an item or a place"),
        (lambda: Rules(pin=(Pin(7, 1), Pin(8, 1))), "two pins share an item or a place"),
        (lambda: Rules(mmr=2), "mmr is 2, but a number from 0 to 1 is expected"),
        (lambda: Rules(popularity_penalty="x"), "popularity_penalty is 'x', but a number from 0 to 10 is expected"),  # type: ignore[arg-type]
    ],
)
def test_rules_made_in_python_are_checked_as_those_of_a_file_are(make: Callable[[], object], told: str) -> None:
    with pytest.raises(OptionError, match=told):
        make()


def test_rules_made_in_python_are_those_of_a_file(recommender: ts.Recommender) -> None:
    made = Rules(pin=(Pin(57, np.int64(2)),), demote=(Demote(WHERE),), fresh=Fresh("year", np.float32(40)), mmr=1)
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
    with pytest.raises(OptionError, match=r"line 1: nothing stands where .* put quotes around a text like that"):
        Rules.parse("pin: [{item: NULL, place: 1}]")


def test_ids_that_are_whole_numbers_are_read_as_such(recommender: ts.Recommender) -> None:
    assert listed(recommender, "pin: [{item: 057, place: 2}, {item: '5_8', place: 1}]")[:2] == [58, 57]
    for text in ("0x10", "1e1", "2020-01-01", "no"):
        with pytest.raises(UnknownIdError, match=f"line 1: '{text}' is no item id: ids here are whole numbers"):
            listed(recommender, f"pin: [{{item: {text}, place: 1}}]")
    with pytest.raises(OptionError, match="rules, line 3: item 57 is pinned for the second time"):
        listed(recommender, "pin:\n- {item: 57, place: 2}\n- {item: 057, place: 1}")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="nowhere cannot be read: No such file"):
        Rules.read(tmp_path / "nowhere")
    (tmp_path / "latin").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(OptionError, match="latin cannot be read: it is not UTF-8"):
        Rules.read(tmp_path / "latin")


def test_pins_stand_at_their_places(recommender: ts.Recommender) -> None:
    plain = listed(recommender, "")
    found = listed(recommender, "pin: [{item: 57, place: 2}, {item: 59, place: 5}, {item: 1, place: 99}]")
    assert (found[1], found[4]) == (57, 59)
    rest = [item for place, item in enumerate(found) if place not in (1, 4)]
    assert rest == [item for item in plain if item not in (57, 59)][:8]


def test_a_pin_that_filters_leave_out_is_told(recommender: ts.Recommender) -> None:
    text = "pin: [{item: 57, place: 2}]"
    assert 57 not in listed(recommender, text, exclude=[57])
    assert notes(recommender, text, exclude=[57]) == ("1 pinned item left out, as filters or history say",)


def test_a_boost_lifts_and_lowers(recommender: ts.Recommender) -> None:
    lifted = listed(recommender, "boost: [{where: year = 2009, by: 100}, {where: year = 2008, by: 99}]")
    assert lifted[:2] == [59, 58]
    best = listed(recommender, "")[0]
    assert best not in listed(recommender, f"boost: [{{where: year = {1950 + best}, by: -100}}]")


def test_buried_items_come_last_and_only_where_nothing_else_is_left(recommender: ts.Recommender) -> None:
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


def test_rules_that_cannot_be_met_together_are_told(recommender: ts.Recommender) -> None:
    text = "share: [{where: year >= 2000, at_least: 0.8}, {where: year < 1960, at_least: 0.8}]"
    found = notes(recommender, text)
    assert found == (
        "the share of year >= 2000: 8 of 10 items asked for, 5 found",
        "the share of year < 1960: 8 of 10 items asked for, 5 found",
        "these shares cannot be met together",
    )
    few = notes(recommender, "share: [{where: year > 2007, at_least: 0.5}]")
    assert few == ("the share of year > 2007: 5 of 10 items asked for, 2 found",)


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


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
    found = recommender.recommend(**asked, rules=Rules.parse(text))
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

    monkeypatch.setattr(reranking, "CANDIDATES", 1)
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
            recommender.recommend(user=5, rules=Rules.parse(text, "rules.yaml"))
