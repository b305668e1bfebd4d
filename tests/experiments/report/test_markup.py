"""Untrusted text is escaped, and templates lack no value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from tastespace.experiments.report import markup


@given(st.text())
def test_shown_text_is_escaped_and_hides_nothing(told: str) -> None:
    shown = markup.text(told)
    assert not set("<>\"'\n\r\t\x00\x1b\u202e") & set(shown)
    shown.encode()
    assert len(markup.visible(told)) <= 60 * 10


def test_a_value_that_a_template_lacks_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="'data' is undefined"):
        markup.render("page.html", {"sections": [], "overview": None})
