"""LightGCN against the dense formula of its paper."""

import numpy as np
import pytest
import torch

from tastespace.data.split import split
from tastespace.data.synthetic import checkerboard
from tastespace.errors import OptionError
from tastespace.models.base import Shapes
from tastespace.models.lightgcn import LightGCN, LightGCNConfig
from tastespace.training.fit import train

LOSSES = ["softmax", "sampled-softmax", "bpr", "bce"]


def made(**settings: object) -> LightGCN:
    rows = split(checkerboard(), "article").train
    torch.manual_seed(0)
    model = LightGCN(LightGCNConfig(dim=4, **settings), Shapes(rows.n_users, rows.n_items))
    model.prepare(rows)
    return model


def dense_step(model: LightGCN) -> torch.Tensor:
    """(U + N, U + N) the normalised adjacency matrix, made the slow way."""
    rows = split(checkerboard(), "article").train
    liked = torch.from_numpy(rows.positives().matrix().toarray())
    U, N = liked.shape
    adjacency = torch.zeros(U + N, U + N)
    adjacency[:U, U:], adjacency[U:, :U] = liked, liked.T
    scale = adjacency.sum(dim=1).clamp(min=1e-12).rsqrt()
    return scale[:, None] * adjacency * scale[None, :]


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_propagation_is_the_mean_of_powers_of_the_dense_matrix(layers: int) -> None:
    model = made(layers=layers)
    step, layer = dense_step(model), torch.cat([model.user, model.item])
    expected = layer
    for _ in range(layers):
        layer = step @ layer
        expected = expected + layer
    torch.testing.assert_close(torch.cat(model.propagate()), expected / (layers + 1))


def test_gradient_is_that_of_the_dense_matrix() -> None:
    model = made(layers=2)
    target = torch.randn(len(model.user) + len(model.item), 4)
    (torch.cat(model.propagate()) * target).sum().backward()
    actual = torch.cat([model.user.grad, model.item.grad])
    both = torch.cat([model.user, model.item]).detach().requires_grad_()
    step = dense_step(model)
    ((both + step @ both + step @ (step @ both)) / 3 * target).sum().backward()
    torch.testing.assert_close(actual, both.grad)


def test_without_layers_vectors_are_those_that_are_trained() -> None:
    model = made(layers=0)
    users, items = model.propagate()
    assert torch.equal(users, model.user)
    assert torch.equal(items, model.item)


def test_l2_on_layer_0_adds_half_its_squares() -> None:
    plain, pulled = made(layer_l2=0.0), made(layer_l2=0.1)
    rows = split(checkerboard(), "article").train
    batch = next(iter(plain.batches(rows, np.random.default_rng(0), 100)))
    squares = plain.user[batch.users].square().sum() + plain.item.square().sum()
    torch.testing.assert_close(pulled.loss(batch), plain.loss(batch) + 0.05 * squares / len(batch.users))


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_separates_the_colours(loss: str) -> None:
    on = split(checkerboard(), "article")
    fit = train("lightgcn", on, baselines=False, search=False, dim=8, loss=loss, epochs=20, refit=False)
    vectors = fit.model.item_embeddings()
    unit = torch.nn.functional.normalize(vectors, dim=1)
    alike = (unit @ unit.T).detach().numpy()
    same = np.add.outer(np.arange(60), np.arange(60)) % 2 == 0
    assert alike[same].mean() > alike[~same].mean() + 0.2


def test_evaluation_before_training_uses_the_propagated_start() -> None:
    model = made()
    model.train()
    model.eval()
    scaled = model.config.scaled(model.propagate()[1], model.item_length).detach()
    torch.testing.assert_close(model.item_vectors, scaled)


def test_layers_below_zero_are_refused() -> None:
    with pytest.raises(OptionError, match="layers"):
        LightGCNConfig(layers=-1)
