"""Losses, as functions of scores. P positives, B users, N items, n negatives each, M shared candidates."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


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


class _SoftmaxPerUser(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, rows: Tensor, columns: Tensor, weight: Tensor, total: float) -> Tensor:
        weight = weight.to(logits) / total
        per_row = logits.new_zeros(len(logits)).index_add_(0, rows, weight)  # (B,)
        picked = logits[rows, columns]  # (P,)
        highest = logits.amax(dim=1, keepdim=True)
        gradient = logits.sub_(highest).exp_()  # (B, N)
        sums = gradient.sum(dim=1)  # (B,)
        loss = (per_row * (sums.log() + highest.squeeze(1))).sum() - (picked * weight).sum()
        gradient.mul_((per_row / sums)[:, None])
        gradient.index_put_((rows, columns), -weight, accumulate=True)
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * outer, None, None, None, None


def softmax_per_user(logits: Tensor, rows: Tensor, columns: Tensor, weight: Tensor, total: float) -> Tensor:
    """() softmax cross-entropy of many targets a user, from one row of logits a user.

    The sum over targets (rows, columns) (P,) of weight * (logsumexp(logits[row]) - logits[row, column]), divided by
    `total`. Its gradient is that of one softmax an interaction, at a cost lower by interactions / users. It is made
    in place of `logits` (B, N), which must not be used afterwards: a pass less to write and to read.
    """
    return _SoftmaxPerUser.apply(logits, rows, columns, weight, total)  # type: ignore[no-untyped-call]
