"""Recommender and bundle: routes, exclusions, damage, replacement."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

import tastespace as ts
from tastespace.data.dataset import Dataset, Table
from tastespace.data.interactions import Interactions
from tastespace.data.split import ready_split, split, whole
from tastespace.data.vocabulary import Vocabulary
from tastespace.errors import BundleError, LeakError, OptionError, UnknownIdError
from tastespace.evaluation.health import Health, measure
from tastespace.serving import bundle as bundles
from tests.build import examples


@pytest.fixture(scope="module")
def shop(board: Dataset) -> Dataset:
    """The checkerboard with text ids, awkward ones too, and titles of which two are equal."""
    log = board.interactions
    odd = ["a b", 'quote"d', "it's", "comma,d", "😀", "x" * 10_000]
    names = sorted([*odd, *(f"item-{n:02}" for n in range(log.n_items - len(odd)))])
    items = Vocabulary(np.array(names, dtype=object), "item")
    titles = np.array([f"Title {n}" for n in range(log.n_items)], dtype=object)
    titles[1] = titles[3] = "Twin"
    titles[7] = None
    years = np.where(np.arange(log.n_items) % 2 == 0, 1990.0, np.nan)
    kinds = np.empty(log.n_items, dtype=object)
    kinds[:] = [["even"] if n % 2 == 0 else [] for n in range(log.n_items)]
    table = Table({"title": titles, "year": years, "genres": kinds, "nothing": np.full(log.n_items, None, object)})
    rows = Interactions.of(log.user, log.item, log.users, items, weight=log.weight)
    return Dataset("shop", rows, item_table=table)


@pytest.fixture(scope="module")
def recommender(shop: Dataset, tmp_path_factory: pytest.TempPathFactory) -> ts.Recommender:
    fit = ts.train("mf", whole(shop), dim=8, epochs=10)
    return ts.Recommender.build(fit, tmp_path_factory.mktemp("shop") / "bundle")


def seen(recommender: ts.Recommender, user: int) -> set[str]:
    lists = recommender.bundle.histories
    return set(recommender.bundle.items.ids[lists.take(np.array([user])).items])


def test_a_known_user_gets_unseen_items(recommender: ts.Recommender) -> None:
    answer = recommender.recommend(user=5, k=7)
    assert answer.route == "user"
    assert len(set(answer.items)) == 7
    assert not seen(recommender, 5) & set(answer.items)
    assert list(answer.scores) == sorted(answer.scores, reverse=True)


def test_newer_events_fold_in_and_are_hidden(recommender: ts.Recommender) -> None:
    newer = recommender.recommend(user=5, k=1).items[0]
    answer = recommender.recommend(user=5, history=[newer], k=5)
    assert answer.route == "folded-in"
    assert newer not in answer.items


def test_a_history_without_a_user_is_a_session(recommender: ts.Recommender) -> None:
    ids = recommender.bundle.items.ids[[0, 2, 4]].tolist()
    answer = recommender.recommend(history=ids, k=5)
    assert answer.route == "session"
    assert not set(ids) & set(answer.items)
    assert all(np.flatnonzero(recommender.bundle.items.ids == item)[0] % 2 == 0 for item in answer.items)


@pytest.mark.parametrize("asked", [{}, {"history": []}])
def test_nobody_gets_the_most_liked(recommender: ts.Recommender, shop: Dataset, asked: dict[str, list[str]]) -> None:
    likes = np.bincount(shop.interactions.item, minlength=shop.interactions.n_items)
    best = np.lexsort((np.arange(len(likes)), -likes))[:4]
    answer = recommender.recommend(k=4, **asked)
    assert answer.route == "popular"
    assert answer.items == tuple(shop.interactions.items.ids[best])
    assert answer.scores == tuple(likes[best].astype(float))


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_always_k_items_when_k_exist(recommender: ts.Recommender, data: st.DataObject) -> None:
    ids = recommender.bundle.items.ids.tolist()
    some = st.lists(st.sampled_from(ids), unique=True)
    user = data.draw(st.none() | st.integers(0, 79))
    exclude, allow = data.draw(some), data.draw(st.none() | some)
    where = data.draw(st.none() | st.sampled_from(["genres = 'even'", "year is missing", "title < 'Title 3'"]))
    exclude_seen = data.draw(st.booleans())
    k = data.draw(st.integers(1, len(ids)))
    asked = {"user": user, "exclude": exclude, "allow": allow, "where": where, "exclude_seen": exclude_seen}
    answer = recommender.recommend(k=k, **asked)
    left = set(ids if allow is None else allow) - set(exclude)
    if user is not None and exclude_seen:
        left -= seen(recommender, user)
    if where is not None:
        laws = {
            "genres = 'even'": lambda row: "even" in row["genres"],
            "year is missing": lambda row: row["year"] is None,
            "title < 'Title 3'": lambda row: row["title"] is not None and row["title"] < "Title 3",
        }
        left = {item for item in left if laws[where](recommender.describe(item))}
    assert set(answer.items) <= left
    assert len(answer.items) == min(k, len(left)) == len(set(answer.items))
    assert bool(answer.notes) == (len(answer.items) < k)
    everything = recommender.recommend(user=user, k=len(ids), exclude_seen=False)
    assert list(answer.items) == [item for item in everything.items if item in left][:k]


def test_an_answer_says_what_left_so_little(recommender: ts.Recommender) -> None:
    ids = recommender.bundle.items.ids.tolist()
    answer = recommender.recommend(allow=ids[:5], exclude=ids[2:4], where="genres = 'even'", k=4)
    assert answer.items == (ids[0], ids[4]) or answer.items == (ids[4], ids[0])
    assert answer.notes == (
        "only 2 items left: 30 of 60 items fit the condition, 3 of these are in the allow-list, 1 of these excluded",
    )
    nothing = recommender.recommend(user=5, where="year < 1900")
    assert nothing.items == ()
    assert nothing.notes == ("no items left: 0 of 60 items fit the condition",)
    met = seen(recommender, 5)
    most = recommender.recommend(user=5, k=60)
    assert most.notes == (f"only {60 - len(met)} items left: {len(met)} already seen",)


def test_a_condition_that_cannot_be_read_is_refused(recommender: ts.Recommender) -> None:
    with pytest.raises(OptionError, match="no attribute 'yaer'; did you mean 'year'"):
        recommender.recommend(where="yaer = 3")


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"user": 999}, UnknownIdError, "no user 999; nearest: 79"),
        ({"user": "5"}, UnknownIdError, "no user '5'"),
        ({"history": ["item-0"]}, UnknownIdError, "no item 'item-0'; nearest: 'item-"),
        ({"exclude": ["nope"]}, UnknownIdError, "no item 'nope'"),
        ({"k": 0}, OptionError, "k is 0, but a whole number of at least 1"),
        ({"k": True}, OptionError, "k is True"),
        ({"k": 61}, OptionError, "k is 61, but the catalogue has only 60 items"),
    ],
)
def test_impossible_questions_are_refused(
    recommender: ts.Recommender, asked: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        recommender.recommend(**asked)  # type: ignore[arg-type]


def test_similar_items_and_users_leave_themselves_out(recommender: ts.Recommender) -> None:
    ids = recommender.bundle.items.ids
    near = recommender.similar_items(ids[2], k=6)
    assert ids[2] not in near.items
    assert sum(np.flatnonzero(ids == item)[0] % 2 == 0 for item in near.items) >= 5
    users = recommender.similar_users(3, k=6)
    assert 3 not in users.items
    assert sum(user % 2 == 1 for user in users.items) >= 5
    assert all(-1.001 <= score <= 1.001 for score in near.scores + users.scores)


def test_more_neighbours_than_there_are_are_refused(recommender: ts.Recommender) -> None:
    with pytest.raises(OptionError, match="k is 81, but there are only 80 users"):
        recommender.similar_users(3, k=81)
    with pytest.raises(OptionError, match="k is 61, but the catalogue has only 60 items"):
        recommender.similar_items(recommender.bundle.items.ids[2], k=61)


def test_similarity_of_the_unknown_is_refused(board: Dataset, tmp_path: Path) -> None:
    log = board.interactions
    rows = log.take((log.item != 7) & (log.user != 9))
    answers = ts.Recommender.build(ts.train("mf", whole(Dataset("b", rows)), dim=8, epochs=2), tmp_path / "b")
    with pytest.raises(UnknownIdError, match="nobody in the training data liked item 7"):
        answers.similar_items(7)
    with pytest.raises(UnknownIdError, match="user 9 liked nothing"):
        answers.similar_users(9)
    assert answers.recommend(user=9).route == "popular"
    assert 7 not in answers.similar_items(3, k=59).items


def test_popularity_says_that_it_has_no_vectors(board: Dataset, tmp_path: Path) -> None:
    answers = ts.Recommender.build(ts.train("popularity", whole(board)), tmp_path / "b")
    with pytest.raises(OptionError, match="popularity has no vectors to compare items by"):
        answers.similar_items(3)
    with pytest.raises(OptionError, match="popularity has no vectors to compare users by"):
        answers.similar_users(3)
    with pytest.raises(OptionError, match="popularity has no items vectors"):
        _ = answers.item_vectors


def test_an_item_is_found_by_id_title_or_part_of_it(recommender: ts.Recommender) -> None:
    ids = recommender.bundle.items.ids
    assert recommender.find_item(ids[5]) == ids[5]
    assert recommender.find_item("title 12") == ids[12]
    with pytest.raises(UnknownIdError, match=r"'Twin' fits 2 items; name one by its id: "):
        recommender.find_item("Twin")
    with pytest.raises(UnknownIdError, match=r"no item titled 'Titel 12'; did you mean 'Title 12'"):
        recommender.find_item("Titel 12")


def test_a_label_is_title_and_year_or_the_id(recommender: ts.Recommender) -> None:
    ids = recommender.bundle.items.ids
    assert recommender.label(ids[2]) == "Title 2 (1990)"
    assert recommender.label(ids[5]) == "Title 5"
    assert recommender.describe(ids[2]) == {"title": "Title 2", "year": 1990, "genres": ["even"], "nothing": None}


def test_a_missing_title_stays_missing(recommender: ts.Recommender) -> None:
    untitled = recommender.bundle.items.ids[7]
    assert recommender.describe(untitled)["title"] is None
    assert recommender.label(untitled) == untitled


def test_vectors_are_exposed(recommender: ts.Recommender) -> None:
    assert recommender.user_vectors.shape == (80, 9)
    assert recommender.item_vectors.shape == (60, 9)
    answer = recommender.recommend(user=5, k=1)
    best = recommender.item_vectors[np.flatnonzero(recommender.bundle.items.ids == answer.items[0])[0]]
    assert float(best @ recommender.user_vectors[5]) == pytest.approx(answer.scores[0], rel=1e-5)


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


def test_evaluation_on_training_rows_is_refused(shop: Dataset, recommender: ts.Recommender, tmp_path: Path) -> None:
    on = split(shop, "article")
    with pytest.raises(LeakError, match=f"trained on {len(on.test)} of the {len(on.test)} rows that article"):
        recommender.evaluate(on)
    fit = ts.train("mf", on, dim=8, epochs=5)
    honest = ts.Recommender.build(fit, tmp_path / "b")
    assert honest.evaluate(on).mean("ndcg@10") == pytest.approx(ts.evaluate(fit).mean("ndcg@10"), abs=1e-6)
    assert honest.evaluate(split(shop, "article-rated")).mean("recall@10") > 0


def test_evaluation_on_users_whose_rows_were_trained_on_is_refused(
    shop: Dataset, recommender: ts.Recommender, tmp_path: Path
) -> None:
    on = split(shop, "new-users")
    with pytest.raises(LeakError, match=f"trained on {len(on.test)} of the {len(on.test)} rows that new-users"):
        recommender.evaluate(on)
    knows_them = ready_split("shop", on.told, on.test, shop)
    told = ts.Recommender.build(ts.train("popularity", knows_them), tmp_path / "told")
    with pytest.raises(LeakError, match="on rows of 8 of the users whom new-users holds out; train one"):
        told.evaluate(on)


@pytest.mark.parametrize("protocol", ["new-users", "new-items"])
def test_a_bundle_judged_on_strangers_is_what_was_trained(shop: Dataset, tmp_path: Path, protocol: str) -> None:
    fit = ts.train("mf", split(shop, protocol), dim=8, epochs=5)
    honest = ts.Recommender.build(fit, tmp_path / "b")
    expected = ts.evaluate(fit)
    found = honest.evaluate(fit.split)
    assert found.users.tolist() == expected.users.tolist()
    np.testing.assert_allclose(found.per_user["ndcg@10"], expected.per_user["ndcg@10"], atol=1e-6)
    trained = set(honest.bundle.histories.pairs(len(honest.bundle.items)).tolist())
    assert trained == set(fit.split.train.pairs().tolist())


def test_evaluation_on_other_ids_is_refused(recommender: ts.Recommender, ring: Dataset) -> None:
    with pytest.raises(OptionError, match="made from shop with 80 users and 60 items, not from ring-walk"):
        recommender.evaluate(split(ring, "leave-last-out"))


@pytest.fixture
def copy(recommender: ts.Recommender, tmp_path: Path) -> Path:
    path = tmp_path / "copy"
    bundles.write_bundle(path, recommender.bundle)
    return path


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
    message = "items holds numbers that are not finite, so it could recommend nothing"
    with pytest.raises(BundleError, match=message):
        bundles.write_bundle(tmp_path / "never", replace(recommender.bundle, vectors=spoilt))
    assert not (tmp_path / "never").exists()
    save_file(spoilt, copy / "vectors.safetensors")
    digest = hashlib.sha256((copy / "vectors.safetensors").read_bytes()).hexdigest()
    _forge(copy, files={**json.loads((copy / "manifest.json").read_text())["files"], "vectors.safetensors": digest})
    with pytest.raises(BundleError, match=message):
        bundles.read_bundle(copy)


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
    fit = ts.train(name, whole(board), dim=8, **({} if name == "ials" else {"epochs": 1}))
    ts.Recommender.build(fit, tmp_path / "b")
    config = json.loads((tmp_path / "b" / "manifest.json").read_text())["config"]
    _forge(tmp_path / "b", config={**config, **changes})
    with pytest.raises(BundleError, match=f"of this {name} bundle (do not fit its config|is not valid)"):
        _ = ts.Recommender.load(tmp_path / "b").loaded.model


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"history": "xy"}, "history is 'xy', but a list of item ids is expected"),
        ({"history": 5}, "history is 5, but a list of item ids is expected"),
        ({"exclude": "xy"}, "exclude is 'xy', but a list of item ids is expected"),
        ({"allow": 3}, "allow is 3, but a list of item ids is expected"),
        ({"features": "age=3"}, "features are 'age=3', but a mapping of names to values is expected"),
    ],
)
def test_a_text_is_no_list(recommender: ts.Recommender, question: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        recommender.recommend(**question)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(BundleError, match=f"not a whole bundle: {name} is missing"):
        bundles.read_bundle(copy)


def _forge(path: Path, **changes: object) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    manifest.update(changes)
    (path / "manifest.json").write_text(json.dumps(manifest))


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
        ({"files": {}}, "is damaged: its checksum"),
        ({"model": 3}, "no valid entry 'model'"),
    ],
)
def test_a_forged_manifest_is_refused(copy: Path, changes: dict[str, object], message: str) -> None:
    _forge(copy, **changes)
    with pytest.raises(BundleError, match=message):
        bundles.read_bundle(copy)


@settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_as_a_manifest_are_an_error(copy: Path, noise: bytes) -> None:
    (copy / "manifest.json").write_bytes(noise)
    with pytest.raises(BundleError):
        bundles.read_bundle(copy)


def test_weights_of_another_shape_are_refused(copy: Path) -> None:
    _forge(copy, config={"dim": 16})
    answers = ts.Recommender.load(copy)
    with pytest.raises(BundleError, match="weights of this mf bundle do not fit its config"):
        _ = answers.loaded.model


def test_no_bundle_at_all_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no bundle at .*nowhere \(no manifest.json\); train one with --out"):
        ts.Recommender.load(tmp_path / "nowhere")


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


def test_a_place_that_cannot_be_written_is_told_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="cannot write in"):
        bundles.check_can_write(tmp_path / "file" / "model", force=False)
    bundles.check_can_write(tmp_path / "new" / "model", force=False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_bundles_of_every_released_version_still_open() -> None:
    """Each folder under tests/bundles was written by the version that it is named after."""
    kept = sorted((Path(__file__).parents[1] / "bundles").iterdir())
    assert kept
    for path in kept:
        answers = ts.Recommender.load(path)
        assert answers.recommend(user=1, k=3).route == "user"


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


@pytest.fixture(scope="module")
def described(board: Dataset, tmp_path_factory: pytest.TempPathFactory) -> ts.Recommender:
    """Users of two moods, who like the items of their colour; one user's mood is missing."""
    log = board.interactions
    moods = np.array(["calm", "wild"], dtype=object)[np.arange(log.n_users) % 2]
    moods[4] = None
    colours = np.array(["white", "black"], dtype=object)[np.arange(log.n_items) % 2]
    data = Dataset("moods", log, Table({"colour": colours}), Table({"mood": moods, "age": np.arange(log.n_users) % 9}))
    fit = ts.train("two_tower", whole(data), dim=8, epochs=20)
    return ts.Recommender.build(fit, tmp_path_factory.mktemp("moods") / "bundle")


