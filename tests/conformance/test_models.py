"""What every model promises. A new file in `models` is tested here without another line."""

import copy
import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

import tastespace as ts
from tastespace import config as configs
from tastespace import models
from tastespace.data.features import Features
from tastespace.data.histories import Histories
from tastespace.data.interactions import Interactions
from tastespace.data.queries import Queries
from tastespace.data.split import Split, split, whole
from tastespace.data.synthetic import checkerboard, ring_walk
from tastespace.data.vocabulary import Vocabulary
from tastespace.errors import MemoryLimitError
from tastespace.evaluation import Evaluator, evaluate
from tastespace.models.base import Factored, Model, Shapes
from tastespace.training import forecast
from tastespace.training.build import highest_rate
from tastespace.training.fit import Fit, configure, fit
from tastespace.training.optimizer import Adam
from tests.conformance.throwaway import GUIDE, Network, Transformer, example_of_the_guide

THROWAWAY = {
    "throwaway-transformer": Transformer,
    "throwaway-network": Network,
    "mult_dae": example_of_the_guide(),
}
NAMES = [*models.names(), *THROWAWAY]
IN_ORDER = [name for name in NAMES if (THROWAWAY.get(name) or models.get(name)).in_order]
PERSONAL = [name for name in NAMES if "popularity" not in name]
GRADIENT = [name for name in NAMES if (THROWAWAY.get(name) or models.get(name)).learns_by_gradient()]
_known_get, _known_names = models.get, models.names


@pytest.fixture(autouse=True)
def _throwaway_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "get", lambda name: THROWAWAY.get(name) or _known_get(name))


@cache
def board_split() -> Split:
    rows = checkerboard().interactions
    time = np.arange(len(rows), dtype=np.float64)  # some models need times; file order, so nothing else changes
    timed = Interactions.of(rows.user, rows.item, rows.users, rows.items, time=time)
    return split(ts.Dataset("board", timed), "article")


def fitted(name: str, on: Split | None = None, **settings: object) -> Fit:
    fields = configs.names(models.get(name).Config)
    narrow = {"dim": 8} if "dim" in fields else {}  # the small data have a rank of two
    config, options = configure(name, {"search": False, **narrow, **settings})
    return fit(name, on or board_split(), config=config, options=options, progress=False, baselines=False)


@cache
def _trained_once(name: str, settings: tuple[tuple[str, object], ...]) -> Fit:
    return fitted(name, **dict(settings))


def shared(name: str, **settings: object) -> Fit:
    """The fit of these settings on the board, trained once; each caller has its own copy of the model."""
    made = _trained_once(name, tuple(sorted(settings.items())))
    graph = vars(made.model).get("_graph")  # sparse matrices, which cannot be copied and are never written
    return replace(made, model=copy.deepcopy(made.model, {id(graph): graph}))


def prepared(name: str, rows: Interactions, seed: int = 0) -> Model:
    torch.manual_seed(seed)
    cls = models.get(name)
    features = Features.of(coloured(rows))
    widths = (features.users.shape[1], features.items.shape[1]) if cls.reads_features else (0, 0)
    model = cls(cls.Config(), Shapes(rows.n_users, rows.n_items, *widths))
    model.set_features(features)
    model.prepare(rows)
    return model


def coloured(rows: Interactions) -> ts.Dataset:
    """The rows with what would be a help to know: the colour that users and items are of."""
    users, items = (np.array(["white", "black"], dtype=object)[np.arange(n) % 2] for n in (rows.n_users, rows.n_items))
    return ts.Dataset("coloured", rows, ts.Table({"colour": items}), ts.Table({"likes": users}))


def with_low_ratings(rows: Interactions) -> Interactions:
    """The rows, some of them neutral and some disliked."""
    positions = np.arange(len(rows))
    weights = np.where(positions % 5 == 0, 0, np.where(positions % 7 == 0, -1, 1))
    return rows.weighted(weights.astype(np.float32))


def all_users(rows: Interactions) -> Queries:
    return Queries.of_users(np.arange(rows.n_users), rows.histories())


def scores(model: Model, queries: Queries) -> np.ndarray:
    with torch.inference_mode():
        return model.eval().score(queries).numpy()


def log(pairs: list[tuple[int, int]], n_users: int, n_items: int) -> Interactions:
    user, item = np.array(pairs).T
    users, items = (Vocabulary(np.arange(n), noun) for n, noun in ((n_users, "user"), (n_items, "item")))
    return Interactions.of(user, item, users, items, time=np.arange(len(pairs), dtype=float))


