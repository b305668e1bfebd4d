"""The page of a comparison: complete, self-contained, and safe whatever the figures are called."""

import copy
import importlib.util
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import tastespace as ts
from tastespace.data.synthetic import checkerboard
from tastespace.errors import OptionError
from tastespace.report_page import check_can_write_page, page, write_page

VOID = {"meta", "br", "link", "use", "path", "rect", "stop"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    on = ts.split(checkerboard(), "article")
    settings = {"mf": {"dim": 8, "epochs": 3}}
    return ts.compare(["mf", "spectral"], on, seeds=2, settings=settings).to_json()


class Reader(HTMLParser):
    """Open elements, ids, links and text of a page; a tag closed in the wrong place fails."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("href", "xlink:href", "src")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def changed(document: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(document), **changes}


def test_the_page_holds_every_figure_and_needs_nothing_else(document: dict[str, Any]) -> None:
    other = changed(document, protocol="leave-last-out")
    text = page([document, other])
    read = Reader(text)
    said = " ".join(read.text)
    for row in document["rows"]:
        assert row["model"] in said
        assert f"{row['ndcg@10']:.4f}" in said
    assert document["protocol_line"] in said
    assert read.tags.count("h2") == 3  # all protocols, and each
    assert read.tags.count("svg") == 6
    assert "script" not in read.tags
    assert all(link.startswith("#") for link in read.links)
    assert {link[1:] for link in read.links} <= set(read.ids)
    assert len(read.ids) == len(set(read.ids))
    assert not re.search(r"(?:url\(|@import|https?:)(?!//www\.w3\.org)[^#]", text.replace("url(#", "(#"))
    assert "default-src 'none'" in text
    assert len(text) < 1_000_000


def test_equal_figures_give_equal_bytes(document: dict[str, Any]) -> None:
    assert page([document]) == page([copy.deepcopy(document)])


HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "a\x00b\x1b[31m\u202e",
    "😀 Zürich & Söhne",
    "$\\frac{1}{0}$",
    "]]>-->",
    "m" * 5000,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text_whatever_they_hold(document: dict[str, Any], name: str) -> None:
    bad = changed(document, data=name, protocol=name, protocol_line=name, skipped={name: name})
    for test in bad["tests"]:
        test["a"] = name
    for row in bad["rows"][:2]:
        row["model"] = name + row["model"]
        row["groups"] = {name: next(iter(row["groups"].values()))}
        row["health"] = row["health"] and {**row["health"], "warnings": [name]}
    text = page([bad, bad])
    read = Reader(text)
    assert not {"script", "img"} & set(read.tags)
    assert not [key for key, _ in read.attributes if key.startswith("on")]
    assert "\x00" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_one_model_without_anything_more_makes_a_page(document: dict[str, Any]) -> None:
    (row,) = copy.deepcopy(document["rows"][:1])
    row.update(health=None, history=[], metric_name=None, groups={}, train_seconds=0.0, by_seed={}, seeds=[0])
    read = Reader(page([changed(document, rows=[row], tests=[])]))
    assert read.tags.count("svg") == 1


def test_no_model_at_all_makes_a_page(document: dict[str, Any]) -> None:
    bare = changed(document, rows=[], tests=[], skipped={"ease": "it would need 9 TiB"})
    assert "it would need 9 TiB" in " ".join(Reader(page([bare])).text)


def test_a_figure_that_is_missing_or_not_finite_is_a_dash(document: dict[str, Any]) -> None:
    bad = changed(document)
    for row in bad["rows"]:
        row["gini@10"] = float("nan")
        row["health"] = row["health"] and {
            **row["health"],
            "items": {**row["health"]["items"], "norm_popularity": None},
        }
        del row["map@10"]
    assert "–" in " ".join(Reader(page([bad])).text)


def test_a_collapsed_model_is_named(document: dict[str, Any]) -> None:
    bad = changed(document)
    row = next(row for row in bad["rows"] if row["health"] is not None)
    row["health"]["items"]["collapsed"] = True
    row["health"]["warnings"] = ["the item vectors have collapsed"]
    said = " ".join(Reader(page([bad])).text)
    assert "the item vectors have collapsed" in said
    assert "collapsed" in said.split("Embedding health")[1]


@pytest.mark.parametrize(("p", "words"), [(0.0001, "is significant (p < 0.001"), (0.4, "may be chance (p 0.400")])
def test_the_verdict_says_whether_the_lead_counts(document: dict[str, Any], p: float, words: str) -> None:
    told = changed(document)
    for test in told["tests"]:
        test["p_corrected"] = p
    assert words in " ".join(Reader(page([told])).text)


def test_the_page_is_written_whole(document: dict[str, Any], tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", [document])
    assert (tmp_path / "page.html").read_text() == page([document])


def test_without_matplotlib_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"pip install 'tastespace\[plots\]'"):
        check_can_write_page()
    with pytest.raises(OptionError, match="needs matplotlib"):
        write_page(tmp_path / "page.html", [])
    assert list(tmp_path.iterdir()) == []
