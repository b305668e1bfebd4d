"""Report page: comparisons as one HTML file, for whoever must choose a model or trust the choice."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tastespace._atomic import write_text
from tastespace.errors import OptionError


def check_can_write_page() -> None:
    """Raise `OptionError` where what draws the pictures is not installed."""
    try:
        import matplotlib.backends.backend_svg  # noqa: F401
    except ImportError as error:
        raise OptionError(
            f"a page needs matplotlib, which cannot be loaded ({error}); install it with "
            "pip install 'tastespace[plots]'"
        ) from None


def write_page(path: str | Path, figures: Sequence[Mapping[str, Any]]) -> None:
    """Write comparisons (`Comparison.to_json()` each, docs/formats.md) as one page, whole or not at all.

    The page holds its style and pictures, no script, and asks for nothing from the network. The same figures give the
    same bytes. Figures that are absent or not finite stand as a dash. Raises `OptionError` without matplotlib.
    """
    check_can_write_page()
    from tastespace.experiments.report.page import render

    write_text(Path(path), render(figures))
