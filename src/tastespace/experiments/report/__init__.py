"""Report pages: comparisons as one HTML file, to choose a model by, and a tuning as another."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tastespace._atomic import write_text
from tastespace.errors import OptionError

if TYPE_CHECKING:
    from tastespace.experiments.tuning.result import Tuning


def check_can_write_page() -> None:
    """Raise `OptionError` where matplotlib or Jinja2 is not installed."""
    try:
        import jinja2  # noqa: F401
        import matplotlib.backends.backend_svg  # noqa: F401
    except ImportError as error:
        raise OptionError(
            f"a page needs matplotlib and Jinja2, of which one cannot be loaded ({error}); install it with "
            "pip install 'tastespace[plots]'"
        ) from None


def write_page(path: str | Path, figures: Sequence[Mapping[str, Any]]) -> None:
    """Write comparisons (`Comparison.to_json()` each, docs/formats.md) as one page, whole or not at all.

    The page holds its style and plots, no script, and loads nothing from the network. The same figures give the same
    bytes. Figures that are absent or not finite are shown as a dash. Raises `OptionError` without matplotlib or Jinja2.
    """
    check_can_write_page()
    from tastespace.experiments.report.page import render

    write_text(Path(path), render(figures))


def write_tuning_page(path: str | Path, tuning: "Tuning") -> None:
    """Write a tuning as one page with plots, as `write_page` does a comparison."""
    check_can_write_page()
    from tastespace.experiments.report.tuning_page import render

    write_text(Path(path), render(tuning))
