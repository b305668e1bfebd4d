"""Start: vectors that begin where features put them, so that things alike are near before any event is seen."""

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import svds

from tastespace.data.features import Features
from tastespace.errors import OptionError
from tastespace.models.base import Model

_DENSE_BELOW = 512  # features; fewer are decomposed whole


@torch.no_grad()
def start_from_features(model: Model, name: str, features: Features) -> None:
    """Add to the start of each of a model's tables the leading directions of the features, at equal strength.

    Users or items without features keep their start. Raises `OptionError` for a model without tables, and for data
    without features.
    """
    if not model.user_tables and not model.item_tables:
        raise OptionError(f"{name} has no vectors that could start from features; leave --set start=features out")
    if features.users.shape[1] + features.items.shape[1] == 0:
        raise OptionError("the data have no features of users or items to start from (see docs/formats.md)")
    for names, matrix in ((model.user_tables, features.users), (model.item_tables, features.items)):
        if matrix.nnz == 0:
            continue
        for table in (model.get_parameter(one) for one in names):
            content = torch.from_numpy(leading_directions(matrix, table.shape[1])).to(table)
            described = content.square().sum(dim=1) > 0
            own = table.square().mean().sqrt().clamp(min=1e-6)
            content *= own / content[described].square().mean().sqrt().clamp(min=1e-6)
            table[described] = (table[described] + content[described]) * 0.5**0.5


def leading_directions(matrix: sp.csr_matrix, dim: int) -> NDArray[np.float32]:
    """(M, dim) coordinates of the rows of `matrix` (M, F) along its leading singular directions, zeros beyond F."""
    n_rows, width = matrix.shape
    found = np.zeros((n_rows, dim), dtype=np.float32)
    if min(n_rows, width) == 0:
        return found
    if width <= _DENSE_BELOW or dim >= min(n_rows, width):
        _, directions = np.linalg.eigh((matrix.T @ matrix).toarray().astype(np.float64))
        directions = directions[:, ::-1][:, :dim]  # (F, d)
    else:
        _, _, right = svds(matrix.astype(np.float64), k=dim, random_state=np.random.RandomState(0))
        directions = right[::-1].T
    found[:, : directions.shape[1]] = matrix @ directions
    return found
