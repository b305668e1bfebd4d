"""Start: vectors that begin where features put them, so that things alike are near before any event is seen."""

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import svds

from tastespace.data.features import Features
from tastespace.data.interactions import Interactions
from tastespace.errors import OptionError
from tastespace.models.base import Model
from tastespace.models.spectral import leading_item_vectors, normalise_degrees

_SMOOTHING = 3.0  # of the degrees, as in `spectral`
_PASSES = 4
_NOISE = 0.1  # of the own start that stays, so that things unknown or alike do not coincide
_DENSE_BELOW = 512  # features; fewer are decomposed whole


@torch.no_grad()
def init_from_features(model: Model, name: str, features: Features) -> None:
    """Add to the start of each of a model's tables the leading directions of the features, at equal strength.

    Users or items without features keep their start. Raises `OptionError` for a model without tables, and for data
    without features.
    """
    _require_tables(model, name, "features")
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


@torch.no_grad()
def init_from_svd(model: Model, name: str, rows: Interactions) -> None:
    """Put each of a model's tables where a truncated SVD of the rows puts it, at the strength of its own start.

    Rows of likes degree-normalised as in `spectral`; strong and weak directions come to lie in both halves of a vector.
    Raises `OptionError` for a model without tables.
    """
    _require_tables(model, name, "svd")
    liked = rows.positives().matrix()
    by_user, by_item = ([model.get_parameter(one) for one in names] for names in (model.user_tables, model.item_tables))
    width = min(max(table.shape[1] for table in by_user + by_item), max(1, min(liked.shape) // 4))
    found = leading_item_vectors(liked, width, _SMOOTHING, _PASSES)
    normalised = normalise_degrees(liked, _SMOOTHING)
    users = normalised @ found  # (U, d) left singular vectors times singular values
    items = found * np.linalg.norm(users, axis=0)  # the right ones likewise
    for tables, content in ((by_user, users), (by_item, items)):
        for table in tables:
            half = np.concatenate([content[:, 0::2], content[:, 1::2]], axis=1)[:, : table.shape[1]]
            vectors = torch.from_numpy(np.ascontiguousarray(half)).to(table)
            own = table.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-6)
            vectors *= own * (table.shape[1] / vectors.square().sum(dim=1, keepdim=True).clamp(min=1e-20)) ** 0.5
            table[:, : vectors.shape[1]] = vectors + _NOISE * table[:, : vectors.shape[1]]


def _require_tables(model: Model, name: str, start: str) -> None:
    if not model.user_tables and not model.item_tables:
        noun = "an SVD" if start == "svd" else start
        raise OptionError(f"{name} has no vectors that could start from {noun}; leave --set init={start} out")


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
