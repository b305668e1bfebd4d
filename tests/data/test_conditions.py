"""Conditions: what they fit against a slow reading of each cell, and what is said of those that cannot be read."""

import contextlib
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastespace.data.conditions import Attributes, Condition
from tastespace.data.dataset import Table
from tastespace.errors import OptionError


def objects(cells: list[Any]) -> np.ndarray:
    column = np.empty(len(cells), dtype=object)
    column[:] = cells
    return column


FILMS = Attributes(
    Table(
        {
            "genres": objects([["Comedy", "Drama"], np.array(["Drama"], dtype=object), [], None, ("Comedy", None)]),
            "year": np.array([1990, 1991, np.nan, 2000, 1980.0]),
            "the title": objects(["a", "b", "it's", None, 'x "y"']),
            "new": np.array([True, False, True, False, True]),
            "blank": objects([None] * 5),
            "counts": objects([1, 2.5, None, True, 3]),
            "embedding": objects([[0.5, 1.0], np.array([1.0, 2.0]), None, [], (1.0, 0.0)]),
        }
    ),
    5,
)


@pytest.mark.parametrize(
    ("text", "fitting"),
    [
        ("genres = 'Comedy'", [0, 4]),
        ("genres != 'Comedy'", [1]),
        ("genres <> 'Comedy'", [1]),
        ("not genres = 'Comedy'", [1, 2, 3]),
        ("genres in ('Comedy', 'Drama')", [0, 1, 4]),
        ("genres not in ('Drama')", [4]),
        ("genres = 'comedy'", []),
        ("genres >= 'D'", [0, 1]),
        ("genres is missing", [2, 3]),
        ("genres is not missing", [0, 1, 4]),
        ("year >= 1990", [0, 1, 3]),
        ("year < 1990.5", [0, 4]),
        ("year = 1.99e3", [0]),
        ("year between 1985 and 1995", [0, 1]),
        ("year not between 1985 and 1995", [3, 4]),
        ("year in (-1, +1980, 2000)", [3, 4]),
        ("YEAR_IS is missing or year = 1990", None),
        ("year = 1990 or year = 1991 and new = true", [0]),
        ("(year = 1990 or year = 1991) and new = true", [0]),
        ("NOT (year > 1985) AND genres IS NOT missing", [4]),
        ("not not new = false", [1, 3]),
        ("\"the title\" = 'it''s'", [2]),
        ('"the title" = \'x "y"\'', [4]),
        ("blank = 3 or blank = 'x'", []),
        ("blank < 'x' or blank between 'a' and 'b' or blank in ('x', 'y')", []),
        ("blank is missing", [0, 1, 2, 3, 4]),
        ("embedding is missing", [2, 3]),
        ("embedding is not missing", [0, 1, 4]),
        ("counts = 1", [0, 3]),
        ("counts>2and counts<2.6", [1]),
        ("  year\n=\t1990  ", [0]),
    ],
)
def test_what_a_condition_fits(text: str, fitting: list[int] | None) -> None:
    if fitting is None:
        with pytest.raises(OptionError, match="no attribute 'YEAR_IS'"):
            FILMS.fitting(text)
    else:
        assert np.flatnonzero(FILMS.fitting(text)).tolist() == fitting


