"""Rules as values: fields are checked when they are made."""

from collections.abc import Callable

import pytest

from tastespace.data.conditions import Condition
from tastespace.errors import OptionError
from tastespace.serving.rules import Boost, Cap, Demote, Fresh, Pin, Rules, Share

WHERE = Condition.parse("year = 1990")


@pytest.mark.parametrize(
    ("make", "message"),
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
        (lambda: Rules(demote=(Demote(WHERE),) * 1001), "demote has 1,001 rules, but at most 1,000 are allowed"),
        (lambda: Rules(pin=(Pin(7, 1), Pin("7", 2))), "two pins share an item or a place"),
        (lambda: Rules(pin=(Pin(7, 1), Pin(8, 1))), "two pins share an item or a place"),
        (lambda: Rules(mmr=2), "mmr is 2, but a number from 0 to 1 is expected"),
        (lambda: Rules(popularity_penalty="x"), "popularity_penalty is 'x', but a number from 0 to 10 is expected"),  # type: ignore[arg-type]
    ],
)
def test_fields_are_checked(make: Callable[[], object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make()


def test_names_are_the_kinds_in_use() -> None:
    rules = Rules(demote=(Demote(WHERE),), mmr=0.5)
    assert (Rules().names, rules.names, rules.only("mmr").names) == ((), ("demote", "mmr"), ("mmr",))
    assert rules.only("mmr") == Rules(mmr=0.5)


def test_equality_ignores_the_line() -> None:
    assert Demote(WHERE, at="rules.yaml, line 3") == Demote(WHERE)