@pytest.mark.parametrize("name", NAMES)
def test_config_survives_json(name: str) -> None:
    cls = models.get(name).Config
    assert configs.from_mapping(cls, json.loads(json.dumps(configs.to_mapping(cls())))) == cls()


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_documented(name: str) -> None:
    cls = models.get(name)
    assert cls.about
    assert cls.pick or name in THROWAWAY
    for field, _ in configs.declared(cls.Config).values():
        assert field.metadata.get("doc"), f"{name}.{field.name} has no documentation"


@pytest.mark.parametrize("name", GRADIENT)
def test_gradient_reaches_every_parameter(name: str) -> None:
    rows = with_low_ratings(board_split().train)
    model = prepared(name, rows)
    total = sum(model.loss(batch) for batch in model.batches(rows, np.random.default_rng(0), 512))
    total.backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", GRADIENT)
def test_loss_falls_in_thirty_steps(name: str) -> None:
    rows = board_split().train
    model = prepared(name, rows)
    optimizer = Adam(model.parameters())
    model.train()
    batch = next(iter(model.batches(rows, np.random.default_rng(0), 10_000)))
    losses = []
    for _ in range(30):
        loss = model.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(highest_rate(models.get(name).OPTIONS))
        losses.append(float(loss.detach()))
    assert np.mean(losses[-5:]) < 0.98 * losses[0]


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_give_equal_weights(name: str) -> None:
    first, second = (fitted(name, seed=3, epochs=2).model.state_dict() for _ in range(2))
    for key, tensor in first.items():
        assert torch.equal(tensor, second[key]), key


