"""Tables: intervals, best values, overview."""

import re

from tastespace.experiments.report.page import render
from tests.experiments.report.examples import Parsed, cells_of, default_page, document, row


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


def test_the_overview_joins_several_protocols_only() -> None:
    other = document(row("beta", 0.4), row("gamma", 0.3), protocol="leave-last-out", p=0.5)
    parsed = Parsed(render([document(), other]))
    assert "article: alpha, significantly ahead of all others" in parsed.text
    assert "leave-last-out: beta, not significantly ahead of gamma" in parsed.text
    assert parsed.values("href")[:2] == ["#c1", "#c2"]
    assert "Overview" not in Parsed(default_page()).text
