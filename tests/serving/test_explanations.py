"""Reasons: they add up to the score where a score is a sum, and name what a score rests on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tastespace as ts
from tastespace import models
from tastespace.data.dataset import Dataset, Table
from tastespace.data.interactions import Interactions
from tastespace.data.split import whole
from tastespace.errors import OptionError, UnknownIdError

SETTINGS: dict[str, dict[str, Any]] = {
    "ease": {},
    "item_knn": {"neighbours": 20},
    "popularity": {},
    "recent_popularity": {},
    "spectral": {"dim": 8},
    "ials": {"dim": 8, "disliked_weight": 0.5},
}
SUMS = ["ease", "item_knn", "spectral", "ials", "mf", "lightgcn", "two_tower", "popularity", "recent_popularity"]


@pytest.fixture(scope="module")
def shop(board: Dataset) -> Dataset:
    """The checkerboard with dislikes, times, and ages."""
    log = board.interactions
    rng = np.random.default_rng(0)
    weight = np.where(rng.random(len(log)) < 0.1, -1.0, log.weight)
    weight[log.user == 7] = -1.0  # likes nothing
    time = rng.permutation(len(log)).astype(np.float64)
    rows = Interactions.of(log.user, log.item, log.users, log.items, weight=weight, time=time)
    ages = Table({"age": np.where(np.arange(log.n_users) % 3 == 0, np.nan, np.arange(log.n_users) + 10.0)})
    return Dataset("shop", rows, user_table=ages)


@pytest.fixture(scope="module")
def recommenders(shop: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ts.Recommender]:
    """A recommender of every model."""
    folder = tmp_path_factory.mktemp("bundles")
    found = {}
    for name in models.names():
        settings = SETTINGS.get(name, {"dim": 8, "epochs": 3, "refit": False})
        found[name] = ts.Recommender.build(
            ts.train(name, whole(shop), baselines=False, search=False, **settings), folder / name
        )
    return found


@pytest.mark.parametrize("name", models.names())
@pytest.mark.parametrize("asked", [{"user": 3}, {"history": [2, 8, 8, 40]}, {"user": 3, "history": [5]}])
def test_reasons_add_up_or_say_what_is_lost(
    recommenders: dict[str, ts.Recommender], name: str, asked: dict[str, Any]
) -> None:
    recommender = recommenders[name]
    answer = recommender.recommend(**asked, k=2, reasons=True)
    for item, score, reasons in zip(answer.items, answer.scores, answer.reasons, strict=True):
        found = recommender.explain(item, **asked)
        assert found.reasons == reasons
        assert (found.item, found.route) == (item, answer.route)
        assert found.score == pytest.approx(score, rel=1e-4, abs=1e-4)
        sizes = [abs(reason.value) for reason in found.reasons]
        assert sizes == sorted(sizes, reverse=True)
        assert found.adds_up == (name in SUMS)
        if found.adds_up:
            assert sum(reason.value for reason in found.reasons) == pytest.approx(score, rel=1e-3, abs=1e-3)
        if "user" not in asked:
            assert "user" not in [reason.kind for reason in found.reasons]
        known = asked.get("history", [])
        if "user" in asked:
            row = recommender.bundle.histories.take(np.array([3]))
            known = [*known, *recommender.bundle.items.ids[row.items].tolist()]
        named = [reason.name for reason in found.reasons if reason.kind == "history"]
        assert len(named) == len(set(named))
        assert set(named) <= set(known)


@pytest.mark.parametrize("name", ["bert4rec", "sasrec", "ncf"])
def test_what_is_lost_is_measured_by_leaving_an_item_out(recommenders: dict[str, ts.Recommender], name: str) -> None:
    recommender = recommenders[name]
    history = [2, 8, 40]
    found = recommender.explain(20, history=history)
    whole_score = recommender.explain(20, history=history).score
    for reason in found.reasons:
        rest = [item for item in history if item != reason.name]
        assert whole_score - recommender.explain(20, history=rest).score == pytest.approx(reason.value, abs=1e-4)


def test_an_item_of_the_same_colour_speaks_for_another(recommenders: dict[str, ts.Recommender]) -> None:
    """On the checkerboard even items go with even ones."""
    for name in ("ease", "item_knn", "mf", "lightgcn", "ials", "spectral"):
        found = recommenders[name].explain(20, history=[2, 7])
        of_items = {reason.name: reason.value for reason in found.reasons if reason.kind == "history"}
        assert of_items.get(2, 0) > of_items.get(7, 0), name


def test_attributes_are_reasons_too(recommenders: dict[str, ts.Recommender]) -> None:
    towers = recommenders["two_tower"]
    found = towers.explain(20, history=[2], features={"age": 33})
    named = [reason.name for reason in found.reasons if reason.kind == "feature"]
    assert named
    assert all(name.startswith("age ") for name in named)
    assert sum(reason.value for reason in found.reasons) == pytest.approx(found.score, abs=1e-3)


@pytest.mark.parametrize("name", models.names())
def test_popular_is_said_where_it_is_the_truth(
    recommenders: dict[str, ts.Recommender], shop: Dataset, name: str
) -> None:
    recommender = recommenders[name]
    for asked in ({}, {"user": 7}):
        found = recommender.explain(20, **asked)
        likes = int(((shop.interactions.item == 20) & (shop.interactions.weight > 0)).sum())
        assert found.route == "popular"
        assert [(one.kind, one.name, one.value) for one in found.reasons] == [("popular", None, likes)]


def test_reasons_come_with_an_answer_only_where_asked_for(recommenders: dict[str, ts.Recommender]) -> None:
    assert recommenders["mf"].recommend(user=3).reasons == ()
    alike = recommenders["mf"].recommend(features={"age": 20}, k=2, reasons=True)
    assert [[one.kind for one in reasons] for reasons in alike.reasons] == [["similar_users"], ["similar_users"]]


def test_questions_without_an_answer_are_refused(recommenders: dict[str, ts.Recommender]) -> None:
    recommender = recommenders["mf"]
    with pytest.raises(UnknownIdError, match="no item 999"):
        recommender.explain(999, user=3)
    with pytest.raises(OptionError, match="history is 'x', but a list of item ids is expected"):
        recommender.explain(2, history="x")


def test_two_tables_are_explained_without_torch(recommenders: dict[str, ts.Recommender], tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from tastespace import Recommender; r = Recommender.load(sys.argv[1]); "
        "r.explain(20, user=3); r.explain(20, history=[2]); assert 'torch' not in sys.modules"
    )
    folder = recommenders["mf"].bundle.folder
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)
