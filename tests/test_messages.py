from hypothesis import given
from hypothesis import strategies as st

from tastespace._messages import did_you_mean, nearest, shown


def test_the_best_match_comes_first() -> None:
    assert nearest("populartiy", ["mf", "popular", "popularity"])[0] == "popularity"


def test_case_is_ignored_and_the_known_spelling_given_back() -> None:
    assert nearest("TOY STORY", ["Toy Story", "Heat"]) == ["Toy Story"]


def test_a_beginning_finds_its_continuations() -> None:
    assert nearest("leave", ["article", "leave-last-out"]) == ["leave-last-out"]


def test_no_choices_give_no_names() -> None:
    assert nearest("word", []) == []
    assert did_you_mean("word", []) == ""


@given(st.text(), st.lists(st.text(), max_size=5), st.integers(1, 4))
def test_only_known_names_and_at_most_n(word: str, choices: list[str], n: int) -> None:
    found = nearest(word, choices, n)
    assert len(found) <= n
    assert len(set(found)) == len(found)
    assert set(found) <= set(choices)


def test_a_near_name_is_proposed() -> None:
    assert did_you_mean("artcle", ["article", "ready"]) == "; did you mean 'article'?"


def test_without_a_near_name_a_few_choices_are_listed() -> None:
    assert did_you_mean("zzz", ["mf", "ease"]) == "; there are 'mf', 'ease'"


def test_twelve_choices_are_listed_and_thirteen_are_not() -> None:
    assert did_you_mean("zzz", [f"a{n}" for n in range(12)]).count("'a") == 12
    assert did_you_mean("zzz", [f"a{n}" for n in range(13)]) == ""


def test_forty_characters_are_shown_whole_and_forty_one_are_cut() -> None:
    assert shown("x" * 40) == repr("x" * 40)
    assert shown("x" * 41) == f"'{'x' * 40}…' (41 characters)"


@given(st.text())
def test_what_is_shown_is_short_and_holds_no_control_character(text: str) -> None:
    line = shown(text)
    assert len(line) < 500
    assert line.isprintable()


def test_numbers_are_shown_as_they_are() -> None:
    assert [shown(7), shown(None), shown(2.5)] == ["7", "None", "2.5"]
