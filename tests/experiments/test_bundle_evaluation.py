"""Evaluation of a saved bundle: its fit's figures, refused on rows that it was trained on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tastespace as ts
from tastespace.data.dataset import Dataset
from tastespace.data.split import ready_split, split, whole
from tastespace.errors import LeakError, OptionError
from tastespace.experiments.bundle_evaluation import evaluate_bundle


@pytest.fixture(scope="module")
def shop(board: Dataset) -> Dataset:
    return replace(board, name="shop")


@pytest.fixture(scope="module")
def recommender(shop: Dataset, tmp_path_factory: pytest.TempPathFactory) -> ts.Recommender:
    return ts.Recommender.build(ts.train("popularity", whole(shop)), tmp_path_factory.mktemp("shop") / "bundle")


def test_evaluation_on_training_rows_is_refused(shop: Dataset, recommender: ts.Recommender, tmp_path: Path) -> None:
    on = split(shop, "article")
    with pytest.raises(LeakError, match=f"trained on {len(on.test)} of the {len(on.test)} rows that article"):
        evaluate_bundle(recommender, on)
    fit = ts.train("mf", on, dim=8, epochs=5)
    honest = ts.Recommender.build(fit, tmp_path / "b")
    assert evaluate_bundle(honest, on).mean("ndcg@10") == pytest.approx(ts.evaluate(fit).mean("ndcg@10"), abs=1e-6)
    assert evaluate_bundle(honest, split(shop, "article-rated")).mean("recall@10") > 0


def test_evaluation_on_users_whose_rows_were_trained_on_is_refused(
    shop: Dataset, recommender: ts.Recommender, tmp_path: Path
) -> None:
    on = split(shop, "new-users")
    with pytest.raises(LeakError, match=f"trained on {len(on.test)} of the {len(on.test)} rows that new-users"):
        evaluate_bundle(recommender, on)
    knows_them = ready_split("shop", on.observed, on.test, shop)
    told = ts.Recommender.build(ts.train("popularity", knows_them), tmp_path / "told")
    with pytest.raises(LeakError, match="on rows of 8 of the users whom new-users holds out; train one"):
        evaluate_bundle(told, on)


@pytest.mark.parametrize("protocol", ["new-users", "new-items"])
def test_a_bundle_of_held_out_ids_evaluates_like_its_fit(shop: Dataset, tmp_path: Path, protocol: str) -> None:
    fit = ts.train("mf", split(shop, protocol), dim=8, epochs=5)
    honest = ts.Recommender.build(fit, tmp_path / "b")
    expected = ts.evaluate(fit)
    found = evaluate_bundle(honest, fit.split)
    assert found.users.tolist() == expected.users.tolist()
    np.testing.assert_allclose(found.per_user["ndcg@10"], expected.per_user["ndcg@10"], atol=1e-6)
    trained = set(honest.bundle.histories.pairs(len(honest.bundle.items)).tolist())
    assert trained == set(fit.split.train.pairs().tolist())


def test_evaluation_on_other_ids_is_refused(recommender: ts.Recommender, ring: Dataset) -> None:
    with pytest.raises(OptionError, match="made from shop with 80 users and 60 items, not from ring-walk"):
        evaluate_bundle(recommender, split(ring, "leave-last-out"))
