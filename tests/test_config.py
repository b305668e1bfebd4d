import json
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastespace import config
from tastespace.config import check, option
from tastespace.errors import OptionError


@dataclass(frozen=True)
class Knobs:
    dim: int = option(64, "size", usual=(16, 256), at_least=1)
    rate: float = option(0.1, "step", above=0, below=1)
    deep: bool = option(False, "more layers")
    kind: Literal["bce", "bpr"] = option("bce", "loss")
    days: float | None = option(None, "window", above=0)
    note: str = option("", "free text")

    def __post_init__(self) -> None:
        check(self)


_rates = st.floats(0, 1, exclude_min=True, exclude_max=True)
_days = st.none() | st.floats(0, 1e6, exclude_min=True)
_knobs = st.builds(
    Knobs, st.integers(1, 10**6), _rates, st.booleans(), st.sampled_from(["bce", "bpr"]), _days, st.text()
)


@given(_knobs)
def test_a_config_survives_json(knobs: Knobs) -> None:
    assert config.from_mapping(Knobs, json.loads(json.dumps(config.to_mapping(knobs)))) == knobs


@given(_knobs)
def test_a_config_survives_being_typed(knobs: Knobs) -> None:
    typed = {name: str(value) for name, value in config.to_mapping(knobs).items() if name != "note"}
    read = {name: config.from_text(Knobs, name, text) for name, text in typed.items()}
    assert Knobs(**read, note=knobs.note) == knobs


def test_names_keep_their_order() -> None:
    assert config.names(Knobs) == ["dim", "rate", "deep", "kind", "days", "note"]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("dim", "64", "Knobs.dim is '64', but a whole number is expected"),
        ("dim", 1.5, "Knobs.dim is 1.5, but a whole number is expected"),
        ("dim", True, "Knobs.dim is True, but a whole number is expected"),
        ("dim", 0, "Knobs.dim is 0, but it must be at least 1"),
        ("rate", True, "Knobs.rate is True, but a number is expected"),
        ("rate", 0, "Knobs.rate is 0.0, but it must be above 0"),
        ("rate", 1.0, "Knobs.rate is 1.0, but it must be below 1"),
        ("rate", 10**400, "but it must be below 1"),
        ("rate", float("nan"), "Knobs.rate is nan, but a finite number is expected"),
        ("rate", float("inf"), "Knobs.rate is inf, but a finite number is expected"),
        ("deep", 1, "Knobs.deep is 1, but true or false is expected"),
        ("kind", "mse", "Knobs.kind is 'mse', but 'bce' or 'bpr' is expected"),
        ("days", "x", "Knobs.days is 'x', but a number or nothing is expected"),
        ("days", -1.0, "Knobs.days is -1.0, but it must be above 0"),
        ("note", 7, "Knobs.note is 7, but a text is expected"),
    ],
)
def test_an_impossible_value_is_refused_by_name(field: str, value: Any, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        config.from_mapping(Knobs, {field: value})
    assert message in str(caught.value)


def test_the_usual_range_is_not_enforced() -> None:
    assert Knobs(dim=10**6).dim == 10**6


def test_a_whole_number_becomes_the_declared_float() -> None:
    assert isinstance(config.from_mapping(Knobs, {"days": 3}).days, float)


def test_an_unknown_key_names_the_nearest_field() -> None:
    with pytest.raises(OptionError, match="there is no option 'dmi'; did you mean 'dim'"):
        config.from_mapping(Knobs, {"dmi": 3})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("dim", "128", 128),
        ("rate", "1e-3", 0.001),
        ("deep", "Yes", True),
        ("deep", "0", False),
        ("kind", "bpr", "bpr"),
        ("days", "none", None),
        ("days", "7", 7.0),
        ("note", "none", "none"),
    ],
)
def test_typed_text_becomes_the_declared_type(name: str, text: str, value: Any) -> None:
    read = config.from_text(Knobs, name, text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("dim", "many", "dim='many' cannot be read: a whole number is expected"),
        ("dim", "", "dim='' cannot be read"),
        ("deep", "maybe", "deep='maybe' cannot be read: true or false is expected"),
        ("kind", "BPR", "kind='BPR' cannot be read: 'bce' or 'bpr' is expected"),
        ("days", "week", "days='week' cannot be read: a number or nothing is expected"),
    ],
)
def test_unreadable_text_says_what_is_expected(name: str, text: str, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        config.from_text(Knobs, name, text)
    assert message in str(caught.value)


def test_a_type_is_described_in_words() -> None:
    assert config.describe_type(Knobs, "days") == "a number or nothing"
