"""Embedding health of a trained model."""

import numpy as np
import pytest
import torch

import tastespace as ts
from tastespace.data.dataset import Dataset
from tastespace.data.split import split, whole
from tastespace.training import health
from tastespace.training.health import check_health


def test_items_and_users_of_a_factored_model_are_measured(board: Dataset) -> None:
    measured = ts.train("mf", split(board, "article"), dim=8, epochs=1).health
    assert measured is not None
    assert measured.users is not None
    assert 1 <= measured.items.effective_rank <= 8
    assert 1 <= measured.users.effective_rank <= 8


@pytest.mark.parametrize("name", ["ease", "item_knn", "popularity"])
def test_a_model_without_embeddings_has_no_health(board: Dataset, name: str) -> None:
    assert ts.train(name, split(board, "article")).health is None


def test_biases_are_left_out(board: Dataset) -> None:
    fit = ts.train("mf", whole(board), dim=8, epochs=1)
    before = check_health(fit.model, fit.split)
    with torch.no_grad():
        fit.model.item_bias += 100.0
    assert check_health(fit.model, fit.split) == before


def test_users_are_encoded_in_chunks(board: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = ts.train("mf", whole(board), dim=8, epochs=1)
    at_once = check_health(fit.model, fit.split)
    monkeypatch.setattr(health, "_QUERIES_AT_ONCE", 7)
    in_chunks = check_health(fit.model, fit.split)
    assert at_once is not None
    assert at_once.users is not None
    assert in_chunks is not None
    assert in_chunks.users is not None
    assert np.isclose(in_chunks.users.effective_rank, at_once.users.effective_rank)
