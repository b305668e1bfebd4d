"""Models compared with the baselines on validation rows."""

import logging
from dataclasses import replace

import numpy as np
import pytest

import tastespace as ts
from tastespace.data.dataset import Dataset
from tastespace.data.interactions import Interactions
from tastespace.data.split import Split, split, whole
from tastespace.data.synthetic import planted_taste
from tastespace.errors import MemoryLimitError
from tastespace.evaluation import Evaluator
from tastespace.training import fit as training
from tastespace.training import validation
from tests.build import dataset, numbered


def mean_ndcg(fit: ts.Fit, on: Split) -> float:
    return Evaluator(on, 10).mean(fit.model.scorer(), "ndcg")


@pytest.fixture(scope="module")
def shop() -> Dataset:
    """A log with tastes, and with popular items."""
    return planted_taste(300, 200, 20, n_tastes=10, skew=0.3)


@pytest.mark.parametrize("protocol", ["article", "leave-last-out", "new-users"])
@pytest.mark.parametrize("name", ["mf", "spectral"])
def test_every_model_is_fitted_without_the_validation_rows(shop: Dataset, protocol: str, name: str) -> None:
    on = split(shop, protocol)
    settings = {"epochs": 4, "dim": 8} if name == "mf" else {"dim": 8, "smoothing": 3.0, "degree_exponent": 0.5}
    found = ts.train(name, on, **settings).baselines
    assert found is not None
    inner = on.for_validation()
    for baseline in ("item_knn", "popularity"):
        fitted = ts.train(baseline, inner, baselines=False, search=False)
        assert found.values[baseline]["ndcg@10"] == pytest.approx(mean_ndcg(fitted, inner))
    if name == "spectral":
        fitted = ts.train(name, inner, baselines=False, **settings)
        assert found.values[name]["ndcg@10"] == pytest.approx(mean_ndcg(fitted, inner))
    assert found.users == len(Evaluator(inner, 10).users)


def test_the_trained_model_is_measured_at_its_best_epoch(shop: Dataset) -> None:
    fit = ts.train("mf", split(shop, "article"), epochs=4, dim=8, init="default", search=False)
    assert fit.baselines is not None
    assert fit.baselines.values["mf"]["ndcg@10"] == pytest.approx(max(e.metric for e in fit.history if e.metric))


def test_a_model_that_loses_to_counting_is_warned_of(shop: Dataset, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "tastespace"):
        fit = ts.train("popularity", split(shop, "article"))
    assert fit.baselines is not None
    assert list(fit.baselines.values) == ["popularity", "item_knn"]
    assert fit.baselines.better == "item_knn"
    assert "item_knn, which only counts co-occurrences, is significantly better than popularity" in caplog.text


def test_a_model_that_wins_is_not(shop: Dataset, caplog: pytest.LogCaptureFixture) -> None:
    fit = ts.train("item_knn", split(shop, "article"))
    assert fit.baselines is not None
    assert (fit.baselines.better, list(fit.baselines.values)) == (None, ["item_knn", "popularity"])
    assert not caplog.text


def test_p_is_corrected_for_both_baselines_and_of_those_ahead_alone() -> None:
    rng = np.random.default_rng(0)
    own = rng.random(40)
    near, below = own + rng.normal(0.02, 0.1, 40), own - 0.1
    alone = validation._p_of_better({"mf": own, "item_knn": near}, "mf")
    both = validation._p_of_better({"mf": own, "item_knn": near, "popularity": below}, "mf")
    assert both.keys() == {"item_knn"}
    assert both["item_knn"] == pytest.approx(min(1.0, 2 * alone["item_knn"]))


def test_of_many_users_a_sample_is_ranked_for(shop: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "_MOST_USERS", 50)
    first, second = (ts.train("spectral", split(shop, "article"), dim=8).baselines for _ in range(2))
    assert first is not None
    assert first.users == 50
    assert first == second


def test_without_validation_rows_the_reason_is_told() -> None:
    single = whole(dataset([(user, user % 2, 1) for user in range(4)]))
    for name in ("mf", "ease"):
        found = ts.train(name, single, **({"dim": 2, "epochs": 1} if name == "mf" else {})).baselines
        assert str(found) == "not compared with item_knn and popularity: there are no validation rows"


def test_what_would_take_minutes_is_left_out_with_the_reason(shop: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(validation, "_MOST_SECONDS", 0.0)
        found = ts.train("spectral", split(shop, "article"), dim=8).baselines
        assert "not compared with item_knn: it would take about 0 s; tastespace compare waits" in str(found)
        assert found is not None
        assert list(found.values) == ["spectral", "popularity"]
    monkeypatch.setattr(training, "_LONG", 0.0)
    again = ts.train("spectral", split(shop, "article"), dim=8).baselines
    assert "popularity: a second fit, without the validation rows, would take 0 s" in str(again)
    assert ts.train("spectral", split(shop, "leave-last-out"), dim=8).baselines.values  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("users", "items", "likes", "seconds"),
    [
        (100, 10_000, 100, 1e-8 * 1e6 + 6e-8 * 1e6),  # no pair need be there twice
        (10_000, 100, 100, 1e-8 * 1e8 + 6e-8 * 1e4),  # most pairs are
    ],
)
def test_the_seconds_of_counting_follow_the_pairs(users: int, items: int, likes: int, seconds: float) -> None:
    rows = Interactions.of(
        np.repeat(np.arange(users), likes),
        (np.arange(users * likes) % likes),
        numbered(users, "user"),
        numbered(items, "item"),
    )
    assert validation._seconds_of_counting(replace(whole(Dataset("wide", rows)), train=rows)) == pytest.approx(seconds)


def test_a_baseline_that_would_not_fit_the_machine_is_left_out(shop: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, *rest: object) -> None:
        raise MemoryLimitError(f"{name} would need 3 TiB")

    monkeypatch.setattr(validation, "_fit_baseline", refuse)
    found = ts.train("spectral", split(shop, "article"), dim=8).baselines
    assert found is not None
    assert found.skipped == {name: f"{name} would need 3 TiB" for name in ("item_knn", "popularity")}


def test_the_comparison_changes_nothing_and_can_be_turned_off(shop: Dataset) -> None:
    on = split(shop, "article")
    with_it, without = (ts.train("mf", on, epochs=3, dim=8, baselines=flag) for flag in (True, False))
    assert without.baselines is None
    assert with_it.history == tuple(
        replace(e, seconds=mine.seconds) for e, mine in zip(without.history, with_it.history, strict=True)
    )
    for key, value in with_it.model.state_dict().items():
        assert np.array_equal(value.numpy(), without.model.state_dict()[key].numpy())
