"""The README and docs/: generated parts are up to date, and nothing public is left out."""

import re
import subprocess
import sys
from pathlib import Path

import generate
import pytest
import typer

import tastespace as ts
from example_log import write_log
from tastespace.cli import app
from tastespace.data.protocols import names as protocols

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = {page.name: page.read_text() for page in (ROOT / "docs").glob("*.md")}


@pytest.mark.parametrize("file", ["docs/models.md", "docs/cli.md", "README.md"])
def test_generated_parts_are_up_to_date(file: str) -> None:
    assert (ROOT / file).read_text() == generate.pages()[ROOT / file], "run docs/generate.py"


def test_the_example_of_the_readme_gives_its_output(tmp_path: Path) -> None:
    code, output = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", README, flags=re.DOTALL).groups()
    write_log(tmp_path / "events.csv")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == output


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "properdocs.yml").read_text()
    for page in PAGES:
        assert f": {page}" in navigation


def test_the_guide_shows_every_command() -> None:
    guide = PAGES["index.md"] + PAGES["your-own-log.md"]
    for command in typer.main.get_command(app).commands:
        assert f"tastespace {command}" in guide


def test_every_public_name_is_explained() -> None:
    for name in ts.__all__:
        assert f"| `{name}" in PAGES["python.md"]


def test_every_protocol_is_explained() -> None:
    for page in ("concepts.md", "evaluation.md"):
        for protocol in protocols():
            assert f"`{protocol}`" in PAGES[page]
