"""Manifests: forged ones are refused, those of every released version are read."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tastespace as ts
from tastespace.errors import BundleError
from tastespace.serving import bundle as bundles
from tests.build import examples
from tests.serving.forging import forge


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "not a tastespace bundle"),
        ({"format_version": 99}, "format version 99; this tastespace reads versions 1 and 2"),
        ({"counts": {"users": 1, "items": 1}}, "do not fit each other"),
        ({"bias_coordinates": 1000}, "do not fit each other"),
        ({"bias_coordinates": "1"}, "no valid entry 'bias_coordinates'"),
        ({"fold_in": {"blocks": "x", "bias_query": []}}, "no valid entry 'fold_in'"),
        ({"fold_in": {"blocks": [], "bias_query": [1, 1, 1]}}, "do not fit each other"),
        ({"fold_in": {"blocks": [], "bias_query": [float("nan")]}}, "no valid entry 'fold_in'"),
        ({"fold_in": {"blocks": [], "bias_query": [1], "unseen_bias_query": [1e308]}}, "no valid entry 'fold_in'"),
        ({"fold_in": {"blocks": [], "bias_query": [1], "unseen_bias_query": [1, 1]}}, "no valid entry 'fold_in'"),
        ({"fold_in": {"blocks": [], "bias_query": [1], "likelihood_step": 1}}, "no valid entry 'fold_in'"),
        ({"fold_in": {"blocks": [], "bias_query": [1], "recency": 0}}, "no valid entry 'fold_in'"),
        ({"fold_in": {"blocks": [], "bias_query": [1], "recency": 1.5}}, "no valid entry 'fold_in'"),
        ({"fold_in": {"blocks": [], "bias_query": [1], "recency": True}}, "no valid entry 'fold_in'"),
        ({"fold_in": {"blocks": [], "bias_query": [1], "recency": "1"}}, "no valid entry 'fold_in'"),
        ({"baselines": 3}, "no valid entry 'baselines'"),
        ({"baselines": {"model": "mf", "users": 1, "values": {"mf": {"ndcg@10": 2}}}}, "no valid entry 'baselines'"),
        ({"files": {}}, "is damaged: its checksum"),
        ({"model": 3}, "no valid entry 'model'"),
    ],
)
def test_a_forged_manifest_is_refused(copy: Path, changes: dict[str, object], message: str) -> None:
    forge(copy, **changes)
    with pytest.raises(BundleError, match=message):
        bundles.read_bundle(copy)


@settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_as_a_manifest_are_an_error(copy: Path, noise: bytes) -> None:
    (copy / "manifest.json").write_bytes(noise)
    with pytest.raises(BundleError):
        bundles.read_bundle(copy)


def test_no_bundle_at_all_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no bundle at .*nowhere \(no manifest.json\); train one with --out"):
        ts.Recommender.load(tmp_path / "nowhere")


def test_bundles_of_every_released_version_still_open() -> None:
    """Each folder under tests/bundles was written by the version that it is named after."""
    kept = sorted((Path(__file__).parents[1] / "bundles").iterdir())
    assert kept
    for path in kept:
        answers = ts.Recommender.load(path)
        assert answers.recommend(user=1, k=3).route == "user"
