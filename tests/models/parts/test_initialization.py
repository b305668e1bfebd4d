"""Initial vectors from features, or from an SVD of the positives."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

import tastespace as ts
from tastespace import models
from tastespace.data.features import Features
from tastespace.data.synthetic import checkerboard
from tastespace.errors import OptionError
from tastespace.models.base import Shapes
from tastespace.models.parts.initialization import init_from_features, init_from_svd, leading_directions
from tests.build import dataset, log


def two_kinds() -> Features:
    kinds = np.array(["a", "a", "a", "b", "b", None], dtype=object)
    rows = log([(place, place) for place in range(6)])
    return Features.of(ts.Dataset("kinds", rows, ts.Table({"kind": kinds})))


@pytest.mark.parametrize("dim", [2, 5, 40])
@pytest.mark.parametrize("width", [20, 600])
def test_leading_directions_are_those_of_the_singular_values(width: int, dim: int) -> None:
    matrix = sp.random(30, width, density=0.2, random_state=np.random.RandomState(1), format="csr").astype(np.float32)
    actual = leading_directions(matrix, dim)
    left, values, _ = np.linalg.svd(matrix.toarray(), full_matrices=False)
    n_directions = min(dim, len(values))
    np.testing.assert_allclose(
        np.abs(actual[:, :n_directions]), np.abs(left[:, :n_directions] * values[:n_directions]), atol=1e-3
    )
    assert not actual[:, n_directions:].any() or dim > len(values)


def test_no_features_have_no_directions() -> None:
    assert not leading_directions(sp.csr_matrix((3, 0), dtype=np.float32), 4).any()


def test_similar_items_start_near_and_those_without_features_unchanged() -> None:
    cls = models.get("mf")
    torch.manual_seed(0)
    model = cls(cls.Config(), Shapes(6, 6))
    before = model.get_parameter("item").clone()
    init_from_features(model, "mf", two_kinds())
    after = model.get_parameter("item").detach()
    assert torch.equal(after[5], before[5])
    cosine = torch.nn.functional.cosine_similarity
    assert cosine(after[0], after[1], dim=0) > 0.2 > cosine(after[0], after[3], dim=0)
    assert 0.5 < after[:5].norm() / before[:5].norm() < 2


def test_a_model_without_vectors_is_refused() -> None:
    cls = models.get("ease")
    with pytest.raises(OptionError, match="ease has no vectors to initialise from features"):
        init_from_features(cls(cls.Config(), Shapes(6, 6)), "ease", two_kinds())


def test_data_without_features_are_refused() -> None:
    on = ts.split(dataset([(u, i) for u in range(5) for i in range(4)]), "article")
    with pytest.raises(OptionError, match="the data have no features"):
        ts.train("mf", on, init="features", epochs=1)


@pytest.mark.parametrize("dim", [2, 9, 200])
def test_an_svd_puts_users_beside_items_of_their_colour(dim: int) -> None:
    cls, rows = models.get("mf"), checkerboard().interactions
    torch.manual_seed(0)
    model = cls(cls.Config(dim=dim), Shapes(rows.n_users, rows.n_items))
    before = model.get_parameter("item").detach().norm()
    init_from_svd(model, "mf", rows)
    users, items = (model.get_parameter(name).detach() for name in ("user", "item"))
    scores = users @ items.T
    assert scores[0::2, 0::2].mean() > scores[0::2, 1::2].mean() + 0.5 * scores.std()
    assert scores[1::2, 1::2].mean() > scores[1::2, 0::2].mean() + 0.5 * scores.std()
    assert 0.5 < items.norm() / before < 2


def test_only_models_with_tables_start_from_an_svd() -> None:
    on = ts.split(checkerboard(), "article")
    for name in ("lightgcn", "two_tower", "bert4rec"):
        assert ts.train(name, on, init="svd", epochs=1).best_epoch == 1
    cls = models.get("ease")
    with pytest.raises(OptionError, match="ease has no vectors to initialise from an SVD"):
        init_from_svd(cls(cls.Config(), Shapes(80, 60)), "ease", on.train)


def test_each_part_of_a_table_gets_the_leading_directions() -> None:
    cls, rows = models.get("ncf"), checkerboard().interactions
    torch.manual_seed(0)
    model = cls(cls.Config(dim=8), Shapes(rows.n_users, rows.n_items))
    init_from_svd(model, "ncf", rows)
    for part in range(2):
        users, items = (model.get_parameter(name).detach()[:, 4 * part : 4 * part + 4] for name in ("user", "item"))
        scores = users @ items.T
        assert scores[0::2, 0::2].mean() > scores[0::2, 1::2].mean() + 0.5 * scores.std()
