"""Reading rules from YAML: what a file may hold, and errors that name its line."""

from pathlib import Path

import pytest

from tastespace.errors import OptionError
from tastespace.serving.rules_yaml import parse_rules, read_rules

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


def test_a_file_holds_every_kind(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(FILE)
    rules = read_rules(tmp_path / "rules.yaml")
    assert rules.names == ("pin", "boost", "demote", "cap", "share", "fresh", "mmr", "popularity_penalty")
    assert [(pin.item, pin.place) for pin in rules.pin] == [("7", 1), ("9", 3)]
    assert (rules.boost[0].where.text, rules.boost[0].by) == ("colour = 'red'", 0.5)
    assert (rules.cap[0].of, rules.cap[0].at_most) == ("colour", 4)
    assert (rules.share[0].at_least, rules.share[0].at_most) == (0.3, 0.5)
    assert (rules.mmr, rules.popularity_penalty) == (0.8, 0.1)
    assert rules.only("cap").names == ("cap",)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("pinn: []", 1, "'pinn' is not a kind of rule; did you mean 'pin'?"),
        ("mmr: 1\nmmr: 1", 2, "mmr is given twice"),
        ("pin: 3", 1, "a list of rules is expected"),
        ("pin:\n  - {item: 7}", 2, "place is missing"),
        ("pin:\n  - {item: 7, place: 0}", 2, "place is 0, but a whole number from 1 to 10000 is expected"),
        ("pin:\n  - {item: 7, place: 1.5}", 2, "a whole number"),
        ("pin:\n  - {item: [7], place: 1}", 2, "a single value is expected"),
        ("pin:\n  - {item: 7, place: 1}\n  - {item: 7, place: 2}", 2, "two pins share an item or a place"),
        ("pin:\n  - {item: ~, place: 1}", 2, "a text or a number is expected, not nothing; put quotes around"),
        ("pin:\n  - {item: 7, place: true}", 2, "place is 'true', but a whole number"),
        ("pin:\n  - item: ''\n    place: 1", 2, "item is '', but an id is expected"),
        ("pin:\n  - item: 7\n    place: 0x10", 3, "'0x10' is not a plain number"),
        ("cap:\n  - {of: ~, at_most: 2}", 2, "a text or a number is expected, not nothing"),
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
        ("pin: [{item: !!python/name:os.system '', place: 1}]", 1, "a text or a number is expected, not ''"),
        ("pin: [{item: !!binary aGk=, place: 1}]", 1, "a text or a number is expected, not 'aGk='"),
        ("? [mmr]\n: 1", 1, "is not a kind of rule"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse_rules(text, "rules.yaml")
    assert str(caught.value).startswith(f"rules.yaml, line {line}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 5000, "this is not YAML"),
        ("mmr: \x00", "this is not YAML"),
        ("#" * (2**20 + 1), "has more than 1,048,576 characters"),
        ('mmr: "\\UFFFFFFFF"', "this is not YAML"),
        ('mmr: "\\U00110000"', "this is not YAML"),
        ("fresh: {column: year, within: 1" + "0" * 400 + "}", "a number from 0 to 1e"),
        ("demote:\n" + "  - where: year = 1\n" * 1001, "demote has 1,001 rules, but at most 1,000 are allowed"),
    ],
)
def test_hostile_files_are_refused(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        parse_rules(text)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="nowhere cannot be read: No such file"):
        read_rules(tmp_path / "nowhere")
    (tmp_path / "latin").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(OptionError, match="latin cannot be read: it is not UTF-8"):
        read_rules(tmp_path / "latin")


def test_a_null_id_is_refused_with_its_line() -> None:
    with pytest.raises(OptionError, match=r"line 1: a text or a number is expected, not nothing; put quotes around"):
        parse_rules("pin: [{item: NULL, place: 1}]")
