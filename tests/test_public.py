"""The public names: sorted, real, documented, and cheap to import."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tastespace as ts

ROOT = Path(__file__).parent.parent


def test_public_names_are_sorted_and_real() -> None:
    assert sorted(ts.__all__) == ts.__all__
    assert all(getattr(ts, name) is not None for name in ts.__all__)
    assert dir(ts) == ts.__all__


def test_public_names_are_those_of_the_documentation() -> None:
    rows = re.findall(r"^\| `(\w+)", (ROOT / "docs" / "python.md").read_text(), flags=re.MULTILINE)
    assert rows == ts.__all__


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'recomend'"):
        _ = ts.recomend


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, tastespace; assert not {'torch', 'numpy', 'duckdb', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_version_is_that_of_the_package() -> None:
    assert f'version = "{ts.__version__}"' in (ROOT / "pyproject.toml").read_text()
    assert f"## {ts.__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize(
    "module",
    [
        "_messages",
        "data.vocabulary",
        "data.signals",
        "data.columns",
        "data.movielens",
        "evaluation.health",
        "evaluation.metrics",
        "evaluation.significance",
        "experiments.report.markup",
        "experiments.report.plots",
    ],
)
def test_examples_in_docstrings_run(module: str) -> None:
    import doctest

    found = doctest.testmod(importlib.import_module(f"tastespace.{module}"))
    assert found.attempted > 0
    assert found.failed == 0


def test_ci_calls_the_readme_s_test_command() -> None:
    assert "make test" in (ROOT / "README.md").read_text()
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_the_readme_says_of_every_model_what_it_says_of_itself() -> None:
    from tastespace import models

    text = (ROOT / "README.md").read_text()
    for name in models.names():
        cls = models.get(name)
        assert f"| `{name}` | {cls.about} | {cls.pick} |" in text, f"run docs/generate.py ({name})"
