"""Options that are "auto", settled by rule or on validation rows."""

import contextlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tastespace as ts
from tastespace import models
from tastespace.config import unresolved
from tastespace.data.dataset import Dataset
from tastespace.data.split import Split, split, whole
from tastespace.data.synthetic import planted_taste
from tastespace.errors import TastespaceError
from tastespace.models.base import Shapes
from tastespace.training.search import _climb
from tests.build import dataset

AUTOMATIC = [name for name in models.names() if models.get(name).ranges(Shapes(100, 100))]
SEARCHED = [
    name
    for name in AUTOMATIC
    if any(len(values.values) > 1 for values in models.get(name).ranges(Shapes(100, 100)).values())
]


def quick(name: str) -> dict[str, Any]:
    """Options of a short training, which the search does not share."""
    return {"epochs": 1, "refit": False} if models.get(name).learns_by_gradient() else {}


@pytest.fixture(scope="module")
def shop() -> Dataset:
    return planted_taste(200, 150, 12, n_tastes=20, skew=0.5)


def without_test_rows(on: Split) -> Split:
    """Return the split with its test rows replaced by others."""
    moved = (on.test.item + 1) % on.test.n_items
    return replace(on, test=replace(on.test, item=moved))


@pytest.mark.parametrize(
    ("heights", "start", "best"),
    [([1, 2, 3, 2], 0, 2), ([1, 2, 3, 2], 3, 2), ([3, 2, 1], 2, 0), ([1, 2, 1], 1, 1), ([5], 0, 0), ([2, 1, 3], 0, 0)],
)
def test_climbing_stops_at_the_top_next_to_the_start(heights: list[int], start: int, best: int) -> None:
    assert _climb(range(len(heights)), start, lambda place: np.full(9, heights[place])) == best


def test_climbing_measures_no_more_than_it_must() -> None:
    measured = []

    def height(place: int) -> NDArray[np.float64]:
        measured.append(place)
        return np.full(9, -abs(place - 6.0))

    assert _climb(range(10), 5, height) == 6
    assert set(measured) == {5, 6, 7}


def test_a_climb_passes_what_has_the_same_stand_in_and_stays_within_noise() -> None:
    same = np.full(9, 1.0)
    assert _climb(range(3), 2, lambda place: same if place else np.full(9, 2.0)) == 0
    assert _climb(range(3), 2, lambda place: np.full(9, 1.0) if place else np.full(9, 2.0)) == 2
    hardly_better = np.array([3.0, *[0.0] * 8])
    assert _climb(range(2), 0, lambda place: hardly_better if place else np.full(9, 0.3)) == 0


@pytest.mark.parametrize("name", AUTOMATIC)
def test_nothing_is_left_at_auto(shop: Dataset, name: str) -> None:
    for on, options in (
        (whole(shop), {"search": True}),
        (split(shop), {"search": True}),
        (split(shop), {"search": False}),
    ):
        fit = ts.train(name, on, baselines=False, **quick(name), **options)
        assert unresolved(fit.model.config) == []


@pytest.mark.parametrize("name", SEARCHED)
def test_a_search_is_at_least_as_good_as_its_start_and_reads_no_test_row(shop: Dataset, name: str) -> None:
    on = split(shop)
    found, blind = (ts.train(name, each, baselines=False, **quick(name)).search for each in (on, without_test_rows(on)))
    assert found is not None
    assert blind is not None
    assert found.value >= found.start
    assert found.candidates > 1
    assert dict(found.settings) == dict(blind.settings)
    assert found.value == blind.value


@pytest.mark.parametrize("name", SEARCHED)
def test_what_is_set_by_hand_is_not_searched(shop: Dataset, name: str) -> None:
    on = split(shop)
    chosen = ts.train(name, on, baselines=False, **quick(name)).search
    assert chosen is not None
    again = ts.train(name, on, baselines=False, **quick(name), **chosen.settings)
    assert again.search is None
    assert {option: getattr(again.model.config, option) for option in chosen.settings} == dict(chosen.settings)


