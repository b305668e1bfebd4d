"""Models are found by their file names."""

import pytest

from tastespace import models
from tastespace.errors import OptionError


def test_a_misspelt_model_names_the_nearest() -> None:
    with pytest.raises(OptionError, match=r"no model 'easy'; did you mean 'ease'"):
        models.get("easy")


def test_every_model_file_holds_its_model() -> None:
    for name in models.names():
        assert models.get(name).__module__ == f"tastespace.models.{name}"
