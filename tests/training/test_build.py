"""A model before its first epoch."""

import torch

from tastespace import models
from tastespace.data.dataset import Dataset
from tastespace.data.features import Features
from tastespace.data.split import whole
from tastespace.models.base import Model, Options, Shapes
from tastespace.training.build import build_model, shapes_of


def built(data: Dataset, **options: object) -> Model:
    on = whole(data)
    cls = models.get("mf")
    return build_model("mf", cls.Config(dim=8), shapes_of(cls, on, None), Options(**options), on.train, None)


def test_equal_seeds_give_equal_weights_and_others_do_not(board: Dataset) -> None:
    first, again, other = (built(board, seed=seed).user for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_model_is_prepared_from_the_training_rows(board: Dataset) -> None:
    model = built(board)
    assert model.user_rows.n_positives.tolist() == whole(board).train.positives().histories().lengths.tolist()


def test_svd_vectors_differ_from_the_default(board: Dataset) -> None:
    assert not torch.equal(built(board, init="svd").item, built(board).item)


def test_shapes_have_features_only_where_the_model_reads_them(board: Dataset) -> None:
    on = whole(board)
    features = Features.of(on.dataset)
    size = Shapes(on.train.n_users, on.train.n_items)
    assert shapes_of(models.get("mf"), on, features) == size
    with_features = Shapes(size.n_users, size.n_items, features.users.shape[1], features.items.shape[1])
    assert shapes_of(models.get("two_tower"), on, features) == with_features
    assert shapes_of(models.get("two_tower"), on, None) == size
