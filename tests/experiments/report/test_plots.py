"""Plots: styles, labels and descriptions."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tastespace.experiments.report.figures import Figures
from tastespace.experiments.report.plots import ModelStyles, spread_out
from tests.experiments.report.examples import Parsed, default_page, document, row


def test_every_picture_has_a_caption_a_title_and_a_description() -> None:
    parsed = Parsed(default_page())
    pictures = [attributes for tag, attributes in parsed.elements if tag == "svg"]
    assert len(pictures) == parsed.tags.count("figure") == parsed.tags.count("figcaption") == 6
    assert all(picture["role"] == "img" for picture in pictures)
    assert parsed.tags.count("desc") == 6
    assert "alpha: 0.3000 after 3.0 s; beta: 0.2500 after 2.5 s; popularity: 0.1000 after 0 s" in parsed.text


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
