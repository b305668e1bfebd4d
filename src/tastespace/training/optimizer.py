"""Adam: Kingma and Ba 2015, with decoupled weight decay (Loshchilov and Hutter 2019, AdamW).

Written out for two reasons. torch's optimisers load its compiler on first use, which takes a second or two: as long as
`mf` takes to be trained on MovieLens 100K. And a large table passes chunk by chunk through the processor's cache, so
that weights, gradients and moments are fetched from memory once a step, not once an operation. Both are measured by
`benchmarks/own_implementations.py`.

A gradient of a few rows (sparse) updates these alone: a user's vector has a gradient once an epoch, and a step that
passes over the vectors of all users would take most of the time of a large log. The first moment of such a row would
fade away before the next gradient, so that a row moves at once, by a share of what it would have moved in the steps
between: all of it is too much in one direction, as validation curves that go up and down show.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

_CHUNK = 2**18  # numbers; four such chunks of 1 MiB each are in use at a time
_ROW_RATE = 0.3  # of a row with a sparse gradient, relative to the learning rate
_FIRST_DECAY, _SECOND_DECAY, _EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """Optimiser of a set of parameters; each step gets its learning rate."""

    def __init__(self, parameters: Iterable[Tensor], weight_decay: float = 0.0) -> None:
        self.parameters = list(parameters)
        self.weight_decay = weight_decay
        self._first = [torch.zeros_like(weight, requires_grad=False) for weight in self.parameters]
        self._second = [torch.zeros_like(weight, requires_grad=False) for weight in self.parameters]
        self._last = [  # step of the last sparse gradient of each row
            torch.zeros(len(weight) if weight.dim() else 1, dtype=torch.int32, device=weight.device)
            for weight in self.parameters
        ]
        self._steps = [0] * len(self.parameters)

    def zero_grad(self) -> None:
        """Drop the gradients."""
        for weight in self.parameters:
            weight.grad = None

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Update every parameter that has a gradient; the others keep their moments too."""
        for index, weight in enumerate(self.parameters):
            if weight.grad is None:
                continue
            self._steps[index] += 1
            if weight.grad.is_sparse:
                self._update_rows(index, weight, weight.grad.coalesce(), rate)
                continue
            tensors = (weight, weight.grad.contiguous(), self._first[index], self._second[index])
            if weight.numel() <= _CHUNK:
                self._update(*tensors, steps=self._steps[index], rate=rate)
                continue
            for chunk in zip(*(tensor.view(-1).split(_CHUNK) for tensor in tensors), strict=True):
                self._update(*chunk, steps=self._steps[index], rate=rate)

    def _update(
        self, weight: Tensor, gradient: Tensor, first: Tensor, second: Tensor, *, steps: int, rate: float
    ) -> None:
        if self.weight_decay:
            weight.mul_(1 - rate * self.weight_decay)
        first.lerp_(gradient, 1 - _FIRST_DECAY)
        second.mul_(_SECOND_DECAY).addcmul_(gradient, gradient, value=1 - _SECOND_DECAY)
        root = second.sqrt().mul_((1 - _SECOND_DECAY**steps) ** -0.5).add_(_EPSILON)
        weight.addcdiv_(first, root, value=-rate / (1 - _FIRST_DECAY**steps))

    def _update_rows(self, index: int, weight: Tensor, gradient: Tensor, rate: float) -> None:
        """Update the rows that a sparse gradient names; their second moments catch up with the steps between."""
        rows, values, steps = gradient.indices()[0], gradient.values(), self._steps[index]
        passed = (steps - self._last[index][rows])[:, None]  # (b, 1) steps since the last gradient
        second = self._second[index][rows] * _SECOND_DECAY**passed
        second.addcmul_(values, values, value=1 - _SECOND_DECAY)
        root = second.sqrt().mul_((1 - _SECOND_DECAY**steps) ** -0.5).add_(_EPSILON)
        current = weight[rows]
        if self.weight_decay:
            current *= (1 - rate * self.weight_decay) ** passed
        weight[rows] = current.addcdiv_(values, root, value=-_ROW_RATE * rate)
        self._second[index][rows] = second
        self._last[index][rows] = steps

    def tensors(self) -> dict[str, Tensor]:
        """The moments and step counts by name, for a checkpoint."""
        tensors = {}
        for index, steps in enumerate(self._steps):
            for name, kept in (("first", self._first), ("second", self._second), ("last", self._last)):
                tensors[f"{index}.{name}"] = kept[index]
            tensors[f"{index}.steps"] = torch.tensor(steps)
        return tensors

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state that `tensors` returned; `KeyError` or `ValueError` if it is of other parameters."""
        for index, weight in enumerate(self.parameters):
            for moments, name in ((self._first, "first"), (self._second, "second"), (self._last, "last")):
                moment = tensors[f"{index}.{name}"]
                if moment.shape != moments[index].shape:
                    raise ValueError(f"a moment of shape {tuple(moment.shape)} for weights {tuple(weight.shape)}")
                moments[index].copy_(moment)
            self._steps[index] = int(tensors[f"{index}.steps"])
