"""Adam against torch's own."""

import pytest
import torch

from tastespace.training import optimizer
from tastespace.training.optimizer import Adam


@pytest.mark.parametrize("piece", [1, 7, 2**18])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_steps_are_those_of_torchs_adamw(decay: float, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizer, "_CHUNK", piece)
    torch.manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(shape)) for shape in ((3, 5), (4,), (2, 2))]
    theirs = [torch.nn.Parameter(weight.detach().clone()) for weight in ours]
    mine, reference = Adam(ours, decay), torch.optim.AdamW(theirs, weight_decay=decay)
    for step in range(6):
        rate = 0.1 / (1 + step)
        reference.param_groups[0]["lr"] = rate
        for own, library in zip(ours, theirs, strict=True):
            own.grad = torch.randn_like(own)
            library.grad = own.grad.clone()
        if step < 3:  # a parameter whose gradient comes late
            ours[2].grad = theirs[2].grad = None
        mine.step(rate)
        reference.step()
    for own, library in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, library, rtol=1e-5, atol=1e-6)


def test_restored_moments_go_on_as_if_nothing_had_happened() -> None:
    weights = [torch.nn.Parameter(torch.ones(3)) for _ in range(2)]
    first, second = Adam(weights[:1]), Adam(weights[1:])
    for _ in range(3):
        weights[0].grad = torch.tensor([1.0, -2.0, 0.0])
        first.step(0.1)
    with torch.no_grad():
        weights[1].copy_(weights[0])
    second.restore({name: tensor.clone() for name, tensor in first.tensors().items()})
    for weight, steps in zip(weights, (first, second), strict=True):
        weight.grad = torch.tensor([0.5, 0.5, 0.5])
        steps.step(0.1)
        steps.zero_grad()
        assert weight.grad is None
    assert torch.equal(*weights)


def test_moments_of_other_weights_are_refused() -> None:
    tensors = Adam([torch.nn.Parameter(torch.ones(3))]).tensors()
    with pytest.raises(ValueError, match=r"a moment of shape \(3,\) for weights \(4,\)"):
        Adam([torch.nn.Parameter(torch.ones(4))]).restore(tensors)
    with pytest.raises(KeyError):
        Adam([torch.nn.Parameter(torch.ones(3)) for _ in range(2)]).restore(tensors)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_sparse_gradient_moves_its_rows_alone_as_far_as_the_gradients_of_each_step_say(decay: float) -> None:
    table = torch.nn.Parameter(torch.ones(4, 3))
    adam, second = Adam([table], decay), torch.zeros(3)
    gradients = {1: torch.tensor([1.0, -2.0, 0.0]), 5: torch.tensor([0.5, 4.0, 0.0])}
    expected = torch.ones(3)
    for step in range(1, 6):
        touched = 2 if step in gradients else 3
        values = gradients.get(step, torch.ones(3))[None]
        table.grad = torch.sparse_coo_tensor(torch.tensor([[touched]]), values, table.shape, check_invariants=True)
        adam.step(0.1)
        second *= 0.999
        expected *= 1 - 0.1 * decay
        if step in gradients:
            second += 0.001 * values[0] ** 2
            expected -= optimizer._ROW_RATE * 0.1 * values[0] / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
    torch.testing.assert_close(table[2].detach(), expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(table[:2], torch.ones(2, 3))


def test_repeated_rows_of_a_sparse_gradient_add_up() -> None:
    once, twice = (torch.nn.Parameter(torch.ones(3, 2)) for _ in range(2))
    once.grad = torch.sparse_coo_tensor(torch.tensor([[1]]), torch.full((1, 2), 3.0), once.shape, check_invariants=True)
    twice.grad = torch.sparse_coo_tensor(
        torch.tensor([[1, 1]]), torch.tensor([[1.0, 1.0], [2.0, 2.0]]), twice.shape, check_invariants=True
    )
    for table in (once, twice):
        Adam([table]).step(0.1)
    assert torch.equal(once, twice)
    assert not torch.equal(once[1], torch.ones(2))
