"""Writing the page: same bytes, clear errors."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tastespace.errors import OptionError
from tastespace.experiments.report import check_can_write_page, write_page
from tests.experiments.report.examples import default_page, document


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    file = tmp_path / "new" / "page.html"
    write_page(file, [document()])
    assert file.read_bytes() == default_page().encode()
    assert [path.name for path in file.parent.iterdir()] == ["page.html"]


@pytest.mark.parametrize("ask", [check_can_write_page, lambda: write_page("never.html", [])])
def test_without_matplotlib_the_error_says_how_to_install_it(
    ask: Callable[[], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_svg", None)
    with pytest.raises(OptionError, match=r"a page needs matplotlib.*pip install 'tastespace\[plots\]'"):
        ask()
    assert list(tmp_path.iterdir()) == []
