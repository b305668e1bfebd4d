"""Updates: new items are placed by their attributes, recommended at once by every model, and saved."""

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
from tastespace.data.vocabulary import Vocabulary
from tastespace.errors import BundleError, DataError, OptionError, UnknownIdError
from tastespace.experiments.bundle_evaluation import evaluate_bundle
from tastespace.index.files import FILES
from tastespace.serving import updates
from tastespace.serving.batch import recommend_all

SETTINGS: dict[str, dict[str, Any]] = {
    "ease": {},
    "item_knn": {"neighbours": 20},
    "popularity": {},
    "spectral": {"dim": 8},
    "ials": {"dim": 8},
}
NAMES = [name for name in models.names() if name != "recent_popularity"]
EVEN, ODD = 1000, -5
NEW: dict[Any, dict[str, Any]] = {EVEN: {"kind": ["even"], "year": 1990}, ODD: {"kind": ["odd"]}}


@pytest.fixture(scope="module")
def two_kinds(board: Dataset) -> Dataset:
    n = board.interactions.n_items
    kinds = np.empty(n, dtype=object)
    kinds[:] = [["even"] if place % 2 == 0 else ["odd"] for place in range(n)]
    return Dataset("shop", board.interactions, item_table=Table({"kind": kinds, "year": np.arange(n) + 1960}))


@pytest.fixture(scope="module")
def recommenders(two_kinds: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ts.Recommender]:
    folder = tmp_path_factory.mktemp("bundles")
    found = {}
    for name in NAMES:
        fit = ts.train(
            name, whole(two_kinds), baselines=False, search=False, **SETTINGS.get(name, {"dim": 8, "epochs": 6})
        )
        found[name] = ts.Recommender.build(fit, folder / name)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_new_item_is_placed_with_similar_ones(recommenders: dict[str, ts.Recommender], name: str) -> None:
    before = recommenders[name]
    extended = before.with_items(NEW)
    assert len(before.bundle.items) == 60
    answer = extended.recommend(history=[2, 8, 14, 20], k=2, allow=[EVEN, ODD])
    assert set(answer.items) == {EVEN, ODD}
    if name != "popularity":  # the two are equally popular there
        assert answer.items == (EVEN, ODD)
    everything = extended.recommend(user=3, k=62, exclude_seen=False)
    old = before.recommend(user=3, k=60, exclude_seen=False)
    assert [item for item in everything.items if item not in NEW] == list(old.items)
    scores = dict(zip(everything.items, everything.scores, strict=True))
    assert extended.bundle.added_items is not None
    for place, item in enumerate(NEW):
        row = extended.bundle.added_items.weights[place]
        mean = sum(weight * scores[known] for known, weight in zip(row.indices, row.data, strict=True))
        assert scores[item] == pytest.approx(mean, rel=1e-3, abs=1e-3)


def check_explained(recommender: ts.Recommender, item: Any, user: Any) -> None:
    """An item's reasons are about the score that its user is told, and add up to it where they say so."""
    found = recommender.explain(item, user=user)
    everything = recommender.recommend(user=user, k=len(recommender.bundle.items), exclude_seen=False)
    assert found.score == pytest.approx(everything.scores[everything.items.index(item)], rel=1e-3, abs=1e-3)
    if found.adds_up:
        assert sum(reason.value for reason in found.reasons) == pytest.approx(found.score, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "popularity"])
def test_a_new_item_is_in_every_answer(recommenders: dict[str, ts.Recommender], name: str, tmp_path: Path) -> None:
    extended = recommenders[name].with_items(NEW)
    check_explained(extended, EVEN, user=3)
    assert sum(item % 2 == 0 for item in extended.similar_items(EVEN, k=6).items) >= 5
    assert EVEN in extended.similar_items(2, k=61).items
    session = extended.recommend(history=[EVEN], k=5)
    assert session.route == "session"
    assert EVEN not in session.items
    assert sum(item % 2 == 0 for item in session.items) >= 4
    assert extended.recommend(user=3, where="year = 1990 or kind = 'odd'", allow=[EVEN, ODD]).items
    rows = recommend_all(extended, tmp_path / "recs.jsonl", k=62, exclude_seen=False).file.read_text().splitlines()
    assert {EVEN, ODD} <= {json.loads(row)["item"] for row in rows[:62]}


