"""Exporting a trained model: health and neighbourhoods go into the manifest."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tastespace as ts
from tastespace.data.dataset import Dataset
from tastespace.data.split import whole
from tastespace.evaluation.health import Health, measure


def test_a_collapsed_model_is_built_with_a_warning(
    shop: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fit = ts.train("spectral", whole(shop), dim=8)
    assert fit.health is not None
    healthy = ts.Recommender.build(fit, tmp_path / "healthy")
    assert healthy.bundle.manifest["health"] == fit.health.to_json()
    assert caplog.text == ""
    collapsed = replace(fit, health=Health(measure(np.ones((60, 8), np.float32), np.ones(60, int), np.arange(60))))
    ts.Recommender.build(collapsed, tmp_path / "collapsed")
    assert "embedding health of spectral: the item vectors have collapsed" in caplog.text


def test_a_bundle_from_before_health_was_measured_still_answers(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["health"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert len(ts.Recommender.load(copy).recommend(user=5, k=3).items) == 3


def test_a_replaced_bundle_s_neighbourhoods_are_compared(shop: Dataset, tmp_path: Path) -> None:
    fits = [ts.train("mf", whole(shop), dim=8, epochs=3, seed=seed) for seed in (0, 1)]
    place = tmp_path / "m"

    def overlap(fit: ts.Fit) -> float | None:
        return ts.Recommender.build(fit, place, force=True).bundle.manifest["neighbourhood_overlap"]

    assert overlap(fits[0]) is None
    assert overlap(fits[0]) == 1.0
    other = overlap(fits[1])
    assert other is not None
    assert 0 < other < 1
    assert overlap(ts.train("ease", whole(shop))) is None  # no vectors
    assert overlap(fits[0]) is None
    (place / "users.parquet").write_text("damaged")
    assert overlap(fits[0]) is None