@pytest.mark.parametrize("name", GRADIENT)
def test_other_seeds_give_other_weights(name: str) -> None:
    first, second = (fitted(name, seed=seed, epochs=1).model.state_dict() for seed in (0, 1))
    assert any(not torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", PERSONAL)
def test_checkerboard_is_solved(name: str) -> None:
    on = board_split()
    actual = Evaluator(on, 5).rank(shared(name).model.scorer())
    own_colour = (actual.items % 2) == (actual.users % 2)[:, None]
    assert own_colour.mean() > 0.95


@pytest.mark.parametrize("name", IN_ORDER)
def test_models_of_order_beat_popularity_on_the_ring(name: str) -> None:
    on = split(ring_walk(), "leave-last-out")
    assert evaluate(fitted(name, on).model.scorer(), on).mean("ndcg@10") > 2 * evaluate(
        fitted("popularity", on).model.scorer(), on
    ).mean("ndcg@10")


@pytest.mark.parametrize("name", [n for n in NAMES if issubclass((THROWAWAY.get(n) or models.get(n)), Factored)])
def test_scores_are_products_of_vectors(name: str) -> None:
    rows = board_split().train
    model = shared(name, epochs=3).model
    assert isinstance(model, Factored)
    queries = all_users(rows)
    with torch.inference_mode():
        products = model.encode_queries(queries) @ model.encode_items().T
        torch.testing.assert_close(model.score(queries), products)
        torch.testing.assert_close(model.scorer()(queries), products)
    assert model.encode_items().shape[0] == rows.n_items
    assert model.item_embeddings().shape[1] == model.encode_items().shape[1] - model.n_bias


@pytest.mark.parametrize("name", NAMES)
def test_contributions_add_up_to_the_score(name: str) -> None:
    rows, model = board_split().train, shared(name, epochs=3).model
    for query in (all_users(rows).take(np.array([3])), Queries.of_histories(Histories.of([[2, 8, 40]]))):
        terms = model.contributions(query, 20)
        if terms is not None:
            assert terms.total == pytest.approx(float(scores(model, query)[0, 20]), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_scores_have_one_finite_column_an_item(name: str) -> None:
    rows = board_split().train
    actual = scores(shared(name, epochs=3).model, all_users(rows))
    assert actual.shape == (rows.n_users, rows.n_items)
    assert np.isfinite(actual).all()


@pytest.mark.parametrize("name", NAMES)
def test_scores_may_be_overwritten(name: str) -> None:
    rows, model = board_split().train, shared(name, epochs=3).model
    queries = all_users(rows)
    before = scores(model, queries).copy()
    with torch.inference_mode():
        model.score(queries).fill_(-1.0)
    assert np.array_equal(scores(model, queries), before)


@pytest.mark.parametrize("name", NAMES)
def test_a_query_is_answered_alike_alone_and_in_a_batch(name: str) -> None:
    rows, model = board_split().train, shared(name, epochs=3).model
    queries = all_users(rows)
    alone = scores(model, queries.take(np.array([5])))
    np.testing.assert_allclose(alone[0], scores(model, queries)[5], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_pairs_score_as_in_the_full_row(name: str) -> None:
    rows, model = board_split().train, shared(name, epochs=3).model
    queries = all_users(rows).take(np.array([0, 3]))
    items = torch.tensor([[1, 4, 7], [0, 2, 59]])
    with torch.inference_mode():
        np.testing.assert_allclose(
            model.score_pairs(queries, items), model.score(queries).gather(1, items), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("pairs", "n_users", "n_items"),
    [([(0, 0)], 1, 1), ([(0, 0), (0, 1)], 1, 2), ([(0, 0), (1, 0)], 2, 1), ([(0, 0), (1, 1), (1, 0)], 3, 4)],
)
def test_the_smallest_data_work(name: str, pairs: list[tuple[int, int]], n_users: int, n_items: int) -> None:
    rows = log(pairs, n_users, n_items)
    made = fitted(name, whole(ts.Dataset("tiny", rows)), epochs=2)
    actual = scores(made.model, all_users(rows))
    assert actual.shape == (n_users, n_items)
    assert np.isfinite(actual).all()


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        (name, loss)
        for name in GRADIENT
        if name not in THROWAWAY
        for loss in ("softmax", "sampled-softmax", "bpr", "bce", "gbce")
    ],
)
@pytest.mark.parametrize("batch_size", [1, 1000])
def test_every_loss_takes_odd_logs(name: str, loss: str, batch_size: int) -> None:
    """Users of one row, of low ratings alone and of none, an item seen once, fewer items than negatives."""
    rows = log([(0, 0), (0, 1), (0, 2), (1, 0), (1, 3), (2, 1), (3, 2), (3, 0)], 5, 5)
    rows = rows.weighted(np.array([1, 1, -1, 1, 0, 1, -1, 0], dtype=np.float32))
    on = whole(ts.Dataset("odd", rows))
    made = fitted(name, on, epochs=2, loss=loss, negatives=20, shared_negatives=50, batch_size=batch_size)
    assert np.isfinite([epoch.loss for epoch in made.history]).all()
    assert np.isfinite(scores(made.model, all_users(rows))).all()


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_history_without_a_user_is_answered(name: str) -> None:
    model = shared(name, epochs=3).model
    assert np.isfinite(scores(model, Queries.of_histories(Histories.of([[], [1]])))).all()


@pytest.mark.parametrize("name", PERSONAL)
def test_a_new_user_folds_in(name: str) -> None:
    model = shared(name).model
    even, odd = list(range(0, 40, 2)), list(range(1, 41, 2))
    actual = scores(model, Queries.of_histories(Histories.of([even, odd])))
    for row, parity in ((0, 0), (1, 1)):
        unseen = [item for item in range(60) if item >= 42]
        best = sorted(unseen, key=lambda item: -actual[row, item])[:5]
        assert sum(item % 2 == parity for item in best) >= 4


@pytest.mark.parametrize("name", NAMES)
def test_disliked_items_of_a_history_do_not_attract(name: str) -> None:
    model = shared(name, epochs=3).model
    liked = Histories.of([[0, 2, 4]], [[1, 1, 1]])
    mixed = Histories.of([[0, 2, 4, 1, 3]], [[1, 1, 1, 0, -1]])
    if name in THROWAWAY:
        pytest.skip("throwaway models read every item of a history")
    np.testing.assert_allclose(
        scores(model, Queries.of_histories(liked)), scores(model, Queries.of_histories(mixed)), rtol=1e-5
    )


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_loaded_scores_are_equal(name: str, tmp_path: object) -> None:
    on = board_split()
    made = shared(name, epochs=3)
    loaded = ts.Recommender.build(made, tmp_path / "bundle")  # type: ignore[operator]
    again = scores(loaded.loaded.model, all_users(on.train))
    np.testing.assert_allclose(again, scores(made.model, all_users(on.train)), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", [n for n in NAMES if (THROWAWAY.get(n) or models.get(n)).reads_features])
def test_models_with_features_are_saved_with_them(name: str, tmp_path: object) -> None:
    on = split(coloured(board_split().dataset.interactions), "article")
    made = fitted(name, on, epochs=3)
    loaded = ts.Recommender.build(made, tmp_path / "bundle")  # type: ignore[operator]
    again = scores(loaded.loaded.model, all_users(on.train))
    np.testing.assert_allclose(again, scores(made.model, all_users(on.train)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [n for n in NAMES if (THROWAWAY.get(n) or models.get(n)).reads_features])
def test_features_alone_are_answered(name: str, tmp_path: object) -> None:
    on = whole(coloured(board_split().dataset.interactions))
    answers = ts.Recommender.build(fitted(name, on), tmp_path / "bundle")  # type: ignore[operator]
    for parity, colour in enumerate(("white", "black")):
        actual = answers.recommend(features={"likes": colour}, k=5)
        assert actual.route == "features"
        assert all(item % 2 == parity for item in actual.items)


@pytest.mark.parametrize("name", [n for n in GRADIENT if (THROWAWAY.get(n) or models.get(n)).item_tables])
def test_vectors_can_start_from_features(name: str) -> None:
    on = split(coloured(board_split().dataset.interactions), "article")
    actual = Evaluator(on, 5).rank(fitted(name, on, init="features", epochs=8).model.scorer())
    assert ((actual.items % 2) == (actual.users % 2)[:, None]).mean() > 0.95


@pytest.mark.parametrize("name", NAMES)
def test_the_recommender_ranks_as_the_model_does(name: str, tmp_path: object) -> None:
    on = board_split()
    made = shared(name, epochs=3)
    answers = ts.Recommender.build(made, tmp_path / "bundle")  # type: ignore[operator]
    row = scores(made.model, made.queries(np.array([7])))[0]
    row[on.histories().take(np.array([7])).items] = -np.inf
    best = np.lexsort((np.arange(len(row)), -row.round(4)))[:5]
    actual = answers.recommend(user=7, k=5)
    np.testing.assert_allclose(actual.scores, row[best], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", [n for n in PERSONAL if n not in THROWAWAY])
def test_items_and_users_of_one_colour_are_similar(name: str, tmp_path: object) -> None:
    answers = ts.Recommender.build(shared(name), tmp_path / "bundle")  # type: ignore[operator]
    for parity in (0, 1):
        assert sum(item % 2 == parity for item in answers.similar_items(10 + parity, k=5).items) >= 4
        assert sum(user % 2 == parity for user in answers.similar_users(10 + parity, k=5).items) >= 4


@pytest.mark.parametrize("name", [n for n in GRADIENT if torch.cuda.is_available()])
def test_gpu_and_cpu_agree(name: str) -> None:
    first, second = (fitted(name, device=device, epochs=2).model.cpu() for device in ("cpu", "cuda"))
    rows = board_split().train
    np.testing.assert_allclose(scores(first, all_users(rows)), scores(second, all_users(rows)), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("name", GRADIENT)
def test_a_run_that_cannot_fit_is_refused_with_the_number(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "free_memory", lambda: 1000)
    with pytest.raises(MemoryLimitError, match=rf"{name} on 80 users x 60 items would need about [\d.]+ GiB, but 0.0"):
        fitted(name)


@pytest.mark.parametrize("name", [n for n in GRADIENT if n not in THROWAWAY])
def test_the_scores_of_a_step_are_forecast_too(name: str) -> None:
    cls, wide = models.get(name), Shapes(1000, 10**7)
    config = cls.Config(loss="softmax")
    tables = Model.memory_bytes.__func__(cls, config, wide, 10**5, 10)  # type: ignore[attr-defined]
    small, large = (cls.memory_bytes(config, wide, 10**5, size) for size in (10, 10**4))
    assert small >= tables + 4 * wide.n_items
    more_scores = large - small > 10 * 4 * wide.n_items
    assert more_scores == (name == "ncf")  # the others hold the scores of some users at a time


@pytest.mark.parametrize("name", NAMES)
def test_memory_forecast_covers_the_weights(name: str) -> None:
    cls, shapes = models.get(name), Shapes(50, 40)
    model = cls(cls.Config(), shapes)
    held = sum(t.numel() * t.element_size() for t in model.state_dict().values())
    assert cls.memory_bytes(cls.Config(), shapes, 500, 100) >= held


def test_the_guide_names_every_member_that_a_model_may_write() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    own = {*vars(Model), *vars(Factored), *Model.__annotations__}
    members = {name for name in own if not name.startswith("_") and name not in torch.nn.Module.__dict__}
    given = {
        "learns_by_gradient",
        "resolve_config",
        "settle_config",
        "user_rows",
    }  # read by the library, not written by a model
    assert {name for name in members - given if f"`{name}" not in text} == set()