@pytest.mark.parametrize("name", ["mf", "ease", "bert4rec", "two_tower", "ncf"])
def test_new_items_are_saved_and_more_can_follow(
    recommenders: dict[str, ts.Recommender], name: str, tmp_path: Path
) -> None:
    extended = recommenders[name].with_items(NEW)
    again = extended.write(tmp_path / "extended")
    assert again.bundle.n_known == 60
    asked: dict[str, Any] = {"user": 3, "k": 62, "exclude_seen": False}
    one, other = extended.recommend(**asked), again.recommend(**asked)
    assert one.items == other.items
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-5, atol=1e-6)
    more = again.with_items({7000: {"kind": ["odd"]}})
    assert len(more.bundle.items) == 63
    assert more.recommend(history=[3, 9, 15], allow=[EVEN, 7000], k=1).items == (7000,)
    twice = extended.with_items({7000: {"kind": ["odd"]}}).recommend(**asked)
    assert twice.items == more.recommend(**asked).items


@pytest.mark.parametrize("kind", ["ivf", "pq"])
def test_an_index_is_reused_while_few_items_were_added(
    recommenders: dict[str, ts.Recommender], tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("an index was built")

    recommenders["mf"].write(tmp_path / "b")
    before, figures = ts.Recommender.reindex(tmp_path / "b", kind=kind, recall=0.9)
    told = {**figures.to_json(), "format_version": 2}
    assert before.bundle.manifest["index"] == told
    with monkeypatch.context() as patch:
        patch.setattr(updates, "build_index", refused)
        copied = before.write(tmp_path / "copy")
        assert copied.bundle.manifest["index"] == told
        extended = copied.with_items(NEW)
        assert extended.item_vectors is extended.loaded.index.vectors
        again = extended.write(tmp_path / "b", force=True)
        assert again.bundle.manifest["index"] == {**told, "n_unindexed": 2}
        once_more = again.with_items({7000: {"kind": ["odd"]}}).write(tmp_path / "b", force=True)
    assert once_more.bundle.manifest["index"] == {**told, "n_unindexed": 3}
    for file in FILES[figures.kind]:  # type: ignore[index]
        assert (tmp_path / "b" / file).read_bytes() == (tmp_path / "copy" / file).read_bytes()
    assert once_more.recommend(history=[3, 9, 15], allow=[EVEN, 7000], k=1).items == (7000,)
    assert (len(once_more.loaded.index), once_more.loaded.index.n_unindexed) == (63, 3)
    many = once_more.with_items({8000: {"kind": ["odd"]}}).write(tmp_path / "b", force=True).bundle.manifest["index"]
    assert (many["kind"], many["n"], many["n_unindexed"]) == (kind, 64, 0)


def test_an_index_that_its_manifest_does_not_describe_is_refused(
    recommenders: dict[str, ts.Recommender], tmp_path: Path
) -> None:
    recommenders["mf"].write(tmp_path / "b")
    ts.Recommender.reindex(tmp_path / "b", kind="ivf")
    file = tmp_path / "b" / "manifest.json"
    manifest = json.loads(file.read_text())
    for wrong in ({"n": 59}, {"n": "60"}, {"n_unindexed": 1}, {"n_unindexed": None}):
        file.write_text(json.dumps({**manifest, "index": {**manifest["index"], **wrong}}))
        with pytest.raises(BundleError, match=r"is not the one in its manifest: build it again \(tastespace"):
            ts.Recommender.load(tmp_path / "b")


@pytest.mark.parametrize(
    ("n_unindexed", "n", "kind", "kept"),
    [
        (0, 60, "ivf", True),
        (3, 60, "ivf", True),
        (4, 60, "pq", False),
        (20_000, 10**6, "pq", True),
        (20_001, 10**6, "pq", False),
        (0, 60, "exact", False),
    ],
)
def test_unindexed_vectors_are_few_in_number_and_share(n_unindexed: int, n: int, kind: str, kept: bool) -> None:
    class Told:
        def __init__(self) -> None:
            self.n_unindexed, self.kind = n_unindexed, kind

        def __len__(self) -> int:
            return n

    assert updates.can_reuse(Told()) is kept  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("items", "error", "message"),
    [
        ({3: {}}, DataError, "item 3 is known already"),
        ({"x": {}}, DataError, "new item ids must be whole numbers, as all others are"),
        ({100: {"kindd": ["even"]}}, OptionError, "there is no attribute 'kindd'; did you mean 'kind'"),
        ({100: {"year": "old"}}, OptionError, "the attribute 'year' holds numbers, and a new item has another value"),
        ({100: {"year": 10**400}}, OptionError, "the attribute 'year' holds numbers"),
        ({100: {"year": float("inf")}}, OptionError, "the attribute 'year' of a new item is not a finite number"),
        ({100: 3}, OptionError, "new items are a mapping of ids to mappings of attributes"),
        ([100], OptionError, "new items are a mapping of ids to mappings of attributes"),
    ],
)
def test_what_cannot_be_added_is_refused(
    recommenders: dict[str, ts.Recommender], items: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        recommenders["mf"].with_items(items)


def test_items_without_attributes_cannot_be_placed(board: Dataset, tmp_path: Path) -> None:
    answers = ts.Recommender.build(ts.train("popularity", whole(board)), tmp_path / "b")
    with pytest.raises(OptionError, match="have no attributes, so nothing says where a new one belongs"):
        answers.with_items({100: {}})


def test_parts_of_other_added_items_are_not_used(
    recommenders: dict[str, ts.Recommender], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tastespace.serving import batch

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    one, other = (recommenders["mf"].with_items({999: {"kind": [kind]}}) for kind in ("even", "odd"))
    with monkeypatch.context() as patch:
        patch.setattr(batch, "_join", stopped)
        with pytest.raises(KeyboardInterrupt):
            recommend_all(one, tmp_path / "recs.csv", k=61, exclude_seen=False)
    again = recommend_all(other, tmp_path / "recs.csv", k=61, exclude_seen=False).file.read_text()
    assert again == recommend_all(other, tmp_path / "fresh.csv", k=61, exclude_seen=False).file.read_text()


def test_new_items_are_among_the_popular_ones_too(recommenders: dict[str, ts.Recommender]) -> None:
    extended = recommenders["mf"].with_items(NEW)
    everything = extended.recommend(k=62)
    assert everything.route == "popular"
    assert everything.items[-1] not in NEW


def test_forged_added_items_are_refused(recommenders: dict[str, ts.Recommender], tmp_path: Path) -> None:
    recommenders["mf"].with_items(NEW).write(tmp_path / "b")
    file = tmp_path / "b" / "added_items.safetensors"
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    held = load_file(file)
    for spoilt in (
        {**held, "items": held["items"] + 60},
        {**held, "weights": held["weights"] * np.nan},
        {**held, "offsets": np.arange(70) * 0},
        {**held, "offsets": held["offsets"].astype(np.float64)},
        {**held, "weights": held["weights"].reshape(1, -1)},
        {**held, "weights": held["weights"] * 2},
        {"items": held["items"]},
    ):
        save_file(spoilt, file)
        manifest["files"]["added_items.safetensors"] = hashlib.sha256(file.read_bytes()).hexdigest()
        (tmp_path / "b" / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(BundleError, match="is damaged"):
            ts.Recommender.load(tmp_path / "b")


@pytest.mark.parametrize("late", [[50, 10], []])
def test_an_extended_vocabulary_keeps_its_indices(late: list[int]) -> None:
    extended = Vocabulary.of([20, 30, 40]).extended(late)
    assert extended.ids.tolist() == [20, 30, 40, *late]
    assert extended.index_of([30, *late]).tolist() == [1, *range(3, 3 + len(late))]
    texts = Vocabulary.of(["b", "c"]).extended(["a"])
    assert texts.index_of(["a", "c"]).tolist() == [2, 1]
    for wrong in ([20], ["x"], [7, 7], [True]):
        with pytest.raises(DataError):
            Vocabulary.of([20, 30]).extended(wrong)
    with pytest.raises(DataError, match="must be distinct"):
        Vocabulary(np.array([1, 2, 1]), "item", appended=1)


@pytest.mark.parametrize("name", ["mf", "spectral"])
def test_unseen_users_get_the_same_of_the_known_items(recommenders: dict[str, ts.Recommender], name: str) -> None:
    asked: dict[str, Any] = {"history": [2, 8, 14], "k": 20, "allow": list(range(60))}
    before, after = recommenders[name].recommend(**asked), recommenders[name].with_items(NEW).recommend(**asked)
    assert before.items == after.items
    np.testing.assert_allclose(before.scores, after.scores, rtol=1e-5)


@pytest.mark.parametrize("name", ["mf", "ease"])
def test_a_new_item_is_as_popular_as_similar_ones(
    recommenders: dict[str, ts.Recommender], name: str, tmp_path: Path
) -> None:
    extended = recommenders[name].with_items(NEW)
    assert extended.loaded.popularity[60] > 0
    one = extended.recommend(k=62)
    assert dict(zip(one.items, one.scores, strict=True))[EVEN] == pytest.approx(extended.loaded.popularity[60])


@pytest.fixture(scope="module")
def cold_recommenders(two_kinds: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ts.Recommender]:
    """Trained without a tenth of the items, which are in the catalogue all the same."""
    folder, split = tmp_path_factory.mktemp("cold"), ts.split(two_kinds, "new-items")
    found = {}
    for name in NAMES:
        fit = ts.train(name, split, baselines=False, search=False, **SETTINGS.get(name, {"dim": 8, "epochs": 6}))
        found[name] = ts.Recommender.build(fit, folder / name)
    return found


@pytest.mark.parametrize("name", [name for name in NAMES if name != "popularity"])
def test_items_of_the_catalogue_without_interactions_are_placed_by_attributes(
    cold_recommenders: dict[str, ts.Recommender], two_kinds: Dataset, name: str
) -> None:
    recommender = cold_recommenders[name]
    held_out = np.setdiff1d(np.arange(60), recommender.bundle.histories.items)
    assert len(held_out) == 6
    even = set(held_out[held_out % 2 == 0].tolist())
    assert 0 < len(even) < 6
    best = recommender.recommend(
        history=[i for i in (2, 8, 14, 20) if i not in even], allow=held_out.tolist(), k=len(even)
    )
    assert set(best.items) == even
    item = best.items[0]
    check_explained(recommender, item, user=2)
    assert sum(other % 2 == 0 for other in recommender.similar_items(item, k=6).items) >= 5
    report = evaluate_bundle(recommender, ts.split(two_kinds, "new-items"))
    assert report.mean("recall@10") > 0.8


def test_without_attributes_items_without_interactions_are_not_compared(board: Dataset, tmp_path: Path) -> None:
    recommender = ts.Recommender.build(ts.train("spectral", ts.split(board, "new-items"), dim=8), tmp_path / "b")
    item = int(np.setdiff1d(np.arange(60), recommender.bundle.histories.items)[0])
    with pytest.raises(UnknownIdError, match=f"nobody in the training data liked item {item}"):
        recommender.similar_items(item)


def test_an_index_is_built_with_the_bundle_and_again(recommender: ts.Recommender, copy: Path) -> None:
    told = recommender.bundle.manifest["index"]
    assert (told["kind"], told["n"], told["recall"], told["format_version"]) == ("exact", 60, 1.0, 2)
    lists, figures = ts.Recommender.reindex(copy, kind="ivf", recall=1.0, k=5)
    assert (figures.kind, figures.n, figures.k, figures.recall) == ("ivf", 60, 5, 1.0)
    assert lists.bundle.manifest["index"]["kind"] == "ivf"
    assert {"lists.bin", "lists.safetensors"} <= {file.name for file in copy.iterdir()}
    for question in ({"user": 3}, {"history": [recommender.bundle.items.ids[4]]}, {"user": 5, "where": "year > 1900"}):
        one, other = lists.recommend(**question), recommender.recommend(**question)  # type: ignore[arg-type]
        assert one.items == other.items
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-5)
    again, _ = ts.Recommender.reindex(copy)
    assert again.bundle.manifest["index"]["kind"] == "exact"
    assert not (copy / "lists.bin").exists()


def test_models_without_vectors_have_no_index(board: Dataset, tmp_path: Path) -> None:
    answers = ts.Recommender.build(ts.train("ease", whole(board)), tmp_path / "b")
    assert "index" not in answers.bundle.manifest
    with pytest.raises(OptionError, match="the model ease has no vectors to index; it scores every item"):
        ts.Recommender.reindex(tmp_path / "b")