@pytest.mark.parametrize(
    ("text", "told", "character"),
    [
        ("", "the end comes where (, an attribute or not is expected", 1),
        ("year", "the end comes where =, !=, <, <=, > or >=, between, in, is or not is expected", 5),
        ("year = 3 3", "'3' comes where and, or or the end is expected", 10),
        ("year ~ 3", "'~' comes where", 6),
        ("(year = 3", "the end comes where )", 10),
        ("year in ()", "')' comes where a number", 10),
        ("year is gone", "'gone' comes where missing or not", 9),
        ("year >= 1990 andgenres = 'x'", "'andgenres' comes where", 14),
        ("genres = 'abc", "this text has no closing quote", 10),
        ("'a' = 3", "\"'a'\" comes where", 1),
        ("yaer = 3", "no attribute 'yaer'; did you mean 'year'?", 1),
        ("year = 1 or yaer = 3", "no attribute 'yaer'", 13),
        ("year = 1 or embedding = '0.5'", "embedding holds vectors, which can only be compared by 'is missing'", 13),
        ("embedding not in (0.5)", "embedding holds vectors", 1),
        ("embedding between 0 and 1", "embedding holds vectors", 1),
        ("genres = 3", "genres holds texts, which need single quotes", 10),
        ("year between 1 and '2'", "year holds numbers", 20),
        ("new = 'true'", "new holds numbers", 7),
        ("__import__('os')", "'(' comes where", 11),
        ("year = 1; drop table", "';' comes where", 9),
    ],
)
def test_an_error_points_at_the_character(text: str, told: str, character: int) -> None:
    with pytest.raises(OptionError) as caught:
        FILMS.fitting(text)
    first, line, arrow = str(caught.value).split("\n")
    assert told in first
    assert first.endswith(f"(character {character})")
    assert arrow.index("^") == character + 1
    assert line.strip() == text.strip()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("(" * 5000 + "year = 1", "comes where"),
        ("not " * 2000 + "year = 1", "nested more than 100 deep"),
        ("year = 1 or " * 1000, "at most 10,000 are read"),
        ("\x00", "comes where"),
        ("year = '\ud800", "no closing quote"),
    ],
)
def test_hostile_conditions_are_refused(text: str, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        FILMS.fitting(text)


@pytest.mark.parametrize("wrong", ["$", "; drop", "]", ")"])
@pytest.mark.parametrize(
    ("sound", "expected"),
    [
        ("", "(, an attribute or not"),
        ("year >= 1990", "and, or or the end"),
        ("genres = 'Comedy'", "and, or or the end"),
        ("year is not missing", "and, or or the end"),
        ("year in (1, 2)", "and, or or the end"),
        ("year between 1 and 2", "and, or or the end"),
        ("(year = 1)", "and, or or the end"),
        ("not (year = 1 or year = 2)", "and, or or the end"),
        ("(year = 1", "), and or or"),
        ("(year in (1)", "), and or or"),
        ("year in (1, 2", ") or a comma"),
        ("year between 1", "and"),
        ("year between 1 and", "a number, a text in single quotes or true or false"),
        ("year", "=, !=, <, <=, > or >=, between, in, is or not"),
        ("year not", "between or in"),
        ("year = 1 and", "(, an attribute or not"),
    ],
)
def test_what_is_expected_is_what_may_follow(sound: str, expected: str, wrong: str) -> None:
    if wrong in expected:  # a parenthesis that may follow
        return
    with pytest.raises(OptionError) as caught:
        FILMS.fitting(f"{sound} {wrong}")
    told = str(caught.value).split("\n")[0]
    assert told.endswith(f"(character {len(sound) + 2})")
    assert f"comes where {expected} is expected" in told


@given(
    st.lists(
        st.sampled_from([*"()=<>!,'\"$; ", "year", "in", "not", "and", "or", "is", "missing", "between", "1", "'a'"])
    )
)
def test_any_text_is_read_or_refused_in_a_sentence(pieces: list[str]) -> None:
    with contextlib.suppress(OptionError):
        Condition.parse(" ".join(pieces))


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(OptionError, match="a condition is a text"):
        FILMS.fitting(3)  # type: ignore[arg-type]


def test_long_ones_are_shown_around_the_character() -> None:
    with pytest.raises(OptionError) as caught:
        FILMS.fitting("year = 1 or " * 300 + "oops")
    _, line, arrow = str(caught.value).split("\n")
    assert len(line) < 110
    assert line[arrow.index("^") - 4 :].startswith("oops")


def test_tables_without_columns_or_rows() -> None:
    with pytest.raises(OptionError, match="there are none at all"):
        Attributes(Table(), 3).fitting("year = 1")
    assert Attributes(Table({"year": np.zeros(0)}), 0).fitting("year = 1").shape == (0,)


LABELS = ["a", "b", "c"]
CELL = st.one_of(st.none(), st.lists(st.sampled_from(LABELS), max_size=3))
YEAR = st.one_of(st.just(math.nan), st.integers(0, 4).map(float))
SIGNS = {
    "=": lambda cell, wanted: cell == wanted,
    "<": lambda cell, wanted: cell < wanted,
    "<=": lambda cell, wanted: cell <= wanted,
    ">": lambda cell, wanted: cell > wanted,
    ">=": lambda cell, wanted: cell >= wanted,
}


@st.composite
def conditions(draw: st.DrawFn, depth: int = 3) -> tuple[str, Any]:
    """A text, and what it says of a row (labels, year)."""
    kind = draw(st.integers(0, 4 if depth else 1))
    if kind == 0:
        sign, label = draw(st.sampled_from(sorted(SIGNS))), draw(st.sampled_from(LABELS))
        return f"labels {sign} '{label}'", lambda row: any(SIGNS[sign](one, label) for one in row[0] or [])
    if kind == 1:
        sign, year = draw(st.sampled_from(sorted(SIGNS))), draw(st.integers(0, 4))
        return f"year {sign} {year}", lambda row: SIGNS[sign](row[1], year)
    inner, law = draw(conditions(depth=depth - 1))
    if kind == 2:
        return f"not ({inner})", lambda row: not law(row)
    other, second = draw(conditions(depth=depth - 1))
    if kind == 3:
        return f"({inner}) and ({other})", lambda row: law(row) and second(row)
    return f"({inner}) or ({other})", lambda row: law(row) or second(row)


@given(rows=st.lists(st.tuples(CELL, YEAR), max_size=12), condition=conditions())
def test_a_condition_fits_the_rows_that_it_describes(rows: list[Any], condition: tuple[str, Any]) -> None:
    text, law = condition
    table = Table({"labels": objects([row[0] for row in rows]), "year": np.array([row[1] for row in rows])})
    if not any(row[0] for row in rows) or all(math.isnan(row[1]) for row in rows):
        return  # a column of which nothing is known takes numbers and texts alike
    assert Attributes(table, len(rows)).fitting(text).tolist() == [bool(law(row)) for row in rows]
