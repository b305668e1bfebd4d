"""Batches hold every user once, with their rows, and negatives that are no positives."""

import numpy as np
import pytest
import torch

from tastespace.data.histories import Histories
from tastespace.models.base import Shapes
from tastespace.models.parts.batches import Batches, restrict_to_batch, steps, users_per_step
from tastespace.models.parts.objective import Objective

LISTS = Histories.of([[0, 1, 2, 3], [0, 1], [4], []], [[1, 1, 1, -1], [1, 1], [0], []])
CPU = torch.device("cpu")


def test_an_epoch_has_every_user_with_positives_once() -> None:
    epoch = list(Batches(Objective(dim=4, loss="softmax"), LISTS, 6).users(np.random.default_rng(0), 2))
    assert sorted(np.concatenate(epoch).tolist()) == [0, 1]


def test_a_batch_has_positives_and_unliked_items_apart() -> None:
    batch = Batches(Objective(dim=4, loss="softmax"), LISTS, 6).of(np.array([1, 0]), np.random.default_rng(0), CPU)
    assert list(zip(batch.rows.tolist(), batch.items.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]
    assert (batch.unliked_rows.tolist(), batch.unliked_items.tolist()) == ([1], [3])
    assert batch.has_unliked


@pytest.mark.parametrize("loss", ["bpr", "bce", "gbce"])
def test_negatives_are_no_positives_of_their_user(loss: str) -> None:
    config = Objective(dim=4, loss=loss, negatives=3)  # type: ignore[arg-type]
    batch = Batches(config, LISTS, 6).of(np.array([0, 1]), np.random.default_rng(0), CPU)
    positives = {0: {0, 1, 2}, 1: {0, 1}}
    for row, negatives in zip(batch.rows.tolist(), batch.negatives.tolist(), strict=True):
        assert not positives[row] & set(negatives)


@pytest.mark.parametrize("loss", ["bpr", "sampled-softmax"])
def test_a_restricted_batch_means_the_items_of_the_whole_one(loss: str) -> None:
    config = Objective(dim=4, loss=loss)  # type: ignore[arg-type]
    batch = Batches(config, LISTS, 6).of(np.array([0, 1]), np.random.default_rng(0), CPU)
    restricted, items = restrict_to_batch(batch)
    for name in ("items", "unliked_items", "negatives"):
        assert torch.equal(items[getattr(restricted, name)], getattr(batch, name))


@pytest.mark.parametrize(("n", "n_steps"), [(0, 0), (1, 1), (2, 2), (100, 8)])
def test_small_logs_have_at_most_eight_steps_none_of_them_empty(n: int, n_steps: int) -> None:
    cut = steps(np.arange(n), np.ones(n, dtype=np.int64), 1000)
    assert len(cut) == n_steps
    assert [int(index) for step in cut for index in step] == list(range(n))


def test_steps_are_of_about_the_batch_size() -> None:
    cut = steps(np.arange(1000), np.full(1000, 3), 150)
    assert {len(step) for step in cut} <= {49, 50, 51}


@pytest.mark.parametrize(("batch_size", "expected"), [(100, 11), (10**6, 50)])
def test_users_per_step_are_the_average_and_at_most_all(batch_size: int, expected: int) -> None:
    assert users_per_step(batch_size, Shapes(50, 9), 500) == expected
