"""Loading: config, weights, features and index of a bundle must fit each other."""

import json
from pathlib import Path

import pytest

import tastespace as ts
from tastespace.data.dataset import Dataset
from tastespace.data.split import whole
from tastespace.errors import BundleError
from tastespace.serving import bundle as bundles
from tests.serving.forging import forge


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("ncf", {"dim": 10**9}),
        ("ncf", {"dim": 10**400}),
        ("bert4rec", {"dim": 10**9}),
        ("bert4rec", {"length": 10**12}),
        ("sasrec", {"blocks": 10**9}),
        ("two_tower", {"hidden": 10**9}),
        ("ials", {"unobserved_weight": 1e308}),
        ("ials", {"sweps": 3}),
    ],
)
def test_a_config_that_is_not_its_weights_is_refused_before_anything_is_built(
    board: Dataset, tmp_path: Path, name: str, changes: dict[str, object]
) -> None:
    short = {} if name == "ials" else {"epochs": 1, "refit": False}
    fit = ts.train(name, whole(board), baselines=False, search=False, dim=8, **short)
    ts.Recommender.build(fit, tmp_path / "b")
    config = json.loads((tmp_path / "b" / "manifest.json").read_text())["config"]
    forge(tmp_path / "b", config={**config, **changes})
    with pytest.raises(BundleError, match=f"of this {name} bundle (do not fit its config|is not valid)"):
        _ = ts.Recommender.load(tmp_path / "b").loaded.model


def test_weights_of_another_shape_are_refused(copy: Path) -> None:
    forge(copy, config={"dim": 16})
    answers = ts.Recommender.load(copy)
    with pytest.raises(BundleError, match="weights of this mf bundle do not fit its config"):
        _ = answers.loaded.model


@pytest.mark.parametrize("attributes", [3, {"users": 3}, {"users": [{}]}])
def test_forged_attributes_are_refused(copy: Path, attributes: object) -> None:
    forge(copy, attributes=attributes)
    with pytest.raises(BundleError, match="the attributes in the manifest of this bundle are not valid"):
        ts.Recommender.load(copy).recommend(features={"age": 3})


@pytest.mark.parametrize("features", [3, {}, {"users": []}, {"users": [{}], "items": []}, {"users": 1, "items": 2}])
def test_forged_features_are_refused(described: ts.Recommender, tmp_path: Path, features: object) -> None:
    path = tmp_path / "forged"
    bundles.write_bundle(path, described.bundle)
    forge(path, features=features)
    with pytest.raises(BundleError, match="do not fit"):
        ts.Recommender.load(path).recommend(history=[1])


@pytest.mark.parametrize(
    "told",
    [
        {"format_version": 1, "kind": "hnsw"},
        {"format_version": 1, "kind": "ivf"},
        {"format_version": 3, "kind": "ivf"},
        {},
        [1],
        "ivf",
    ],
)
def test_an_index_of_another_version_says_what_to_do(copy: Path, told: object) -> None:
    forge(copy, index=told)
    with pytest.raises(BundleError, match=r"this tastespace reads version 2: build it again \(tastespace index"):
        ts.Recommender.load(copy).recommend(user=3)
    ts.Recommender.reindex(copy)
    assert ts.Recommender.load(copy).recommend(user=3).route == "user"


def test_a_bundle_from_before_indexes_answers(copy: Path, recommender: ts.Recommender) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["index"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert ts.Recommender.load(copy).recommend(user=3) == recommender.recommend(user=3)


def test_a_damaged_list_is_noticed(copy: Path) -> None:
    ts.Recommender.reindex(copy, kind="ivf")
    data = bytearray((copy / "lists.bin").read_bytes())
    data[len(data) // 2] ^= 1
    (copy / "lists.bin").write_bytes(bytes(data))
    with pytest.raises(BundleError, match=r"lists\.bin is damaged: its checksum"):
        ts.Recommender.load(copy)


def test_an_index_is_loaded_before_its_bundle_is_replaced(copy: Path) -> None:
    lists, _ = ts.Recommender.reindex(copy, kind="ivf")
    before = lists.recommend(user=3)
    ts.Recommender.reindex(copy, kind="exact")
    assert lists.recommend(user=3) == before


def test_lists_without_a_checksum_are_refused(copy: Path) -> None:
    ts.Recommender.reindex(copy, kind="ivf")
    files = json.loads((copy / "manifest.json").read_text())["files"]
    forge(copy, files={name: digest for name, digest in files.items() if not name.startswith("lists")})
    with pytest.raises(BundleError, match="damaged: its checksum"):
        ts.Recommender.load(copy)
