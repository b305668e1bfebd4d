"""Each loss against its formula, and its gradient against autograd's."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from tastespace.models.parts import losses
from tastespace.models.parts.losses import Targets
from tests.build import examples


def test_bpr_is_minus_log_sigmoid_of_the_margin() -> None:
    actual = losses.bpr(torch.tensor([2.0]), torch.tensor([[0.5, 1.0]]), torch.ones(1))
    expected = -(math.log(1 / (1 + math.exp(-1.5))) + math.log(1 / (1 + math.exp(-1.0)))) / 2
    assert float(actual) == pytest.approx(expected, rel=1e-6)


def test_bce_labels_positives_one_and_negatives_zero() -> None:
    actual = losses.bce(torch.tensor([1.0]), torch.tensor([[-2.0, 0.0]]), torch.ones(1))
    expected = -math.log(1 / (1 + math.exp(-1))) - (math.log(1 - 1 / (1 + math.exp(2))) + math.log(0.5)) / 2
    assert float(actual) == pytest.approx(expected, rel=1e-6)


def test_losses_stay_finite_at_extreme_scores() -> None:
    far = torch.tensor([-1000.0])
    for loss in (losses.bpr, losses.bce):
        assert math.isfinite(float(loss(far, -far[:, None], torch.ones(1))))


def test_sampling_the_whole_catalogue_is_the_full_softmax() -> None:
    torch.manual_seed(0)
    logits = torch.randn(4, 9)
    target = torch.tensor([0, 3, 3, 8])
    hit = F.one_hot(target, 9).bool()
    positive = logits.gather(1, target[:, None]).squeeze(1)
    actual = losses.sampled_softmax(positive, torch.arange(4), logits.clone(), hit, torch.zeros(9), torch.ones(4))
    assert float(actual) == pytest.approx(float(F.cross_entropy(logits, target)), rel=1e-6)


def test_the_correction_makes_a_sample_estimate_the_catalogue() -> None:
    logits = torch.zeros(1, 4)  # 4 of 40 items sampled, all alike
    hit, rows = torch.zeros(1, 4).bool(), torch.zeros(1, dtype=torch.long)
    actual = losses.sampled_softmax(torch.zeros(1), rows, logits, hit, torch.full((4,), -math.log(10)), torch.ones(1))
    assert float(actual) == pytest.approx(math.log(41), rel=1e-6)


def test_sampled_softmax_has_the_gradient_of_its_definition() -> None:
    """Row 1 has one candidate that is no hit; row 2 has hits alone, so that its positive has no rival."""
    torch.manual_seed(0)
    positive, scores = torch.randn(4).double().requires_grad_(), torch.randn(3, 5).double().requires_grad_()
    rows, weight = torch.tensor([0, 0, 1, 2]), torch.tensor([1.0, 0.5, 2.0, 1.0]).double()
    hit, log_expected = torch.zeros(3, 5).bool(), torch.randn(5).double()
    hit[0, 2], hit[1, :4], hit[2] = True, True, True

    def by_rows(positive: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        candidates = (scores - log_expected).masked_fill(hit, -torch.inf)[rows]  # (P, M)
        both = torch.cat([positive[:, None], candidates], dim=1)
        return ((both.logsumexp(dim=1) - positive) * weight).sum() / weight.sum()

    expected = torch.autograd.grad(by_rows(positive, scores), (positive, scores))
    actual = losses.sampled_softmax(positive, rows, scores * 1, hit, log_expected, weight)
    torch.testing.assert_close(actual, by_rows(positive, scores))
    torch.testing.assert_close(torch.autograd.grad(actual, (positive, scores)), expected)


def test_gbce_without_calibration_is_bce_over_all_negatives() -> None:
    positive, negative = torch.tensor([1.0, -0.5]), torch.tensor([[0.3, -2.0], [1.0, 0.0]])
    actual = losses.gbce(positive, negative, torch.ones(2), n_items=21, calibration=0.0)
    expected = sum(
        float(F.softplus(-p)) + sum(float(F.softplus(n)) for n in row)
        for p, row in zip(positive, negative, strict=True)
    )
    assert float(actual) == pytest.approx(expected / 2, rel=1e-6)


def test_gbce_at_full_calibration_weighs_a_positive_by_the_share_drawn() -> None:
    actual = losses.gbce(torch.tensor([1.0]), torch.full((1, 2), -1e9), torch.ones(1), n_items=21, calibration=1.0)
    assert float(actual) == pytest.approx(0.1 * math.log1p(math.exp(-1)), rel=1e-6)  # 2 of 20


def some_targets(rng: np.random.Generator, n_users: int, n_items: int) -> Targets:
    """Targets that may repeat, some with offsets, and given pairs, which may be targets too."""
    n, n_given = int(rng.integers(1, 15)), int(rng.integers(0, 6))

    def pairs(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(rng.integers(0, n_users, count)), torch.from_numpy(rng.integers(0, n_items, count))

    weight = torch.from_numpy(rng.uniform(0.1, 2, n))
    offset = torch.from_numpy(rng.normal(0, 1, n)) if rng.random() < 0.5 else None
    return Targets(
        *pairs(n), weight, float(weight.sum()), offset, *pairs(n_given), torch.full((n_given,), -3.0).double()
    )


def one_softmax_an_interaction(logits: torch.Tensor, targets: Targets) -> torch.Tensor:
    """The same loss, slowly."""
    offset = torch.zeros_like(logits)
    offset[targets.given_rows, targets.given_columns] = targets.given_offset
    offset[targets.rows, targets.columns] = 0.0
    if targets.offset is not None:
        offset.index_put_((targets.rows, targets.columns), targets.offset, accumulate=True)
    actual = F.cross_entropy((logits + offset)[targets.rows], targets.columns, reduction="none")
    return (actual * targets.weight).sum() / targets.total


@settings(max_examples=examples(40), deadline=None)
@given(st.integers(1, 5), st.integers(1, 12), st.integers(0, 2**31 - 1))
def test_softmax_equals_one_softmax_an_interaction(n_users: int, n_items: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets = some_targets(rng, n_users, n_items)
    first = torch.from_numpy(rng.normal(0, 3, (n_users, n_items))).requires_grad_()
    second = first.detach().clone().requires_grad_()
    slow = one_softmax_an_interaction(first, targets)
    slow.backward()
    fast = losses.softmax(second * 1.0, targets)
    fast.backward()
    assert float(fast.detach()) == pytest.approx(float(slow.detach()), rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(second.grad, first.grad, atol=1e-9)


@settings(max_examples=examples(40), deadline=None)
@given(st.integers(1, 9), st.integers(1, 12), st.integers(1, 9), st.integers(0, 2**31 - 1))
def test_softmax_of_products_is_the_same_however_many_users_at_a_time(
    n_users: int, n_items: int, at_a_time: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    targets = some_targets(rng, n_users, n_items)
    shapes = ((n_users, 3), (n_items, 3), (n_items,))
    slow_in, fast_in = (
        [torch.from_numpy(a).requires_grad_() for a in made] for made in [[rng.normal(0, 1, s) for s in shapes]] * 2
    )
    users, items, bias = slow_in
    slow = one_softmax_an_interaction(users @ items.T + bias, targets)
    slow.backward()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses, "SCRATCH_BYTES", 8 * n_items * at_a_time)
        fast = losses.softmax_of_products(*fast_in, targets)
        fast.backward()
    assert float(fast.detach()) == pytest.approx(float(slow.detach()), rel=1e-9, abs=1e-9)
    for own, reference in zip(fast_in, slow_in, strict=True):
        np.testing.assert_allclose(own.grad, reference.grad, atol=1e-9)