def test_attributes_alone_are_an_answer(described: ts.Recommender) -> None:
    answer = described.recommend(features={"mood": "wild", "age": 3}, k=5)
    assert answer.route == "features"
    assert answer.notes == ()
    assert all(item % 2 == 1 for item in answer.items)


def test_an_unknown_category_counts_as_missing_and_is_told(described: ts.Recommender) -> None:
    answer = described.recommend(features={"mood": "blue"}, k=5)
    assert answer.notes == ("the training data never had 'blue' as mood: it counts as missing",)
    assert len(answer.items) == 5
    assert answer.route == "popular"


def test_the_youngest_are_described_too(described: ts.Recommender) -> None:
    """Whose encoding is all zeros: no edge lies below them."""
    assert described.recommend(features={"age": 0}).route == "features"
    assert described.recommend(features={"age": None}).route == "popular"


def test_attributes_join_a_history(described: ts.Recommender) -> None:
    history = [0, 2, 4]
    alone = described.recommend(history=history, k=5)
    both = described.recommend(history=history, features={"mood": "calm"}, k=5)
    assert alone.route == both.route == "session"
    assert alone.scores != both.scores


def test_attributes_of_a_known_user_replace_what_was_known(described: ts.Recommender) -> None:
    known = described.recommend(user=6, k=5)
    again = described.recommend(user=6, features={"mood": "calm", "age": 6}, k=5)
    other = described.recommend(user=6, features={"mood": "wild"}, k=5)
    assert known.route == again.route == "user"
    np.testing.assert_allclose(known.scores, again.scores, rtol=1e-4)
    assert known.scores != other.scores


