"""Initial vectors from features or from a truncated SVD, so that similar items start near each other."""

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import svds

from tastespace.data.features import Features
from tastespace.data.interactions import Interactions
from tastespace.errors import OptionError
from tastespace.models.base import Model
from tastespace.models.spectral import item_directions, normalise_degrees

_SMOOTHING = 3.0  # of the degrees, as in `spectral`
_POWER_ITERATIONS = 4
_NOISE = 0.1  # share of the default vectors that is added, so that no two rows coincide
_DENSE_BELOW = 512  # features; with fewer, a full decomposition is faster


@torch.no_grad()
def init_from_features(model: Model, name: str, features: Features) -> None:
    """Add the leading directions of the features to the initial vectors of each table, at equal strength.

    Users or items without features keep their initial vectors. Raises `OptionError` for a model without tables,
    and for data without features.
    """
    _require_tables(model, name, "features")
    if features.users.shape[1] + features.items.shape[1] == 0:
        raise OptionError(
            "the data have no features of users or items to initialise vectors from (see docs/formats.md)"
        )
    for names, matrix in ((model.user_tables, features.users), (model.item_tables, features.items)):
        if matrix.nnz == 0:
            continue
        for table in (model.get_parameter(parameter) for parameter in names):
            content = torch.from_numpy(leading_directions(matrix, table.shape[1])).to(table)
            with_features = content.square().sum(dim=1) > 0
            scale = table.square().mean().sqrt().clamp(min=1e-6)
            content *= scale / content[with_features].square().mean().sqrt().clamp(min=1e-6)
            table[with_features] = (table[with_features] + content[with_features]) * 0.5**0.5


@torch.no_grad()
def init_from_svd(model: Model, name: str, rows: Interactions) -> None:
    """Set each table to a truncated SVD of the rows, at the scale of its initial vectors.

    Positives are degree-normalised as in `spectral`. Each part of a row gets the strongest directions; both halves of a
    part get strong and weak ones.
    Raises `OptionError` for a model without tables.
    """
    _require_tables(model, name, "svd")
    liked = rows.positives().matrix()
    user_tables, item_tables = (
        [model.get_parameter(parameter) for parameter in names] for names in (model.user_tables, model.item_tables)
    )
    widest = max(model.table_parts or (table.shape[1] for table in user_tables + item_tables))
    width = min(widest, max(1, min(liked.shape) // 4))
    directions = item_directions(rows, width, _SMOOTHING, _POWER_ITERATIONS)
    normalised = normalise_degrees(liked, _SMOOTHING)
    users = normalised @ directions  # (U, d) left singular vectors times singular values
    items = directions * np.linalg.norm(users, axis=0)  # (N, d) right ones likewise
    for tables, content in ((user_tables, users), (item_tables, items)):
        for part in (part for table in tables for part in table.split(model.table_parts or table.shape[1], dim=1)):
            halves = np.concatenate([content[:, 0::2], content[:, 1::2]], axis=1)[:, : part.shape[1]]
            vectors = torch.from_numpy(np.ascontiguousarray(halves)).to(part)
            scale = part.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-6)
            vectors *= scale * (part.shape[1] / vectors.square().sum(dim=1, keepdim=True).clamp(min=1e-20)) ** 0.5
            part[:, : vectors.shape[1]] = vectors + _NOISE * part[:, : vectors.shape[1]]


def _require_tables(model: Model, name: str, init: str) -> None:
    if not model.user_tables and not model.item_tables:
        source = "an SVD" if init == "svd" else init
        raise OptionError(f"{name} has no vectors to initialise from {source}; leave out --set init={init}")


def leading_directions(matrix: sp.csr_matrix, dim: int) -> NDArray[np.float32]:
    """(M, dim) coordinates of the rows of `matrix` (M, F) along its leading singular directions, zeros beyond F."""
    n_rows, width = matrix.shape
    coordinates = np.zeros((n_rows, dim), dtype=np.float32)
    if min(n_rows, width) == 0:
        return coordinates
    if width <= _DENSE_BELOW or dim >= min(n_rows, width):
        _, directions = np.linalg.eigh((matrix.T @ matrix).toarray().astype(np.float64))
        directions = directions[:, ::-1][:, :dim]  # (F, d)
    else:
        _, _, right = svds(matrix.astype(np.float64), k=dim, random_state=np.random.RandomState(0))
        directions = right[::-1].T
    coordinates[:, : directions.shape[1]] = matrix @ directions
    return coordinates
