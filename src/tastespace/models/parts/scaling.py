"""Scaling of vectors block by block to fixed lengths, with a gradient in three passes over memory.

The derived gradient of `torch.nn.functional.normalize` makes more, and takes almost twice the time; a training step
with sampled negatives is spent on little else (benchmarks/own_implementations.py).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

_SHORTEST = 1e-12  # vectors shorter than this keep their direction, as in torch


class _ToLengths(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vectors: Tensor, widths: list[int], lengths: Sequence[float]) -> Tensor:
        scaled = torch.empty_like(vectors)
        factors = []
        for part, out, length in zip(vectors.split(widths, -1), scaled.split(widths, -1), lengths, strict=True):
            factors.append(length / torch.linalg.vector_norm(part, dim=-1, keepdim=True).clamp_(min=_SHORTEST))
            torch.mul(part, factors[-1], out=out)
        ctx.save_for_backward(scaled, *factors)
        ctx.widths, ctx.lengths = widths, lengths
        return scaled

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None, None]:
        scaled, *factors = ctx.saved_tensors
        gradient = torch.empty_like(outer)
        parts = (tensor.split(ctx.widths, -1) for tensor in (scaled, outer, gradient))
        for part, above, out, factor, length in zip(*parts, factors, ctx.lengths, strict=True):
            along = torch.linalg.vecdot(part, above).unsqueeze(-1).mul_(-(length**-2))
            torch.addcmul(above, part, along, out=out).mul_(factor)
        return gradient, None, None


def to_lengths(vectors: Tensor, blocks: Sequence[tuple[int, float]]) -> Tensor:
    """(..., D) `vectors` with each block of coordinates at its length; `blocks` are (width, length) and span D."""
    widths, lengths = [width for width, _ in blocks], [length for _, length in blocks]
    scaled: Tensor = _ToLengths.apply(vectors, widths, lengths)  # type: ignore[no-untyped-call]
    return scaled