def test_attributes_that_training_never_had_are_refused(recommender: ts.Recommender) -> None:
    with pytest.raises(OptionError, match="there is no feature 'age'; the model was trained without any"):
        recommender.recommend(features={"age": 3})


@pytest.mark.parametrize("name", ["mf", "ease", "popularity", "sasrec"])
def test_models_that_read_no_attributes_answer_by_similar_users(board: Dataset, tmp_path: Path, name: str) -> None:
    log = board.interactions
    moods = np.array(["calm", "wild"], dtype=object)[np.arange(log.n_users) % 2]
    data = Dataset("moods", log, user_table=Table({"mood": moods, "age": np.arange(log.n_users) * 1.0}))
    settings = {"dim": 8, "epochs": 2} if name in ("mf", "sasrec") else {}
    answers = ts.Recommender.build(ts.train(name, whole(data), **settings), tmp_path / "b")
    few = answers.recommend(features={"mood": "calm"}, k=5)
    assert few.route == "features"
    assert all(item % 2 == 0 for item in few.items)  # as the calm ones like
    found = answers.explain(few.items[0], features={"mood": "calm"})
    assert [(one.kind, one.value) for one in found.reasons] == [("similar_users", few.scores[0])]
    assert answers.recommend(features={"mood": "gone"}, k=5).route == "popular"
    told = answers.recommend(history=[2], features={"mood": "calm"}, k=5)
    assert told.route == "session"
    assert told.items == answers.recommend(history=[2], k=5).items
    assert told.notes == (
        "only 1 like is known, so popularity counts too",
        f"the model {name} reads no attributes: only the history was used",
    )


