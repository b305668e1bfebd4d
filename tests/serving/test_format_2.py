"""Bundles of format 2: the committed ones answer as when they were written, and no name in them has changed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tastespace as ts
from tastespace.serving import format_2
from tests.serving.format_2 import NAMES, write

BUNDLES = Path(__file__).parents[1] / "bundles"
MF, TOWERS = NAMES


def keys(entry: Any, path: str = "") -> set[str]:
    """Every key in nested mappings and lists, with the keys that lead to it."""
    if isinstance(entry, list):
        return set().union(*(keys(value, path) for value in entry))
    if not isinstance(entry, dict):
        return {path}
    return set().union(*(keys(value, f"{path}/{key}") for key, value in entry.items()))


@pytest.mark.parametrize(
    ("name", "request_", "items", "scores"),
    [
        (MF, {"user": 1}, (13, 7, 11), (2.3282001, 1.5147297, 1.0798604)),
        (MF, {"history": [2, 100]}, (8, 0, 6), (2.4666247, 2.3415661, 1.9208567)),
        (MF, {"user": 4, "allow": [100]}, (100,), (1.4374297,)),
        (MF, {"features": {"age": 21}}, (15, 12, 3), (3.3333335, 3.3333333, 2.3333335)),
        (MF, {}, (8, 0, 2), (8.0, 7.0, 7.0)),
        (TOWERS, {"user": 1}, (7, 11, 13), (2.7577355, 2.1110928, 2.0192778)),
        (TOWERS, {"history": [2, 100]}, (0, 8, 4), (1.6353158, 1.4365245, 1.0866451)),
        (TOWERS, {"user": 4, "allow": [100]}, (100,), (1.8265373,)),
    ],
)
def test_the_committed_bundles_answer_as_when_they_were_written(
    name: str, request_: dict[str, Any], items: tuple[int, ...], scores: tuple[float, ...]
) -> None:
    answer = ts.Recommender.load(BUNDLES / name).recommend(**request_, k=3)
    assert answer.items == items
    np.testing.assert_allclose(answer.scores, scores, rtol=1e-5)


@pytest.mark.parametrize(("name", "model"), NAMES.items())
def test_no_name_in_the_committed_bundles_has_changed_since(name: str, model: str, tmp_path: Path) -> None:
    """A renamed or dropped entry, option or tensor needs a new format version, and a translation of this one.

    An added tensor needs the value that changes nothing, see `format_2`.
    """
    fresh, committed = write(model, tmp_path / "b"), ts.Recommender.load(BUNDLES / name)
    written = json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert written["format_version"] == 2
    assert keys(json.loads((BUNDLES / name / "manifest.json").read_text())) <= keys(written)
    added = fresh.bundle.weights.keys() - committed.bundle.weights.keys()
    assert committed.bundle.weights.keys() <= fresh.bundle.weights.keys()
    assert all(format_2.is_added_factor(key) for key in added)
    assert committed.bundle.vectors.keys() == fresh.bundle.vectors.keys()
    assert committed.loaded.model.config == fresh.loaded.model.config
