"""Losses, as functions of scores. P positives, B users, N items, n negatives each, M shared candidates."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tastespace.models.parts.matmul import products

SCRATCH_BYTES = 12 * 2**20  # of scores at a time: a few times a core's own cache, so that matrix products stay large


def bce(positive: Tensor, negative: Tensor, weight: Tensor) -> Tensor:
    """() binary cross-entropy: positives (P,) labelled 1, their negatives (P, n) labelled 0, both weighted.

    A positive weighs as much as all of its negatives together. He et al. 2017, equation 7.
    """
    liked = F.softplus(-positive)  # (P,) -log sigmoid(s)
    unliked = F.softplus(negative).mean(dim=1)  # (P,) -log(1 - sigmoid(s))
    return ((liked + unliked) * weight).sum() / weight.sum()


def bpr(positive: Tensor, negative: Tensor, weight: Tensor) -> Tensor:
    """() -log sigmoid of how far each positive (P,) stands above its negatives (P, n). Rendle et al. 2009."""
    above = F.softplus(negative - positive[:, None]).mean(dim=1)  # (P,)
    return (above * weight).sum() / weight.sum()


def gbce(positive: Tensor, negative: Tensor, weight: Tensor, n_items: int, calibration: float) -> Tensor:
    """() binary cross-entropy whose positives (P,) count sigmoid(s)**beta: uniform negatives (P, n) of `n_items` items
    make plain binary cross-entropy overconfident. Petrov and Macdonald 2023, "gSASRec", equations 14 and 15.

    `calibration` in [0, 1]: 0 is plain binary cross-entropy over n negatives, 1 gives calibrated probabilities.
    """
    share = min(1.0, negative.shape[1] / max(1, n_items - 1))  # alpha, of the catalogue that is drawn
    beta = share * (calibration * (1 - 1 / share) + 1 / share)
    found = beta * F.softplus(-positive) + F.softplus(negative).sum(dim=1)  # (P,)
    return (found * weight).sum() / weight.sum()


def sampled_softmax(
    positive: Tensor, rows: Tensor, candidates: Tensor, hit: Tensor, log_expected: Tensor, weight: Tensor
) -> Tensor:
    """() softmax cross-entropy of each positive (P,), of row `rows` (P,), against candidates (B, M) drawn for all.

    `hit` (B, M) marks accidental hits, candidates that the row likes: they are left out, so that one sum serves all
    positives of a row. `log_expected` (M,) is the logarithm of how often a candidate was expected in the draw;
    subtracted, it makes the sum over candidates an estimate of that over the catalogue (logQ correction, Bengio and
    Senecal 2008; Yi et al. 2019).
    """
    below = torch.logsumexp((candidates - log_expected).masked_fill(hit, -torch.inf), dim=1)  # (B,)
    found = torch.logaddexp(positive, below[rows]) - positive  # (P,)
    return (found * weight).sum() / weight.sum()


@dataclass(frozen=True)
class Targets:
    """What rows of scores are asked for: (row, column) pairs (P,) with weights, the loss divided by `total`.

    `lift` (P,) is added to the targets' own scores, `told_lift` (T,) to those of other pairs (T,); a pair that is also
    a target keeps its score.
    """

    rows: Tensor
    columns: Tensor
    weight: Tensor
    total: float
    lift: Tensor | None
    told_rows: Tensor
    told_columns: Tensor
    told_lift: Tensor

    def parts(self, n_rows: int, size: int) -> "Iterator[tuple[slice, Targets]]":
        """The same for `size` rows at a time, numbered from each part's first."""
        if n_rows <= size:
            yield slice(0, n_rows), self
            return
        starts = range(0, n_rows, size)
        asked, told = _by_part(self.rows, starts), _by_part(self.told_rows, starts)
        for start, own, others in zip(starts, asked, told, strict=True):
            yield (
                slice(start, min(start + size, n_rows)),
                Targets(
                    self.rows[own] - start,
                    self.columns[own],
                    self.weight[own],
                    self.total,
                    None if self.lift is None else self.lift[own],
                    self.told_rows[others] - start,
                    self.told_columns[others],
                    self.told_lift[others],
                ),
            )


