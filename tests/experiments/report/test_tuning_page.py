"""The page of a tuning: one sound HTML file that trusts no text and says what the trials say."""

from dataclasses import replace
from pathlib import Path

import pytest

from tastespace.evaluation.significance import Estimate
from tastespace.experiments.report import write_tuning_page
from tastespace.experiments.report.tuning_page import render
from tastespace.experiments.tuning.result import Trial, Tuning
from tastespace.training.search_space import Domain
from tests.experiments.report.examples import Parsed

DOMAINS = {
    "dim": Domain("dim", 16, 512, whole=True, scale="powers of two"),
    "rate": Domain("rate", 1e-4, 1e-1, scale="logarithmic"),
    "decay": Domain("decay", 0, 1),
    "loss": Domain("loss", choices=("softmax", "bpr")),
}


def tuning(**changes: object) -> Tuning:
    trials = (
        Trial(0, {}, "finished", 0.30, 2.0, 9, is_default=True),
        Trial(1, {"dim": 512, "rate": 0.01, "decay": 0.3, "loss": "bpr"}, "finished", 0.2512, 0.0, 9),
        Trial(2, {"dim": 16, "rate": 0.0001, "decay": 0.0, "loss": "softmax"}, "stopped early", 0.1, 0.5, 4),
        Trial(3, {"dim": 64, "rate": 0.1, "decay": 1.0, "loss": "softmax"}, "failed", None, 0.1, error="<b>no & no"),
        Trial(4, {"dim": 128, "rate": 0.02, "loss": "softmax"}, "finished", 0.3456, 120.0, 9),
    )
    made = Tuning(
        "mf", "films", "article", "ndcg@10", 940, {"epochs": 9}, DOMAINS,
        {"dim": 64, "rate": "auto", "decay": 0.0, "loss": "softmax"},
        trials, Estimate(0.0456, 0.01, 0.08), {"dim": 0.75, "rate": 0.25},
    )  # fmt: skip
    return replace(made, **changes)


ONE = {"searched": {"dim": DOMAINS["dim"]}, "importance": {}, "difference": None}  # few plots


def test_the_page_is_sound_and_says_what_came_out() -> None:
    page = render(tuning())
    parsed = Parsed(page)
    ids = parsed.values("id")
    assert len(ids) == len(set(ids))
    assert "script" not in parsed.tags
    text = " ".join("".join(parsed.words).split())
    assert "0.3456 in trial 4 of 5, defaults 0.3000, difference +0.0456 [+0.0100, +0.0800] over 940 users" in text
    assert "75%" in text
    assert "dim=128 rate=0.02 loss=softmax" in text
    assert "<b>no & no" in text
    assert parsed.tags.count("svg") == 3 + len(DOMAINS)


def test_the_same_tuning_is_written_as_the_same_bytes(tmp_path: Path) -> None:
    write_tuning_page(tmp_path / "made" / "t.html", tuning(**ONE))
    assert (tmp_path / "made" / "t.html").read_text() == render(tuning(**ONE))


def test_no_text_is_trusted() -> None:
    hostile = ["<script>alert(1)</script>", "\x00\x1b\u202e", "$\\frac{a}{b}$", "w" * 5000, ""]
    trials = [Trial(n, {"dim": 16, "loss": text}, "failed", None, 0.1, error=text) for n, text in enumerate(hostile)]
    for text in hostile[:2]:
        page = render(tuning(data=text, protocol=text, fixed={"device": text}, trials=tuple(trials), **ONE))
        assert "script" not in Parsed(page).tags
        assert not {"\x1b", "\x00", "\u202e"} & set(page)


def test_nothing_finished_is_a_page_too() -> None:
    for trials in ((), tuning().trials[2:4]):
        page = render(tuning(trials=trials, **ONE))
        Parsed(page)
        assert f"none of {len(trials)} trials has finished" in page


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_single_trial_is_drawn(place: int) -> None:
    assert Parsed(render(tuning(trials=(tuning().trials[place],), **ONE))).tags.count("svg") == 3
