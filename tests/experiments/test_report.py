"""The report page: one sound HTML file that asks for nothing, trusts no text, and says what the figures say."""

import copy
import itertools
import math
import random
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from tastespace.errors import OptionError
from tastespace.experiments.report import check_can_write_page, markup, write_page
from tastespace.experiments.report.figures import Figures
from tastespace.experiments.report.page import render
from tastespace.experiments.report.plots import ModelStyles, spread_out

VOID = {"meta", "br", "wbr", "link", "img", "input", "hr", "base"}
HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "</title></style></svg></details><h1>",
    "&amp;&lt;&#60;",
    "\x00\x1b[31m\r\n\x07",
    "\u202egnitset\u2066",
    "\ud800 alone",
    "日本語 ß ψ 🎬",
    "$\\frac{a}{b}$ $",
    "w" * 5000,
    "",
    " ",
    "]]>",
    "http://example.org/x.js",
]


def space(**more: Any) -> dict[str, Any]:
    return {
        "rows": 60,
        "used_rows": 58,
        "sampled_rows": 58,
        "dim": 16,
        "effective_rank": 11.25,
        "effective_rank_share": 0.7,
        "spread": 0.91,
        "dead_rows": 2,
        "norm_popularity": 0.34,
        "collapsed": False,
        **more,
    }


def row(model: str, quality: float, **more: Any) -> dict[str, Any]:
    figures: dict[str, Any] = {"model": model}
    for place, metric in enumerate(("recall", "ndcg", "hit", "mrr", "map", "precision")):
        value = quality + 0.01 * (place - 1)
        figures[f"{metric}@10"], figures[f"{metric}@10_ci"] = value, [value - 0.02, value + 0.02]
    return {
        **figures,
        "coverage@10": quality / 2,
        "novelty@10": 2.5 + quality,
        "popularity@10": 200 * quality,
        "gini@10": 0.9 - quality,
        "groups": {
            "users: least active third": {
                "users": 20,
                "known positives up to": 5,
                "recall@10": 0.2,
                "ndcg@10": quality,
            },
            "users: most active third": {"users": 20, "known positives up to": 50, "recall@10": 0.1, "ndcg@10": 0.2},
            "items: tail": {"items": 40, "relevant": 30, "found@10": quality / 3},
        },
        "train_seconds": 10 * quality,
        "evaluate_seconds": 0.02,
        "epochs": 3,
        "parameters": 12345,
        "seeds": [0, 1],
        "by_seed": {"ndcg@10": [quality - 0.0031, quality + 0.0031], "recall@10": [0.1, 0.2]},
        "metric_name": "recall@10",
        "history": [{"epoch": n, "loss": 3.0 / n, "metric": quality * n / 3} for n in (1, 2, 3)],
        "health": {"items": space(), "users": space(), "warnings": []},
        "config": {"dim": 16},
        "options": {"epochs": 3, "seed": 1, "device": "cpu"},
        **more,
    }


def closed_form(model: str, quality: float, **more: Any) -> dict[str, Any]:
    nothing = {"epochs": 0, "parameters": 0, "seeds": [0], "by_seed": {}, "metric_name": None, "history": []}
    return row(model, quality, **nothing, health=None, **more)


def document(*rows: dict[str, Any], p: float = 0.0004, **more: Any) -> dict[str, Any]:
    rows = rows or (row("alpha", 0.3), row("beta", 0.25), closed_form("popularity", 0.1, train_seconds=0.0))
    names = [one["model"] for one in rows]
    return {
        "data": "films",
        "protocol": "article",
        "k": 10,
        "seeds": 2,
        "users": 58,
        "items": 60,
        "protocol_line": "films (58 users, 60 items, 900 rows), protocol article: a random fifth is test, seed 42",
        "references": ["popularity"],
        "rows": list(rows),
        "tests": [
            {"a": a, "b": b, "metric": "ndcg@10", "difference": 0.05 * (m - n), "p": p / 2, "p_corrected": p}
            for n, a in enumerate(names)
            for m, b in enumerate(names)
            if n < m
        ],
        "skipped": {"ease": "12 GB are needed, but 8 are free"},
        **more,
    }