@pytest.mark.parametrize("attributes", [3, {"users": 3}, {"users": [{}]}])
def test_forged_attributes_are_refused(copy: Path, attributes: object) -> None:
    _forge(copy, attributes=attributes)
    with pytest.raises(BundleError, match="the attributes in the manifest of this bundle are not valid"):
        ts.Recommender.load(copy).recommend(features={"age": 3})


def test_a_feature_that_is_none_is_refused(described: ts.Recommender) -> None:
    with pytest.raises(OptionError, match="there is no feature 'mod'; did you mean 'mood'"):
        described.recommend(features={"mod": "calm"})


@pytest.mark.parametrize("features", [3, {}, {"users": []}, {"users": [{}], "items": []}, {"users": 1, "items": 2}])
def test_forged_features_are_refused(described: ts.Recommender, tmp_path: Path, features: object) -> None:
    path = tmp_path / "forged"
    bundles.write_bundle(path, described.bundle)
    _forge(path, features=features)
    with pytest.raises(BundleError, match="do not fit"):
        ts.Recommender.load(path).recommend(history=[1])


def test_an_index_is_built_with_the_bundle_and_anew(recommender: ts.Recommender, copy: Path) -> None:
    told = recommender.bundle.manifest["index"]
    assert (told["kind"], told["n"], told["recall"], told["format_version"]) == ("exact", 60, 1.0, 1)
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


