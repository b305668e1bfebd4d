"""Bundles of format 1: the committed one answers as it did, and every renamed option and file is still read."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import tastespace as ts
from tastespace import models
from tastespace.data.dataset import Dataset, Table
from tastespace.data.split import whole
from tastespace.models.base import Options
from tastespace.serving import format_1
from tastespace.serving.bundle import read_bundle, write_bundle

COMMITTED = Path(__file__).parents[1] / "bundles" / "format-1"


@pytest.mark.parametrize(
    ("request_", "items", "scores"),
    [
        ({"user": 1}, (13, 7, 11), (2.3281996, 1.5147296, 1.0798602)),
        ({"user": 4}, (12, 6, 14), (1.4555429, 1.0939686, 0.2380957)),
        ({"history": [2, 4]}, (6, 8, 10), (2.3628421, 1.4169301, 1.0095878)),
        ({"user": 1, "history": [3]}, (13, 7, 11), (2.4987864, 1.6739321, 1.2591867)),
        ({}, (8, 0, 2), (8.0, 7.0, 7.0)),
    ],
)
def test_the_committed_bundle_answers_as_when_it_was_written(
    request_: dict[str, Any], items: tuple[int, ...], scores: tuple[float, ...]
) -> None:
    answer = ts.Recommender.load(COMMITTED).recommend(**request_, k=3)
    assert answer.items == items
    np.testing.assert_allclose(answer.scores, scores, rtol=1e-6)


def test_the_network_of_the_committed_bundle_loads() -> None:
    recommender = ts.Recommender.load(COMMITTED)
    config = recommender.loaded.model.config
    assert (config.interaction_temperature, config.hard_negative_weight, config.shared_negatives) == (0.45, 4.0, 1024)
    items = recommender.loaded.model.item_embeddings()
    assert items is not None
    np.testing.assert_allclose(items.detach().numpy(), recommender.item_vectors[:, :-1], rtol=1e-5)


def test_the_committed_bundle_is_written_again_in_today_s_format(tmp_path: Path) -> None:
    before = read_bundle(COMMITTED)
    write_bundle(tmp_path / "b", before)
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert manifest["format_version"] == 2
    assert manifest["fold_in"]["bias_query"] == [1.0]
    assert ts.Recommender.load(tmp_path / "b").recommend(user=1) == ts.Recommender.load(COMMITTED).recommend(user=1)


def _reversed(values: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    old = {new: name for name, new in names.items()}
    return {old.get(key, key): value for key, value in values.items()}


def as_format_1(path: Path) -> None:
    """Rewrite the names in a bundle's manifest, weights and files as format 1 had them."""
    manifest = _reversed(json.loads((path / "manifest.json").read_text()), format_1._MANIFEST)
    manifest["format_version"] = 1
    manifest["config"] = _reversed(manifest["config"], format_1._CONFIG)
    manifest["options"] = _reversed(manifest["options"], format_1._OPTIONS)
    manifest["options"]["start"] = {"default": "own", "svd": "spectrum"}[manifest["options"]["start"]]
    if manifest["fold_in"] is not None:
        manifest["fold_in"] = _reversed(manifest["fold_in"], format_1._FOLD_IN)
    if manifest.get("index") is not None:
        manifest["index"] = {**_reversed(manifest["index"], format_1._INDEX), "format_version": 1}
    weights = path / "weights.safetensors"
    old_parts = {new: old for old, new in format_1._WEIGHTS.get(manifest["model"], {}).items()}
    arrays = load_file(weights)
    named = {
        old_parts.get(key) or ".".join(old_parts.get(part, part) for part in key.split(".")): key for key in arrays
    }
    save_file({old: arrays[key] for old, key in named.items()}, weights)
    manifest["files"]["weights.safetensors"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    if (path / "added_items.safetensors").exists():
        (path / "added_items.safetensors").rename(path / format_1.ADDED_ITEMS)
        manifest["files"][format_1.ADDED_ITEMS] = manifest["files"].pop("added_items.safetensors")
    (path / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("mf", {"hard_negative_weight": 3.0, "init": "svd"}),
        ("two_tower", {"user_id_dropout": 0.25}),
        ("bert4rec", {"mask_prob": 0.4, "max_length": 20, "predict": "anywhere"}),
        ("ials", {"iterations": 2, "unobserved_weight": 0.3}),
        ("ease", {"l2": 50.0}),
        ("lightgcn", {}),
        ("spectral", {"degree_exponent": 0.4}),
    ],
)
def test_a_bundle_with_the_names_of_format_1_is_the_same(
    board: Dataset, tmp_path: Path, name: str, settings: dict[str, Any]
) -> None:
    kinds = np.array(["even", "odd"], dtype=object)[np.arange(board.interactions.n_items) % 2]
    data = dataclasses.replace(board, item_table=Table({"kind": kinds}))
    sizes = {} if name == "ease" else {"dim": 8} if name in ("ials", "spectral") else {"dim": 8, "epochs": 1}
    fit = ts.train(name, whole(data), baselines=False, search=False, **sizes, **settings)
    today = ts.Recommender.build(fit, tmp_path / "b").with_items({1000: {"kind": "even"}}).write(tmp_path / "c")
    config, options = today.bundle.manifest["config"], today.bundle.manifest["options"]
    as_format_1(tmp_path / "c")
    old = ts.Recommender.load(tmp_path / "c")
    assert old.bundle.manifest["config"] == config
    assert old.bundle.manifest["options"] == options
    assert old.bundle.manifest.get("index") == today.bundle.manifest.get("index")
    assert old.recommend(history=[2, 4], k=61) == today.recommend(history=[2, 4], k=61)
    assert type(old.loaded.model.config) is type(fit.model.config)
    assert old.loaded.model.config == today.loaded.model.config


def test_every_translated_name_is_a_field_of_today_and_no_old_one_is() -> None:
    fields = {field.name for name in models.names() for field in dataclasses.fields(models.get(name).Config)}
    assert set(format_1._CONFIG.values()) <= fields
    assert not set(format_1._CONFIG) & fields
    options = {field.name for field in dataclasses.fields(Options)}
    assert set(format_1._OPTIONS.values()) <= options
    assert not set(format_1._OPTIONS) & options
    for name, weights in format_1._WEIGHTS.items():
        assert name in models.names()
        assert not set(weights) & set(weights.values())
