"""Adam: Kingma and Ba 2015, with decoupled decay (Loshchilov and Hutter 2019, AdamW).

Written out for two reasons. torch's optimisers load its compiler on first use, which takes a second or two: as long as
`mf` takes to be trained on MovieLens 100K. And a large table passes piece by piece through the processor's cache, so
that weights, gradients and moments are fetched from memory once a step, not once an operation.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

_PIECE = 2**18  # numbers; four such pieces, of 1 MiB each, are worked on at a time
_FIRST_DECAY, _SECOND_DECAY, _EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """Steps along the gradients of some parameters; the learning rate is given with each step."""

    def __init__(self, parameters: Iterable[Tensor], weight_decay: float = 0.0) -> None:
        self.parameters = list(parameters)
        self.weight_decay = weight_decay
        self._first = [torch.zeros_like(weight, requires_grad=False) for weight in self.parameters]
        self._second = [torch.zeros_like(weight, requires_grad=False) for weight in self.parameters]
        self._steps = [0] * len(self.parameters)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for weight in self.parameters:
            weight.grad = None

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move every parameter that has a gradient; the others keep their moments, too."""
        for place, weight in enumerate(self.parameters):
            if weight.grad is None:
                continue
            self._steps[place] += 1
            whole = (weight, weight.grad.contiguous(), self._first[place], self._second[place])
            for piece in zip(*(tensor.view(-1).split(_PIECE) for tensor in whole), strict=True):
                self._move(*piece, steps=self._steps[place], rate=rate)

    def _move(
        self, weight: Tensor, gradient: Tensor, first: Tensor, second: Tensor, *, steps: int, rate: float
    ) -> None:
        if self.weight_decay:
            weight.mul_(1 - rate * self.weight_decay)
        first.lerp_(gradient, 1 - _FIRST_DECAY)
        second.mul_(_SECOND_DECAY).addcmul_(gradient, gradient, value=1 - _SECOND_DECAY)
        spread = second.sqrt().mul_((1 - _SECOND_DECAY**steps) ** -0.5).add_(_EPSILON)
        weight.addcdiv_(first, spread, value=-rate / (1 - _FIRST_DECAY**steps))

    def tensors(self) -> dict[str, Tensor]:
        """The moments and step counts by name, for a checkpoint."""
        found = {}
        for place, steps in enumerate(self._steps):
            found[f"{place}.first"], found[f"{place}.second"] = self._first[place], self._second[place]
            found[f"{place}.steps"] = torch.tensor(steps)
        return found

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `tensors` gave. Raises `KeyError` or `ValueError` for what is not of these parameters."""
        for place, weight in enumerate(self.parameters):
            for kept, name in ((self._first, "first"), (self._second, "second")):
                moment = tensors[f"{place}.{name}"]
                if moment.shape != weight.shape:
                    raise ValueError(f"a moment of shape {tuple(moment.shape)} for weights {tuple(weight.shape)}")
                kept[place].copy_(moment)
            self._steps[place] = int(tensors[f"{place}.steps"])
