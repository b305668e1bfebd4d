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
    """() -log sigmoid of the margin of each positive (P,) over its negatives (P, n). Rendle et al. 2009."""
    losses = F.softplus(negative - positive[:, None]).mean(dim=1)  # (P,)
    return (losses * weight).sum() / weight.sum()


def gbce(positive: Tensor, negative: Tensor, weight: Tensor, n_items: int, calibration: float) -> Tensor:
    """() binary cross-entropy whose positives (P,) count sigmoid(s)**beta: uniform negatives (P, n) of `n_items` items
    make plain binary cross-entropy overconfident. Petrov and Macdonald 2023, "gSASRec", equations 14 and 15.

    `calibration` in [0, 1]: 0 is plain binary cross-entropy over n negatives, 1 gives calibrated probabilities.
    """
    share = min(1.0, negative.shape[1] / max(1, n_items - 1))  # alpha, of the catalogue that is drawn
    beta = share * (calibration * (1 - 1 / share) + 1 / share)
    losses = beta * F.softplus(-positive) + F.softplus(negative).sum(dim=1)  # (P,)
    return (losses * weight).sum() / weight.sum()


class _LogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, log_expected: Tensor, hit: Tensor) -> Tensor:
        scores.sub_(log_expected).masked_fill_(hit, -torch.inf)
        highest = scores.amax(dim=1, keepdim=True).clamp_(min=torch.finfo(scores.dtype).min)  # all may be hits
        sums = scores.sub_(highest).exp_().sum(dim=1)
        ctx.save_for_backward(scores, sums)
        return sums.log() + highest.squeeze(1)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None, None]:
        powers, sums = ctx.saved_tensors
        return powers.mul_((outer / sums.clamp(min=torch.finfo(sums.dtype).tiny))[:, None]), None, None


def sampled_softmax(
    positive: Tensor, rows: Tensor, candidates: Tensor, hit: Tensor, log_expected: Tensor, weight: Tensor
) -> Tensor:
    """() softmax cross-entropy of each positive (P,), of row `rows` (P,), against candidates (B, M) drawn for all.

    `hit` (B, M) marks accidental hits, candidates that are positives of the row: they are left out, so that one sum
    serves all positives of a row. `log_expected` (M,) is the logarithm of a candidate's expected count in the sample;
    subtracted, it makes the sum over candidates an estimate of that over the catalogue (logQ correction, Bengio and
    Senecal 2008; Yi et al. 2019). It is written over `candidates`, which must not be used afterwards.
    """
    log_sum = _LogSumExp.apply(candidates, log_expected, hit)  # type: ignore[no-untyped-call]  # (B,)
    losses = torch.logaddexp(positive, log_sum[rows]) - positive  # (P,)
    return (losses * weight).sum() / weight.sum()


@dataclass(frozen=True)
class Targets:
    """Targets of a softmax over rows of scores: (row, column) pairs (P,) with weights; the loss is divided by `total`.

    `offset` (P,) is added to the targets' own scores, `given_offset` (T,) to those of other pairs (T,); a pair that is
    also a target keeps its score.
    """

    rows: Tensor
    columns: Tensor
    weight: Tensor
    total: float
    offset: Tensor | None
    given_rows: Tensor
    given_columns: Tensor
    given_offset: Tensor

    def chunks(self, n_rows: int, size: int) -> "Iterator[tuple[slice, Targets]]":
        """Targets of `size` rows at a time, with rows numbered from the first of each chunk."""
        if n_rows <= size:
            yield slice(0, n_rows), self
            return
        starts = range(0, n_rows, size)
        own_rows, given_rows = _by_chunk(self.rows, starts), _by_chunk(self.given_rows, starts)
        for start, own, given in zip(starts, own_rows, given_rows, strict=True):
            yield (
                slice(start, min(start + size, n_rows)),
                Targets(
                    self.rows[own] - start,
                    self.columns[own],
                    self.weight[own],
                    self.total,
                    None if self.offset is None else self.offset[own],
                    self.given_rows[given] - start,
                    self.given_columns[given],
                    self.given_offset[given],
                ),
            )


def _by_chunk(rows: Tensor, starts: range) -> tuple[Tensor, ...]:
    """Positions in `rows` (P,) that belong to each chunk of rows."""
    ordered, order = torch.sort(rows, stable=True)
    bounds = torch.searchsorted(ordered, torch.tensor(list(starts)[1:], dtype=rows.dtype, device=rows.device))
    return order.tensor_split(bounds.cpu())


def _to_gradient(logits: Tensor, targets: Targets) -> Tensor:
    """() the softmax cross-entropy of `targets`; `logits` (B, N) become its gradient, in place."""
    cells, given = (targets.rows, targets.columns), (targets.given_rows, targets.given_columns)
    weight = targets.weight.to(logits) / targets.total
    if len(targets.given_offset):
        scores = logits[cells]
        logits[given] = logits[given] + targets.given_offset.to(logits)
        logits[cells] = scores
    if targets.offset is not None:
        logits.index_put_(cells, targets.offset.to(logits), accumulate=True)
    per_row = logits.new_zeros(len(logits)).index_add_(0, targets.rows, weight)  # (B,)
    picked = logits[cells]  # (P,)
    highest = logits.amax(dim=1, keepdim=True)
    sums = logits.sub_(highest).exp_().sum(dim=1)  # (B,)
    loss = (per_row * (sums.log() + highest.squeeze(1))).sum() - (picked * weight).sum()
    logits.mul_((per_row / sums)[:, None]).index_put_(cells, -weight, accumulate=True)
    return loss


def _times(gradient: Tensor, outer: Tensor) -> Tensor:
    """gradient * outer, without a copy where outer is 1."""
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
    gradient is that of one softmax an interaction, at a cost lower by interactions / users. It is written over
    `logits`, which must not be used afterwards: this saves a pass over memory.
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
        for rows, chunk in targets.chunks(len(users), size):
            vectors = users[rows]
            logits = products(vectors, items, bias, out=scratch[: len(vectors)])
            loss += _to_gradient(logits, chunk)
            torch.mm(logits, items, out=to_users[rows])
            to_items.addmm_(logits.T, vectors)
            to_bias += logits.sum(dim=0)
        ctx.save_for_backward(to_users, to_items, to_bias)
        return loss

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        to_users, to_items, to_bias = ctx.saved_tensors
        return _times(to_users, outer), _times(to_items, outer), _times(to_bias, outer), None


def softmax_of_products(users: Tensor, items: Tensor, bias: Tensor, targets: Targets) -> Tensor:
    """() `softmax` of the scores users (B, D) @ items (N, D).T + bias (N,), which are never held as a whole.

    Scores become gradients some users at a time, in memory that stays in the processor's cache: the time is
    that of three matrix products, and memory does not grow with the step.
    """
    return _SoftmaxOfProducts.apply(users, items, bias, targets)  # type: ignore[no-untyped-call]