@pytest.mark.parametrize("name", AUTOMATIC)
def test_any_one_option_may_be_left_at_auto(shop: Dataset, name: str) -> None:
    ranges = models.get(name).ranges(Shapes(shop.interactions.n_users, shop.interactions.n_items))
    for left in ranges:
        by_hand = {option: ranges[option].start for option in ranges if option != left}
        fit = ts.train(name, split(shop), baselines=False, **quick(name), **by_hand)
        assert (fit.search is None) == (len(ranges[left].values) == 1 or left == "recency")
        assert {option: getattr(fit.model.config, option) for option in by_hand} == by_hand


@pytest.mark.parametrize(("protocol", "searched"), [("leave-last-out", True), ("article", False)])
def test_recency_is_searched_where_the_newest_rows_are_tested(shop: Dataset, protocol: str, searched: bool) -> None:
    others = {option: values.start for option, values in models.get("mf").ranges(Shapes(200, 150)).items()}
    del others["recency"]
    fit = ts.train("mf", split(shop, protocol), baselines=False, epochs=1, **others)
    assert (fit.search is not None) == searched


def test_a_log_without_a_known_target_is_not_searched() -> None:
    """Every item has one row, so that no candidate can be told from another."""
    log = split(dataset([(item // 10, item) for item in range(300)]), "article")
    trained = ts.train("mf", log, baselines=False, **quick("mf"))
    assert trained.search is None
    assert not unresolved(trained.model.config)


def test_a_search_finds_the_planted_number_of_tastes_where_the_rule_does_not() -> None:
    on = split(planted_taste(1500, 6000, 60, n_tastes=12, noise=0.1, skew=0.2))  # as many items as a shop, few tastes
    found = ts.train("spectral", on, baselines=False)
    by_rule = ts.train("spectral", on, baselines=False, search=False)
    assert found.model.config.dim < by_rule.model.config.dim
    searched, ruled = (ts.evaluate(fit).estimate("ndcg@10").value for fit in (found, by_rule))
    assert searched > 1.1 * ruled


def test_narrow_tastes_are_left_to_longer_initial_vectors() -> None:
    on = split(planted_taste(300, 1500, 25, n_tastes=50, skew=0.8))
    found = ts.train("mf", on, baselines=False, refit=False)
    equal = ts.train("mf", on, baselines=False, refit=False, degree_exponent=0.0)
    assert found.model.config.degree_exponent > 0
    assert found.search is not None
    assert equal.search is not None
    assert found.search.value > equal.search.value


@pytest.mark.parametrize("name", [name for name in models.names() if not models.get(name).learns_by_gradient()])
@pytest.mark.parametrize(
    ("n_users", "n_items", "rows"),
    [(1000, 600, 3), (150, 200, 40), (150, 2400, 25), pytest.param(300, 5000, 25, marks=pytest.mark.release)],
)
def test_no_default_collapses(name: str, n_users: int, n_items: int, rows: int) -> None:
    fit = ts.train(name, split(planted_taste(n_users, n_items, rows, n_tastes=30)), baselines=False)
    if fit.health is not None:
        assert [
            warning for warning in fit.health.warnings() if "collapsed" in warning or "effective rank" in warning
        ] == []
    found = fit.model.scorer()(fit.queries(np.arange(10)))
    assert bool(np.isfinite(np.asarray(found)).all())


@pytest.mark.parametrize("name", ["mf", "lightgcn", "two_tower", "ncf"])
@pytest.mark.parametrize(
    ("n_users", "n_items", "rows"), [(600, 400, 3), pytest.param(200, 2400, 25, marks=pytest.mark.release)]
)
def test_no_gradient_model_collapses(name: str, n_users: int, n_items: int, rows: int) -> None:
    on = split(planted_taste(n_users, n_items, rows, n_tastes=30))
    fit = ts.train(name, on, baselines=False, search=False, epochs=3)
    assert fit.health is not None
    assert [warning for warning in fit.health.warnings() if "collapsed" in warning or "effective rank" in warning] == []


@pytest.mark.parametrize("name", SEARCHED)
@pytest.mark.parametrize("rows", [[(0, 0), (1, 1)], [(0, 0), (0, 1), (1, 0), (1, 1)], [(user, 0) for user in range(6)]])
def test_tiny_logs_train_or_are_refused(name: str, rows: list[tuple[int, int]]) -> None:
    """Two users with a row each, two users of two items, and six users of one item."""
    with contextlib.suppress(TastespaceError):
        fit = ts.train(name, split(dataset(rows)), **quick(name))
        assert unresolved(fit.model.config) == []