def _by_part(rows: Tensor, starts: range) -> tuple[Tensor, ...]:
    """Places in `rows` (P,) that belong to each part of the rows, from its start on."""
    ordered, order = torch.sort(rows, stable=True)
    bounds = torch.searchsorted(ordered, torch.tensor(list(starts)[1:], dtype=rows.dtype, device=rows.device))
    return order.tensor_split(bounds.cpu())


def _to_gradient(logits: Tensor, targets: Targets) -> Tensor:
    """() the softmax cross-entropy of `targets`; `logits` (B, N) become its gradient, in place."""
    place, told = (targets.rows, targets.columns), (targets.told_rows, targets.told_columns)
    weight = targets.weight.to(logits) / targets.total
    if len(targets.told_lift):
        own = logits[place]
        logits[told] = logits[told] + targets.told_lift.to(logits)
        logits[place] = own
    if targets.lift is not None:
        logits.index_put_(place, targets.lift.to(logits), accumulate=True)
    per_row = logits.new_zeros(len(logits)).index_add_(0, targets.rows, weight)  # (B,)
    picked = logits[place]  # (P,)
    highest = logits.amax(dim=1, keepdim=True)
    sums = logits.sub_(highest).exp_().sum(dim=1)  # (B,)
    loss = (per_row * (sums.log() + highest.squeeze(1))).sum() - (picked * weight).sum()
    logits.mul_((per_row / sums)[:, None]).index_put_(place, -weight, accumulate=True)
    return loss


def _times(gradient: Tensor, outer: Tensor) -> Tensor:
    """The product, without a copy where there is nothing to multiply by."""
    return gradient if float(outer) == 1.0 else gradient * outer


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Targets) -> Tensor:
        loss = _to_gradient(logits, targets)
        ctx.save_for_backward(logits)
        return loss

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return _times(gradient, outer), None


def softmax(logits: Tensor, targets: Targets) -> Tensor:
    """() softmax cross-entropy of many targets a user, from one row of logits (B, N) a user.

    The sum over targets of weight * (logsumexp(logits[row]) - logits[row, column]), divided by their total. Its
    gradient is that of one softmax an interaction, at a cost lower by interactions / users. It is made in place of
    `logits`, which must not be used afterwards: a pass less to write and to read.
    """
    return _Softmax.apply(logits, targets)  # type: ignore[no-untyped-call]


class _SoftmaxOfProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, users: Tensor, items: Tensor, bias: Tensor, targets: Targets) -> Tensor:
        size = max(1, SCRATCH_BYTES // (items.element_size() * max(1, len(items))))
        scratch = users.new_empty(min(size, len(users)), len(items))
        to_users = torch.empty_like(users)
        to_items, to_bias = torch.zeros_like(items), torch.zeros_like(bias)
        loss = users.new_zeros(())
        for part, asked in targets.parts(len(users), size):
            some = users[part]
            logits = products(some, items, bias, out=scratch[: len(some)])
            loss += _to_gradient(logits, asked)
            torch.mm(logits, items, out=to_users[part])
            to_items.addmm_(logits.T, some)
            to_bias += logits.sum(dim=0)
        ctx.save_for_backward(to_users, to_items, to_bias)
        return loss

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        to_users, to_items, to_bias = ctx.saved_tensors
        return _times(to_users, outer), _times(to_items, outer), _times(to_bias, outer), None


def softmax_of_products(users: Tensor, items: Tensor, bias: Tensor, targets: Targets) -> Tensor:
    """() `softmax` of the scores users (B, D) @ items (N, D).T + bias (N,), which are never held as a whole.

    Scores become gradients some users at a time, in memory that stays in the processor's cache: beside three matrix
    products there is hardly anything left to wait for, and a step of any size takes as little memory.
    """
    return _SoftmaxOfProducts.apply(users, items, bias, targets)  # type: ignore[no-untyped-call]
