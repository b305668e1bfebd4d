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
