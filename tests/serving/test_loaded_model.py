"""LoadedModel: scores of one item, of pairs and of all items agree; known users need no torch."""

from pathlib import Path

import numpy as np
import pytest

import tastespace as ts
from tastespace.data.dataset import Dataset, Table
from tastespace.data.queries import Queries
from tastespace.data.split import whole
from tastespace.serving import bundle as bundles
from tastespace.serving.rules_yaml import parse_rules


@pytest.fixture(scope="module", params=["mf", "ease"])
def extended(
    request: pytest.FixtureRequest, board: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> ts.Recommender:
    """A recommender with one added item, which is similar to even ones."""
    kinds = np.array(["even", "odd"], dtype=object)[np.arange(board.interactions.n_items) % 2]
    data = Dataset("kinds", board.interactions, Table({"kind": kinds}))
    settings = {"dim": 8, "epochs": 2} if request.param == "mf" else {}
    path = tmp_path_factory.mktemp("kinds") / "bundle"
    fit = ts.train(request.param, whole(data), **settings)
    return ts.Recommender.build(fit, path).with_items({1000: {"kind": "even"}})


def test_known_users_are_answered_without_torch(recommender: ts.Recommender, tmp_path: Path) -> None:
    import subprocess
    import sys

    path = tmp_path / "b"
    bundles.write_bundle(path, recommender.bundle)
    code = (
        "import sys; from tastespace import Recommender; r = Recommender.load(sys.argv[1]); "
        "r.recommend(user=1); r.recommend(history=[r.bundle.items.ids[0]]); r.similar_users(1); "
        "r.similar_items(r.bundle.items.ids[0]); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


@pytest.mark.parametrize("item", [0, 7, 60])
def test_one_item_is_scored_as_among_all(extended: ts.Recommender, item: int) -> None:
    loaded = extended.loaded
    query = Queries(np.array([-1]), extended.bundle.histories.take(np.array([3])))
    vector = loaded.query_vector(query)
    scores = loaded.scores(query)[0] if vector is None else extended.item_vectors @ vector
    assert scores.shape == (61,)
    assert loaded.score(query, item) == pytest.approx(float(scores[item]), rel=1e-5)
    assert loaded.score_pairs(query, item)[0] == pytest.approx(float(scores[item]), rel=1e-3)


def test_an_added_item_is_scored_by_known_ones(extended: ts.Recommender) -> None:
    items, weights = extended.loaded.known_items_for(60)
    assert set((items % 2).tolist()) == {0}
    assert weights.sum() == pytest.approx(1)
    assert extended.loaded.known_items_for(5)[0].tolist() == [5]
    popularity = extended.loaded.popularity
    assert popularity[60] == pytest.approx(float(popularity[items] @ weights), rel=1e-5)
    assert popularity[:60].tolist() == extended.loaded.likes[:60].tolist()


def test_added_items_in_a_history_are_replaced_by_known_ones(extended: ts.Recommender) -> None:
    query = extended.recommend(history=[1000], k=1)
    assert query.route == "session"
    history = extended.bundle.histories.take(np.array([0]))
    assert extended.loaded.without_added_items(Queries(np.array([-1]), history)).history is history


def test_rules_are_looked_up_once(extended: ts.Recommender) -> None:
    rules = parse_rules("demote: [{where: \"kind = 'odd'\"}]")
    assert extended.loaded.resolved_rules(rules) is extended.loaded.resolved_rules(rules)