@pytest.mark.parametrize("told", [{"format_version": 2, "kind": "ivf"}, {}, [1], "ivf"])
def test_an_index_of_another_version_says_what_to_do(copy: Path, told: object) -> None:
    _forge(copy, index=told)
    with pytest.raises(BundleError, match=r"this tastespace reads version 1: build it again \(tastespace index"):
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


def test_an_index_is_open_before_its_bundle_is_replaced(copy: Path) -> None:
    lists, _ = ts.Recommender.reindex(copy, kind="ivf")
    before = lists.recommend(user=3)
    ts.Recommender.reindex(copy, kind="exact")
    assert lists.recommend(user=3) == before


def test_lists_without_a_checksum_are_refused(copy: Path) -> None:
    ts.Recommender.reindex(copy, kind="ivf")
    files = json.loads((copy / "manifest.json").read_text())["files"]
    _forge(copy, files={name: digest for name, digest in files.items() if not name.startswith("lists")})
    with pytest.raises(BundleError, match="damaged: its checksum"):
        ts.Recommender.load(copy)


def test_arrays_and_none_are_lists_too(recommender: ts.Recommender) -> None:
    ids = recommender.bundle.items.ids
    assert recommender.recommend(history=ids[[0, 2]], k=3).route == "session"
    assert recommender.recommend(user=3, exclude=None, k=3).route == "user"
