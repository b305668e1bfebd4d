"""Ranking the whole catalogue, in chunks of users."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tastespace.data.histories import Histories
from tastespace.data.queries import Queries
from tastespace.errors import OptionError, TrainingError

Scorer = Callable[[Queries], Tensor]
"""Queries (B) to scores (B, N), in a fresh tensor that may be overwritten."""

_CHUNK_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class Rankings:
    """The K best items of each user, best first; -1 fills up where fewer are left."""

    users: NDArray[np.int64]  # (R,)
    items: NDArray[np.int64]  # (R, K)


def top_k(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The `k` largest of each row and their columns, best first; equal scores go to the lower column.

    `scores` (B, N) may hold -inf for what must not come back: those places get column -1. Raises
    `TrainingError` for NaN.
    """
    n = scores.shape[1]
    taken = min(k + 1, n)
    values, columns = torch.topk(scores, taken, dim=1)  # (B, taken)
    if bool(torch.isnan(values).any()):
        raise TrainingError("a model scored some item NaN: its vectors are not finite")
    if taken > k:
        # topk breaks a tie across the cut as it likes: such rows are sorted whole
        tied = (values[:, k] == values[:, k - 1]) & (values[:, k] > -torch.inf)
        if bool(tied.any()):
            rows = torch.nonzero(tied).squeeze(1)
            ordered, order = torch.sort(scores[rows], dim=1, descending=True, stable=True)
            values[rows], columns[rows] = ordered[:, :taken], order[:, :taken]
        values, columns = values[:, :k], columns[:, :k]
    by_column = torch.argsort(columns, dim=1)
    values, columns = values.gather(1, by_column), columns.gather(1, by_column)
    by_value = torch.argsort(values, dim=1, descending=True, stable=True)
    values, columns = values.gather(1, by_value), columns.gather(1, by_value)
    return values, torch.where(values == -torch.inf, -1, columns)


@torch.no_grad()
def rank(
    score: Scorer,
    queries: Queries,
    hidden: Histories,
    *,
    n_items: int,
    k: int,
    tick: Callable[[int], None] | None = None,
) -> NDArray[np.int64]:
    """(R, K) the `k` best unhidden items for each of R queries, best first; -1 fills up where fewer are left.

    `hidden` holds a list for every query. Memory: a chunk of scores, about 64 MiB, at a time.
    """
    if k < 1:
        raise OptionError(f"k is {k}, but at least 1 is expected")
    per_chunk = int(max(1, min(1024, _CHUNK_BYTES // (4 * max(1, n_items)))))
    items = np.full((len(queries), k), -1, dtype=np.int64)
    for start in range(0, len(queries), per_chunk):
        part = np.arange(start, min(start + per_chunk, len(queries)))
        scores = score(queries.take(part))  # (B, N)
        left_out = hidden.take(part)
        rows = torch.from_numpy(left_out.rows)
        scores[rows, torch.from_numpy(left_out.items.astype(np.int64))] = -torch.inf
        _, best = top_k(scores, min(k, n_items))
        items[start : start + len(part), : best.shape[1]] = best.cpu().numpy()
        if tick is not None:
            tick(start + len(part))
    return items
