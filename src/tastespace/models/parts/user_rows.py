"""User rows: which users of a model have a trained vector, and the fold-in that answers for all others."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tastespace.data.histories import Histories
from tastespace.data.queries import Queries
from tastespace.models.parts.fold_in import FoldIn, fit_fold_in


def rows_of(table: Tensor, indices: Tensor) -> Tensor:
    """(B, D) rows of a table, whose gradient is sparse: of these rows alone (see `optimizer`)."""
    return F.embedding(indices, table, sparse=True)


class UserRows(nn.Module):
    """State of a table of user vectors: positives that each row was trained on, and fold-in vectors of the items.

    A query is answered by the user's row where that row was trained on just as many positives as the query's history
    holds; by folding the history in otherwise: a new user, a known one with newer events, or anyone where newer rows
    weigh more, which a trained row knows nothing of.
    """

    n_positives: Tensor
    fold: Tensor

    def __init__(self, n_users: int, n_items: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("n_positives", torch.zeros(n_users, dtype=torch.int32))  # (U,) of the training rows
        self.register_buffer("fold", torch.zeros(n_items, dim))  # (N, D) fold-in vectors of the items

    def prepare(self, n_positives: NDArray[np.integer]) -> None:
        """Note the number of training positives (U,) of each user; users with none have no row."""
        self.n_positives = torch.from_numpy(n_positives.astype(np.int32))

    def answers(self, queries: Queries, recency: float) -> NDArray[np.bool_]:
        """(B,) whether the trained row answers the query."""
        if recency < 1:
            return np.zeros(len(queries), dtype=bool)
        n_positives = self.n_positives.cpu().numpy()[queries.users]
        return (queries.users >= 0) & (n_positives > 0) & (n_positives == queries.history.positives().lengths)

    @torch.no_grad()
    def fit(self, items: Tensor, users: Tensor, histories: Histories) -> None:
        """Fit the fold-in vectors (N, D) so that folded-in training histories come close to the user vectors (U, D)."""
        folded = fit_fold_in(items.cpu().numpy(), users.cpu().numpy(), histories)
        self.fold = torch.from_numpy(folded).to(items.device)

    def fold_in(
        self,
        bias_query: NDArray[np.float32],
        blocks: Sequence[tuple[int, float]],
        items: Tensor | None,
        recency: float,
    ) -> FoldIn:
        """Return the fold-in: the mean of the positives' vectors, scaled to the lengths of the `blocks`, if any.

        With `items` (N, D + n_bias), the ranked item vectors, a step up the likelihood follows.
        """
        vectors = self.fold.cpu().numpy()
        if items is None:
            return FoldIn(vectors, blocks, bias_query, bias_query, recency=recency)
        ranked = items.detach().cpu().numpy()
        return FoldIn.with_likelihood_step(vectors, blocks, bias_query, ranked, recency=recency)
