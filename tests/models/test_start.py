"""Vectors that start from features."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

import tastespace as ts
from tastespace import models
from tastespace.data.features import Features
from tastespace.errors import OptionError
from tastespace.models.base import Shapes
from tastespace.models.start import leading_directions, start_from_features
from tests.build import dataset, log


def two_kinds() -> Features:
    kinds = np.array(["a", "a", "a", "b", "b", None], dtype=object)
    rows = log([(place, place) for place in range(6)])
    return Features.of(ts.Dataset("kinds", rows, ts.Table({"kind": kinds})))


@pytest.mark.parametrize("dim", [2, 5, 40])
@pytest.mark.parametrize("width", [20, 600])
def test_leading_directions_are_those_of_the_singular_values(width: int, dim: int) -> None:
    matrix = sp.random(30, width, density=0.2, random_state=np.random.RandomState(1), format="csr").astype(np.float32)
    found = leading_directions(matrix, dim)
    left, values, _ = np.linalg.svd(matrix.toarray(), full_matrices=False)
    kept = min(dim, len(values))
    np.testing.assert_allclose(np.abs(found[:, :kept]), np.abs(left[:, :kept] * values[:kept]), atol=1e-3)
    assert not found[:, kept:].any() or dim > len(values)


def test_no_features_have_no_directions() -> None:
    assert not leading_directions(sp.csr_matrix((3, 0), dtype=np.float32), 4).any()


def test_things_alike_start_near_and_the_undescribed_where_they_were() -> None:
    cls = models.get("mf")
    torch.manual_seed(0)
    model = cls(cls.Config(), Shapes(6, 6))
    before = model.get_parameter("item").clone()
    start_from_features(model, "mf", two_kinds())
    after = model.get_parameter("item").detach()
    assert torch.equal(after[5], before[5])
    cosine = torch.nn.functional.cosine_similarity
    assert cosine(after[0], after[1], dim=0) > 0.2 > cosine(after[0], after[3], dim=0)
    assert 0.5 < after[:5].norm() / before[:5].norm() < 2


def test_a_model_without_vectors_is_refused() -> None:
    cls = models.get("ease")
    with pytest.raises(OptionError, match="ease has no vectors that could start from features"):
        start_from_features(cls(cls.Config(), Shapes(6, 6)), "ease", two_kinds())


def test_data_without_features_are_refused() -> None:
    on = ts.split(dataset([(u, i) for u in range(5) for i in range(4)]), "article")
    with pytest.raises(OptionError, match="the data have no features"):
        ts.train("mf", on, start="features", epochs=1)
