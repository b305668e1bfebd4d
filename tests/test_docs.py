"""The README and the pages of docs/ that are written by scripts are up to date."""

from pathlib import Path

import pytest

import model_table
import reference_pages

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("file", ["models.md", "cli.md"])
def test_generated_pages_are_up_to_date(file: str) -> None:
    assert (ROOT / "docs" / file).read_text() == reference_pages.pages()[file], "run benchmarks/reference_pages.py"


def test_the_readme_s_tables_are_up_to_date() -> None:
    assert (ROOT / "README.md").read_text() == model_table.readme(), "run benchmarks/model_table.py"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "properdocs.yml").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert f": {page.name}" in navigation
