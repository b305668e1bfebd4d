"""The report page: one sound HTML file that loads nothing, trusts no text, and says what the figures say."""

import itertools
import math
import random
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from tastespace.experiments.report.page import render
from tests.experiments.report.examples import Parsed, closed_form, default_page, document, row, space

HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "</title></style></svg></details><h1>",
    "\x00\x1b[31m\r\n\x07",
    "\ud800 alone",
    "$\\frac{a}{b}$ $",
    "w" * 5000,
]
MORE_HOSTILE = [
    "&amp;&lt;&#60;",
    "\u202egnitset\u2066",
    "日本語 ß ψ 🎬",
    "",
    " ",
    "]]>",
    "http://example.org/x.js",
]


def test_the_page_is_sound_html() -> None:
    page = render([document(), document(protocol="leave-last-out")])
    parsed = Parsed(page)
    assert page.startswith('<!DOCTYPE html>\n<html lang="en">')
    ids = parsed.values("id")
    assert len(ids) == len(set(ids))
    named = {one for attribute in ("aria-labelledby", "aria-describedby") for one in parsed.values(attribute)}
    jumps = {one.removeprefix("#") for one in parsed.values("href")}
    inside = set(re.findall(r"url\(#([^)]+)\)", page))
    assert named | jumps | inside <= set(ids)
    assert parsed.values("aria-labelledby")
    assert inside
    levels = [int(tag[1]) for tag in parsed.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert {"title", "main", "header", "footer"} <= set(parsed.tags)
    metas = [attributes for tag, attributes in parsed.elements if tag == "meta"]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in metas
    policy = next(meta["content"] for meta in metas if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    page = default_page()
    parsed = Parsed(page)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form", "image"} & set(parsed.tags)
    assert not [name for _, attributes in parsed.elements for name in attributes if name.startswith("on")]
    assert not parsed.values("src")
    assert all(link.startswith("#") for link in parsed.values("href"))
    assert not re.search(r"https?:|//|@import|@font-face|data:(?!$|\")|url\((?!#)", page)


@pytest.mark.parametrize(
    "hostile", [*HOSTILE, *(pytest.param(text, marks=pytest.mark.release) for text in MORE_HOSTILE)]
)
def test_no_text_of_the_figures_becomes_markup(hostile: str) -> None:
    plain, found = page_of_names("plain"), page_of_names(hostile)
    assert found.outside == plain.outside
    assert set(found.tags) == set(plain.tags)
    assert found.own_ids == plain.own_ids
    assert len("".join(found.words)) < 80_000 + len("".join(plain.words))


@cache
def page_of_names(word: str) -> Parsed:
    """A page all of whose names and texts are `word`."""
    rows = [row(f"m{word}", 0.3), row("beta", 0.2, metric_name=word)]
    rows[0]["health"]["warnings"] = [word]
    rows[0]["config"] = {word: word}
    groups = {f"users: {word}": {"ndcg@10": 0.1}}
    rows[1]["groups"] = groups
    told = document(*rows, data=word, protocol=word, protocol_line=word, skipped={word: word})
    written = render([told])
    assert written.encode()  # no half of a surrogate pair
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", written)
    return Parsed(written)


def test_a_page_of_ten_models_stays_small() -> None:
    long = [{"epoch": n, "loss": 1 / n, "metric": 1 - 1 / n} for n in range(1, 101)]
    rows = [row(f"model_{n}", 0.3 - n / 100, history=long) for n in range(10)]
    assert len(render([document(*rows)]).encode()) < 400_000


@pytest.mark.parametrize("warnings", [[], ["the item vectors have collapsed: they span 1.1 of 16 dimensions"]])
def test_a_collapsed_model_is_named_in_words(warnings: list[str]) -> None:
    sick = {"items": space(collapsed=True, effective_rank=1.1), "users": None, "warnings": warnings}
    text = Parsed(render([document(row("alpha", 0.3), row("beta", 0.2, health=sick))])).text
    assert "Collapsed: do not use beta: the item vectors have collapsed" in text
    assert "do not use" not in Parsed(default_page()).text


def test_other_warnings_and_skipped_models_are_shown() -> None:
    sick = {"items": space(), "users": None, "warnings": ["7 of 60 item vectors are dead"]}
    text = Parsed(render([document(row("alpha", 0.3, health=sick))])).text
    assert "Warnings alpha: 7 of 60 item vectors are dead" in text
    assert "Skipped ease: 12 GB are needed, but 8 are free" in text
    assert "11.2 of 16" in text


def paths(value: Any) -> Iterator[tuple[Any, ...]]:
    """Of every entry, however deep."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield (key,)
            yield from ((key, *rest) for rest in paths(value[key]))


def change(value: Any, path: tuple[Any, ...], new: Any) -> None:
    """Put something else at a path, or take it away (`...`); nothing where the path is gone."""
    try:
        for key in path[:-1]:
            value = value[key]
        if new is ...:
            del value[path[-1]]
        else:
            value[path[-1]] = new
    except (LookupError, TypeError):
        pass


ODD = [..., None, math.nan, "text", [], {}, True, -1.5, 10**400]


@pytest.mark.parametrize("new", ODD)
@pytest.mark.parametrize(
    "share", [pytest.param(0.03, marks=pytest.mark.release), 0.1, pytest.param(0.3, marks=pytest.mark.release)]
)
def test_entries_that_are_missing_or_odd_do_not_break_the_page(share: float, new: Any) -> None:
    told = document()
    every = list(paths(told))
    for path in random.Random(0).sample(every, int(share * len(every))):
        change(told, path, new)
    Parsed(render([told]))


@pytest.mark.parametrize("new", ODD)
def test_rows_of_little_but_the_quality_do_not_break_the_page(new: Any) -> None:
    told = document()
    for one in told["rows"]:
        for key in ("history", "health", "groups", "by_seed", "ndcg@10_ci", "train_seconds", "seeds", "config"):
            change(one, (key,), new)
    assert "alpha has the highest NDCG@10, 0.3000" in Parsed(render([told])).text


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (document(row("only", 0.3), tests=[]), "only has the highest NDCG@10, 0.3000; it is the only model"),
        (document(tests=[]), "its lead was not tested"),
        (document(rows=[]), "No model has an NDCG"),
        (document(closed_form("a", 0.3, train_seconds=0.0), closed_form("b", 0.2)), "No model here has embeddings"),
        (document(row("a", 0.3, history=[{"epoch": 1, "loss": 2.0, "metric": None}]), row("b", 0.2)), "a: 2 to 2"),
        ({}, "No model has an NDCG"),
    ],
)
def test_little_is_enough_for_a_page(told: dict[str, Any], expected: str) -> None:
    assert expected in Parsed(render([told])).text


def test_no_comparison_at_all_is_said() -> None:
    assert "There is no comparison to show." in Parsed(render([])).text
