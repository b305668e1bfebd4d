"""Bundles on disk: what is written is read again; damage is noticed; nothing is replaced by accident."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import tastespace as ts
from tastespace.errors import BundleError
from tastespace.serving import bundle as bundles
from tests.serving.forging import forge


def test_a_bundle_survives_the_disk(recommender: ts.Recommender, copy: Path) -> None:
    again = bundles.read_bundle(copy)
    first = recommender.bundle
    assert again.users == first.users
    assert again.items == first.items
    assert np.array_equal(again.histories.items, first.histories.items)
    assert all(np.array_equal(again.vectors[name], first.vectors[name]) for name in first.vectors)
    assert ts.Recommender(again).recommend(user=3) == recommender.recommend(user=3)


@pytest.mark.parametrize("name", ["model[1]", "what?", "all*", "it's", "user=3"])
def test_a_folder_with_any_name_holds_a_bundle(recommender: ts.Recommender, tmp_path: Path, name: str) -> None:
    bundles.write_bundle(tmp_path / name, recommender.bundle)
    again = bundles.read_bundle(tmp_path / name)
    assert again.items == recommender.bundle.items
    assert list(again.item_table.columns) == list(recommender.bundle.item_table.columns)


FILES = ["users.parquet", "items.parquet", "histories.safetensors", "vectors.safetensors", "weights.safetensors"]


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_is_noticed(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(bytes(data))
    with pytest.raises(BundleError, match=f"{name} is damaged: its checksum"):
        bundles.read_bundle(copy)


def test_numbers_that_are_not_finite_are_refused(copy: Path, recommender: ts.Recommender, tmp_path: Path) -> None:
    """On the way out; and on the way in, even where whoever spoilt them made the checksum fit."""
    spoilt = {**recommender.bundle.vectors, "items": np.full_like(recommender.bundle.vectors["items"], np.nan)}
    message = "items holds numbers that are not finite, so it cannot recommend anything"
    with pytest.raises(BundleError, match=message):
        bundles.write_bundle(tmp_path / "never", replace(recommender.bundle, vectors=spoilt))
    assert not (tmp_path / "never").exists()
    save_file(spoilt, copy / "vectors.safetensors")
    digest = hashlib.sha256((copy / "vectors.safetensors").read_bytes()).hexdigest()
    forge(copy, files={**json.loads((copy / "manifest.json").read_text())["files"], "vectors.safetensors": digest})
    with pytest.raises(BundleError, match=message):
        bundles.read_bundle(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(BundleError, match=f"not a whole bundle: {name} is missing"):
        bundles.read_bundle(copy)


def test_an_existing_bundle_is_replaced_only_by_force(recommender: ts.Recommender, copy: Path) -> None:
    before = (copy / "manifest.json").read_bytes()
    with pytest.raises(BundleError, match="holds a model already; replace it with --force"):
        bundles.write_bundle(copy, recommender.bundle)
    assert (copy / "manifest.json").read_bytes() == before
    bundles.write_bundle(copy, recommender.bundle, force=True)
    bundles.read_bundle(copy)


def test_what_is_no_bundle_is_never_replaced(recommender: ts.Recommender, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("keep me")
    with pytest.raises(BundleError, match="exists and is not a bundle"):
        bundles.write_bundle(tmp_path / "letters", recommender.bundle, force=True)
    assert (tmp_path / "letters" / "dear.txt").read_text() == "keep me"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_write_leaves_the_old_bundle(
    recommender: ts.Recommender, copy: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(bundles, "save_file", fail)
    with pytest.raises((KeyboardInterrupt, BundleError)) as caught:
        bundles.write_bundle(copy, recommender.bundle, force=True)
    if isinstance(error, OSError):
        assert "No space left on device" in str(caught.value)
    monkeypatch.undo()
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]
    assert ts.Recommender.load(copy).recommend(user=3) == recommender.recommend(user=3)


def test_a_path_that_cannot_be_written_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="cannot write in"):
        bundles.check_can_write(tmp_path / "file" / "model", force=False)
    bundles.check_can_write(tmp_path / "new" / "model", force=False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
