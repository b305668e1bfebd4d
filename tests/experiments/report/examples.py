"""Documents to render, and a parser that checks a page."""

import re
from functools import cache
from html.parser import HTMLParser
from typing import Any

from tastespace.experiments.report.page import render

VOID = {"meta", "br", "wbr", "link", "img", "input", "hr", "base"}


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


def cells_of(page: str, model: str, table: str) -> list[str]:
    body = page[page.index(f'<table role="table" aria-labelledby="c1-{table}"') :]
    line = next(line for line in body.splitlines() if f"<bdi>{model}</bdi>" in line and line.startswith("<tr "))
    return re.findall(r"<td.*?</td>", line)