@cache
def default_page() -> str:
    """The page of `document()`, rendered once."""
    return render([document()])


class Parsed(HTMLParser):
    """A page as its elements and its text; raises where an element is not closed where it should be."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.outside: list[str] = []  # elements that are no part of a picture
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute of <{tag}> twice"
        self.elements.append((tag, dict(attrs)))
        self.words.append("" if tag in {"bdi", "wbr", "strong", "span", "code", "a"} else " ")
        if "svg" not in self.open and tag != "wbr":
            self.outside.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert "svg" in self.open, f"<{tag}/> outside of a picture"
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def tags(self) -> list[str]:
        return [tag for tag, _ in self.elements if tag != "wbr"]

    @property
    def own_ids(self) -> set[str]:
        """Those that are no part of what matplotlib drew, which names things by digests."""
        return {one for one in self.values("id") if not re.search(r"-[mp][0-9a-f]{10}$", one)}

    @property
    def text(self) -> str:
        return re.sub(r"[\s\u00a0]+", " ", "".join(self.words))

    def values(self, attribute: str) -> list[str]:
        return [str(attributes[attribute]) for _, attributes in self.elements if attribute in attributes]


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


def test_every_picture_has_a_caption_a_title_and_a_description() -> None:
    parsed = Parsed(default_page())
    pictures = [attributes for tag, attributes in parsed.elements if tag == "svg"]
    assert len(pictures) == parsed.tags.count("figure") == parsed.tags.count("figcaption") == 6
    assert all(picture["role"] == "img" for picture in pictures)
    assert parsed.tags.count("desc") == 6
    assert "alpha: 0.3000 after 3.0 s; beta: 0.2500 after 2.5 s; popularity: 0.1000 after 0 s" in parsed.text


def test_the_page_asks_for_nothing_and_runs_nothing() -> None:
    page = default_page()
    parsed = Parsed(page)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form", "image"} & set(parsed.tags)
    assert not [name for _, attributes in parsed.elements for name in attributes if name.startswith("on")]
    assert not parsed.values("src")
    assert all(link.startswith("#") for link in parsed.values("href"))
    assert not re.search(r"https?:|//|@import|@font-face|data:(?!$|\")|url\((?!#)", page)


@pytest.mark.parametrize("hostile", HOSTILE)
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


@given(st.text())
def test_shown_text_is_escaped_and_hides_nothing(told: str) -> None:
    shown = markup.text(told)
    assert not set("<>\"'\n\r\t\x00\x1b\u202e") & set(shown)
    shown.encode()
    assert len(markup.visible(told)) <= 60 * 10


def test_a_value_that_a_template_lacks_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="'data' is undefined"):
        markup.render("page.html", {"sections": [], "overview": None})


def test_names_are_shown_as_they_are() -> None:
    text = Parsed(render([document(row("日本語 $x$", 0.3), row("<b>", 0.2))])).text
    assert text.count("日本語 $x$") > 5
    assert "<b>" in text
    assert "q000" not in text


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    files = [tmp_path / "a.html", tmp_path / "new" / "b.html"]
    for file in files:
        write_page(file, [document()])
    assert files[0].read_bytes() == files[1].read_bytes()
    assert [path.name for path in files[1].parent.iterdir()] == ["b.html"]


def test_drawing_needs_no_pyplot_and_no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl

    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    expected = default_page()
    with mpl.rc_context({"svg.fonttype": "path", "text.usetex": True, "axes.grid": True, "svg.hashsalt": "other"}):
        before = {key: mpl.rcParams[key] for key in mpl.rcParams if key != "backend"}
        assert render([document()]) == expected
        assert {key: mpl.rcParams[key] for key in before} == before


def test_a_page_of_ten_models_stays_small() -> None:
    long = [{"epoch": n, "loss": 1 / n, "metric": 1 - 1 / n} for n in range(1, 101)]
    rows = [row(f"model_{n}", 0.3 - n / 100, history=long) for n in range(10)]
    assert len(render([document(*rows)]).encode()) < 400_000


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (
            0.0004,
            "alpha has the highest NDCG@10, 0.3000, significantly ahead of every other model "
            "(+0.0500, p < 0.001, over beta)",
        ),
        (0.2, "but its lead over beta (+0.0500, p = 0.200), popularity (+0.1000, p = 0.200) is not significant."),
    ],
)
def test_the_verdict_names_the_winner_its_lead_and_its_cost(p: float, expected: str) -> None:
    text = Parsed(render([document(p=p)])).text
    assert expected in text
    assert "It takes 3.0 s to train and 0.02 s to rank all test users." in text
    assert ("popularity trains fastest: 0 s." in text) == (p > 0.05)


def test_a_lead_is_told_from_the_winner_whichever_way_the_pair_was_tested() -> None:
    told = document()
    for test in told["tests"]:
        test["a"], test["b"], test["difference"] = test["b"], test["a"], -test["difference"]
    assert [margin.difference for margin in Figures(told).margins] == pytest.approx([0.05, 0.1])


def test_some_rivals_beaten_and_some_not() -> None:
    told = document()
    told["tests"][0]["p_corrected"] = 0.05
    text = Parsed(render([told])).text
    assert (
        "its lead over beta (+0.0500, p = 0.050) is not significant. It is significantly ahead of the other 1." in text
    )


def test_a_winner_that_has_collapsed_is_not_praised() -> None:
    sick = {"items": space(collapsed=True), "users": None, "warnings": []}
    text = Parsed(render([document(row("alpha", 0.3, health=sick), row("beta", 0.2))])).text
    assert "to rank all test users. But its vectors have collapsed: do not use it as it is." in text


def test_a_model_keeps_its_colour_whoever_wins() -> None:
    first, second = document(row("a", 0.3), row("b", 0.2)), document(row("a", 0.1), row("b", 0.2))
    found = [
        {one.name: ModelStyles(figures.requested).point(one) for one in figures.rows}
        for figures in map(Figures, (first, second))
    ]
    assert found[0] == found[1]
    assert found[0]["a"] != found[0]["b"]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0, 1))
def test_names_at_the_side_are_a_step_apart_in_the_order_of_their_points(heights: list[float], share: float) -> None:
    step = share / len(heights)
    found = spread_out(sorted(heights, reverse=True), step)
    assert all(above - below >= step - 1e-9 for above, below in itertools.pairwise(found))
    assert -1e-9 <= found[-1] <= found[0] <= 1 + 1e-9


def cells_of(page: str, model: str, table: str) -> list[str]:
    body = page[page.index(f'<table role="table" aria-labelledby="c1-{table}"') :]
    line = next(line for line in body.splitlines() if f"<bdi>{model}</bdi>" in line and line.startswith("<tr "))
    return re.findall(r"<td.*?</td>", line)


def test_the_table_has_intervals_and_marks_the_best_in_words() -> None:
    page = default_page()
    best, second = cells_of(page, "alpha", "results"), cells_of(page, "beta", "results")
    assert "best: </span>0.3000" in best[0]
    assert "0.2800 to 0.3200" in best[0]
    assert "seeds 0.2969 to 0.3031" in best[0]
    assert "best" not in second[0]
    costs = cells_of(page, "popularity", "costs")
    assert "best: </span>0</td>" in costs[0]
    assert "closed form" in costs[2]
    assert "12,345" in cells_of(page, "alpha", "costs")[2]
    labels = ["train s ↓", "eval s ↓", "parameters", "coverage ↑", "mean popularity ↓", "Gini ↓", "novelty ↑, bits"]
    assert [re.findall('data-label="([^"]+)"', cell) for cell in costs] == [
        [label] for label in [*labels, "effective rank"]
    ]
    assert "11.2 of 16" in cells_of(page, "alpha", "costs")[-1]
    assert page.index("<bdi>alpha</bdi>") < page.index("<bdi>beta</bdi>") < page.index("<bdi>popularity</bdi>")


def test_rows_stand_by_quality_whatever_order_they_came_in() -> None:
    told = document(row("low", 0.1), row("none", 0.5, **{"ndcg@10": None}), row("high", 0.4))
    assert [one.name for one in Figures(told).rows] == ["high", "low", "none"]


def test_among_models_that_are_equal_none_is_best() -> None:
    equal = document(row("a", 0.2), row("b", 0.2))
    text = Parsed(render([equal, equal])).text
    assert "best: " not in text
    assert "All 2 models have the same NDCG@10, 0.2000: there is none to prefer." in text
    assert "article: all models are equal" in text


@pytest.mark.parametrize("warnings", [[], ["the item vectors have collapsed: they span 1.1 of 16 dimensions"]])
def test_a_collapsed_model_is_named_in_words(warnings: list[str]) -> None:
    sick = {"items": space(collapsed=True, effective_rank=1.1), "users": None, "warnings": warnings}
    text = Parsed(render([document(row("alpha", 0.3), row("beta", 0.2, health=sick))])).text
    assert "Collapsed: do not use beta: the item vectors have collapsed" in text
    assert "do not use" not in Parsed(default_page()).text


def test_other_warnings_and_skipped_models_are_told() -> None:
    sick = {"items": space(), "users": None, "warnings": ["7 of 60 item vectors are dead"]}
    text = Parsed(render([document(row("alpha", 0.3, health=sick))])).text
    assert "Warnings alpha: 7 of 60 item vectors are dead" in text
    assert "Skipped ease: 12 GB are needed, but 8 are free" in text
    assert "11.2 of 16" in text


def test_the_overview_joins_several_protocols_only() -> None:
    other = document(row("beta", 0.4), row("gamma", 0.3), protocol="leave-last-out", p=0.5)
    parsed = Parsed(render([document(), other]))
    assert "article: alpha, significantly ahead of all others" in parsed.text
    assert "leave-last-out: beta, not significantly ahead of gamma" in parsed.text
    assert parsed.values("href")[:2] == ["#c1", "#c2"]
    assert "Overview" not in Parsed(default_page()).text


def test_how_to_repeat_it_is_told_with_the_first_seed() -> None:
    told = document(row("al pha", 0.3, seeds=[7, 8], options={"seed": 8, "epochs": 3}), closed_form("popularity", 0.1))
    text = Parsed(render([told])).text
    command = (
        "tastespace compare --data films --protocol article --models 'al pha' --seeds 2 --k 10 --set 'al pha.seed=7'"
    )
    assert command in text
    page = render([told])
    python = Parsed(
        page[page.index("import tastespace as ts") : page.index("</code>", page.index("import tastespace"))]
    )
    seen: dict[str, Any] = {}
    code = "".join(python.words).replace("import tastespace as ts", "")

    class Package:
        @staticmethod
        def open_data(name: str) -> str:
            return name

        @staticmethod
        def split(data: str, protocol: str) -> tuple[str, str]:
            return data, protocol

        @staticmethod
        def compare(names: list[str], split: object, **more: Any) -> None:
            seen.update(more, names=names, split=split)

    exec(code, {"ts": Package})  # noqa: S102
    assert seen["split"] == ("films", "article")
    assert (seen["names"], seen["seeds"], seen["k"]) == (["al pha"], 2, 10)
    assert seen["settings"]["al pha"] == {"dim": 16, "seed": 7, "epochs": 3}


def test_a_ready_split_is_repeated_with_its_two_files() -> None:
    text = Parsed(render([document(protocol="ready")])).text
    assert "tastespace compare --train FILE --test FILE --models alpha,beta" in text


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


@pytest.mark.parametrize("new", [..., None, math.nan, "text", [], {}, True, -1.5, 10**400])
def test_entries_that_are_missing_or_odd_do_not_break_the_page(new: Any) -> None:
    whole = document()
    every, draw = list(paths(whole)), random.Random(0)
    for share in (0.03, 0.1, 0.3):
        told = copy.deepcopy(whole)
        for path in draw.sample(every, int(share * len(every))):
            change(told, path, new)
        Parsed(render([told]))
    told = copy.deepcopy(whole)
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


@pytest.mark.parametrize("ask", [check_can_write_page, lambda: write_page("never.html", [])])
def test_without_matplotlib_the_error_says_how_to_install_it(
    ask: Callable[[], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_svg", None)
    with pytest.raises(OptionError, match=r"a page needs matplotlib.*pip install 'tastespace\[plots\]'"):
        ask()
    assert list(tmp_path.iterdir()) == []
