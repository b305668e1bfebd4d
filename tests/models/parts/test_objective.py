"""Items that a query gives are no negatives of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tastespace.data.histories import Histories
from tastespace.data.split import split
from tastespace.data.synthetic import checkerboard
from tastespace.models.parts import objective
from tastespace.models.parts.batches import Batches
from tastespace.models.parts.objective import Batch, Objective
from tastespace.training.fit import train

SOFTMAX = Objective(dim=4, loss="softmax", temperature=1.2, interaction_temperature=0.45)
LISTS = Histories.of([[0, 1, 2, 3], [0, 1]], [[1, 1, 1, -1], [1, 1]])


def batch_for(config: Objective, given: list[int], weights: list[float]) -> Batch:
    """A query of user 0 whose answer is item 2."""
    answers, known = Histories.of([[2]]), Histories.of([given], [weights])
    rng = np.random.default_rng(0)
    return Batches(config, LISTS, 6).for_queries(np.zeros(1, np.int64), answers, rng, torch.device("cpu"), given=known)


def gradient_of_items(batch: Batch, config: Objective) -> torch.Tensor:
    """(N,) size of the gradient of each item."""
    torch.manual_seed(0)
    users, items = torch.randn(1, 4), torch.randn(6, 4, requires_grad=True)
    objective.loss(config, batch, users, items, torch.zeros(6), torch.ones(6)).backward()
    assert items.grad is not None
    return items.grad.abs().sum(dim=1)


def test_a_given_positive_has_no_gradient_and_other_items_have() -> None:
    config = SOFTMAX
    gradient = gradient_of_items(batch_for(config, [0, 1], [1, 1]), config)
    assert (gradient[:2] < 1e-6).all()
    assert (gradient[2:] > 1e-4).all()


def test_a_given_dislike_has_a_larger_gradient() -> None:
    config = replace(SOFTMAX, interaction_weight=0.0)
    plain, given = (gradient_of_items(batch_for(config, *case), config) for case in (([], []), ([3], [-1])))
    assert given[3] > 1.5 * plain[3]


def test_a_hidden_dislike_has_no_gradient() -> None:
    config = replace(SOFTMAX, low_rated="hidden")
    gradient = gradient_of_items(batch_for(config, [3], [-1]), config)
    assert gradient[3] < 1e-6
    assert (gradient[4:] > 1e-4).all()


@pytest.mark.parametrize(("protocol", "low_rated"), [("article", "ranked"), ("article-rated", "hidden")])
def test_low_ratings_are_resolved_by_the_split(protocol: str, low_rated: str) -> None:
    board = checkerboard()
    rows = replace(board.interactions, weight=np.where(np.arange(len(board.interactions)) % 5 == 0, 0.0, 1.0))
    on = split(replace(board, interactions=rows), protocol)
    assert Objective().resolve(on).low_rated == low_rated
    assert Objective().resolve(split(board, protocol)).low_rated == "ranked"  # there are none
    assert Objective(low_rated="ranked").resolve(on).low_rated == "ranked"
    assert train("mf", on, dim=4, epochs=1).model.config.low_rated == low_rated


def test_a_loss_does_not_depend_on_the_other_users_of_a_batch() -> None:
    """In a log with low ratings a batch without any still predicts interactions."""
    config, rng = SOFTMAX, np.random.default_rng(0)
    torch.manual_seed(0)
    users, items = torch.randn(2, 4), torch.randn(6, 4)
    values = []
    for lists in (LISTS, LISTS.keep(LISTS.weights > 0)):
        batch = Batches(config, lists, 6).of(np.array([1]), rng, torch.device("cpu"))
        assert len(batch.unliked_rows) == 0
        values.append(float(objective.loss(config, batch, users[1:], items, torch.zeros(6), torch.ones(6))))
    assert values[0] > values[1] + 0.1


def test_an_answer_that_is_also_given_stays_an_answer() -> None:
    config = SOFTMAX
    first, second = (gradient_of_items(batch_for(config, *case), config) for case in (([], []), ([2], [1])))
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("loss", ["sampled-softmax", "bpr", "bce", "gbce"])
def test_losses_over_sampled_negatives_ignore_given_items(loss: str) -> None:
    config = replace(SOFTMAX, loss=loss)
    assert len(batch_for(config, [0, 1], [1, 1]).given_rows) == 0


@pytest.mark.parametrize("dim", [2, 5])
def test_scaled_vectors_have_the_gradient_of_their_formula(dim: int) -> None:
    config = Objective(dim=dim, loss="softmax", temperature=0.5, interaction_temperature=0.2)
    vectors = torch.randn(3, 4, dim, dtype=torch.double, requires_grad=True)
    slow = torch.cat(
        [
            F.normalize(h, dim=-1) / t**0.5
            for h, t in zip(vectors.split([dim // 2, dim - dim // 2], -1), (0.2, 0.5), strict=True)
        ],
        dim=-1,
    )
    torch.testing.assert_close(config.scaled(vectors), slow)
    assert torch.autograd.gradcheck(config.scaled, (vectors,))


def test_popular_items_have_longer_vectors_of_mean_length_one_over_positives() -> None:
    counts = torch.tensor([0, 1, 3, 15])
    config = Objective(dim=4, loss="softmax", temperature=0.5, degree_exponent=0.5)
    lengths = config.item_lengths(counts)
    torch.testing.assert_close(lengths / lengths[0], torch.tensor([1.0, 2.0**0.5, 2.0, 4.0]))
    assert float((lengths * counts).sum() / counts.sum()) == pytest.approx(1)
    vectors = torch.randn(4, 4)
    torch.testing.assert_close(config.scaled(vectors, lengths), config.scaled(vectors) * lengths[:, None])


@pytest.mark.parametrize(
    "settings", [{"degree_exponent": 0.0, "loss": "softmax"}, {"degree_exponent": 0.5, "loss": "bpr"}]
)
def test_item_vectors_have_one_length_without_an_exponent_and_where_angles_are_not_compared(settings: dict) -> None:
    config = Objective(dim=4, temperature=0.5, **settings)
    assert config.item_lengths(torch.tensor([0, 2, 9])).tolist() == [1, 1, 1]
    assert config.item_lengths(torch.tensor([0, 0])).tolist() == [1, 1]
