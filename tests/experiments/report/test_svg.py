"""Drawing: names are shown as they are, settings of the user change nothing."""

import sys

import pytest

from tastespace.experiments.report.page import render
from tests.experiments.report.examples import Parsed, default_page, document, row


def test_names_are_shown_as_they_are() -> None:
    text = Parsed(render([document(row("日本語 $x$", 0.3), row("<b>", 0.2))])).text
    assert text.count("日本語 $x$") > 5
    assert "<b>" in text
    assert "q000" not in text


def test_drawing_needs_no_pyplot_and_no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl

    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    expected = default_page()
    with mpl.rc_context({"svg.fonttype": "path", "text.usetex": True, "axes.grid": True, "svg.hashsalt": "other"}):
        before = {key: mpl.rcParams[key] for key in mpl.rcParams if key != "backend"}
        assert render([document()]) == expected
        assert {key: mpl.rcParams[key] for key in before} == before
