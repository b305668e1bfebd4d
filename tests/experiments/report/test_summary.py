"""Sentences about the winner, its lead and its cost."""

import pytest

from tastespace.experiments.report.page import render
from tests.experiments.report.examples import Parsed, document, row, space


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


def test_some_models_are_significantly_worse_and_some_are_not() -> None:
    told = document()
    told["tests"][0]["p_corrected"] = 0.05
    text = Parsed(render([told])).text
    assert (
        "its lead over beta (+0.0500, p = 0.050) is not significant. It is significantly ahead of the other 1." in text
    )


def test_a_collapsed_winner_has_a_warning() -> None:
    sick = {"items": space(collapsed=True), "users": None, "warnings": []}
    text = Parsed(render([document(row("alpha", 0.3, health=sick), row("beta", 0.2))])).text
    assert "to rank all test users. But its vectors have collapsed: do not use it as it is." in text


def test_among_models_that_are_equal_none_is_best() -> None:
    equal = document(row("a", 0.2), row("b", 0.2))
    text = Parsed(render([equal, equal])).text
    assert "best: " not in text
    assert "All 2 models have the same NDCG@10, 0.2000: there is none to prefer." in text
    assert "article: all models are equal" in text
