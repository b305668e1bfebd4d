import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from tastespace.errors import OptionError
from tastespace.evaluation import significance
from tastespace.evaluation.significance import Estimate, bootstrap, compare_pairs, holm, wilcoxon
from tests.build import examples

modest = settings(max_examples=examples(60))
_p = st.floats(0, 1)


@settings(max_examples=examples(20), deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=30))
def test_an_interval_contains_its_mean_and_stays_within_the_values(values: list[float]) -> None:
    found = bootstrap(np.array(values))
    assert found.value == pytest.approx(np.mean(values))
    slack = 0.5 / len(values)  # means of resamples lie on a grid, so the middle one may miss by a step
    assert found.low - slack <= found.value <= found.high + slack
    assert min(values) <= found.low <= found.high <= max(values)


def test_an_interval_narrows_with_the_root_of_the_users() -> None:
    values = np.random.default_rng(0).random(6400)
    few, many = bootstrap(values[:100]), bootstrap(values)
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(8, rel=0.2)


def test_an_interval_is_that_of_the_normal_law_for_many_users() -> None:
    values = np.random.default_rng(1).random(2000)
    found, half = bootstrap(values), 1.96 * values.std() / np.sqrt(2000)
    assert found.low == pytest.approx(values.mean() - half, abs=half / 8)
    assert found.high == pytest.approx(values.mean() + half, abs=half / 8)


def test_equal_seeds_give_equal_intervals_and_others_do_not() -> None:
    values = np.random.default_rng(0).random(50)
    assert bootstrap(values, seed=1) == bootstrap(values, seed=1)
    assert bootstrap(values, seed=1) != bootstrap(values, seed=2)


@pytest.mark.parametrize("cells", [1, 50, 150])
def test_resampling_in_parts_equals_resampling_at_once(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(50)
    whole = bootstrap(values)
    monkeypatch.setattr(significance, "_CELLS_AT_ONCE", cells)
    assert bootstrap(values) == whole


def test_one_user_is_an_interval_of_one_point() -> None:
    assert bootstrap(np.array([0.3])) == Estimate(0.3, 0.3, 0.3)


def test_an_estimate_reads_as_value_and_interval() -> None:
    assert str(Estimate(0.5, 0.25, 0.66666)) == "0.5000 [0.2500, 0.6667]"


@pytest.mark.parametrize(
    ("p_values", "corrected"),
    [
        ([], []),
        ([0.2], [0.2]),
        ([0.04, 0.01], [0.04, 0.02]),
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.5, 0.6, 0.9], [1, 1, 1]),
    ],
)
def test_holm_by_hand(p_values: list[float], corrected: list[float]) -> None:
    assert holm(p_values) == pytest.approx(corrected)


@modest
@given(st.lists(_p, min_size=1, max_size=8))
def test_holm_keeps_the_order_and_lies_between_p_and_bonferroni(p_values: list[float]) -> None:
    corrected = holm(p_values)
    by_p = [corrected[place] for place in np.argsort(p_values, kind="stable")]
    assert by_p == sorted(by_p)
    for before, after in zip(p_values, corrected, strict=True):
        assert before <= after <= min(1.0, len(p_values) * before)


def test_models_that_never_differ_have_p_1() -> None:
    values = np.array([0.1, 0.5, 0.5])
    assert wilcoxon(values, values.copy()) == 1.0


@pytest.mark.parametrize("differences", [[1.0], [0.0, 1.0], [1.0, -1.0], [1.0, 1.0], [0.5, 0.5, 0.5]])
def test_tiny_samples_give_a_p_without_a_warning(differences: list[float]) -> None:
    assert 0.05 * (len(differences) < 3) < wilcoxon(np.array(differences), np.zeros(len(differences))) <= 1


def test_wilcoxon_is_its_normal_approximation() -> None:
    rng = np.random.default_rng(0)
    a = rng.random(40)
    b = a - rng.normal(0.1, 0.3, 40)
    ranks = scipy.stats.rankdata(np.abs(a - b))
    z = (ranks[a > b].sum() - 40 * 41 / 4) / np.sqrt(40 * 41 * 81 / 24)
    assert wilcoxon(a, b) == pytest.approx(2 * scipy.stats.norm.sf(abs(z)))
    assert wilcoxon(a, b) == pytest.approx(scipy.stats.wilcoxon(a, b, method="exact").pvalue, abs=1e-3)
    assert wilcoxon(a, b) == pytest.approx(wilcoxon(b, a))


def test_users_without_a_difference_do_not_count() -> None:
    a, same = np.random.default_rng(0).normal(0.3, 1, 30), np.zeros(20)
    assert wilcoxon(np.concatenate([a, same]), np.zeros(50)) == pytest.approx(wilcoxon(a, np.zeros(30)))


def test_every_pair_of_models_is_tested_once() -> None:
    rng = np.random.default_rng(0)
    values = {name: rng.random(30) + shift for name, shift in (("mf", 0), ("ease", 0.1), ("ials", 0.9))}
    tests = compare_pairs(values, "recall@10")
    assert [(test.a, test.b) for test in tests] == [("mf", "ease"), ("mf", "ials"), ("ease", "ials")]
    assert {test.metric for test in tests} == {"recall@10"}
    for test in tests:
        assert test.difference == pytest.approx(values[test.a].mean() - values[test.b].mean())
        assert test.p == wilcoxon(values[test.a], values[test.b])
    assert [test.p_corrected for test in tests] == holm([test.p for test in tests])


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_models_have_no_pair(n: int) -> None:
    assert compare_pairs(dict.fromkeys(["mf"][:n], np.ones(3)), "recall@10") == []


def test_models_of_different_users_are_not_compared() -> None:
    with pytest.raises(OptionError, match="models can only be compared on the same users"):
        compare_pairs({"mf": np.ones(3), "ease": np.ones(2)}, "recall@10")
