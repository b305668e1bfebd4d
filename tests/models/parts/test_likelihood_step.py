"""A likelihood step raises the likelihood of a history's positives."""

from dataclasses import replace

import numpy as np
import pytest

from tastespace.data.histories import Histories
from tastespace.data.queries import Queries
from tastespace.models.parts import likelihood_step
from tastespace.models.parts.fold_in import FoldIn


def likelihood(scores: np.ndarray, history: Histories) -> np.ndarray:
    """(total,) of each item of the histories among all."""
    log = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return np.asarray(log[history.rows, history.items])


def test_a_step_makes_positives_likelier_and_keeps_lengths() -> None:
    rng = np.random.default_rng(0)
    items = rng.normal(size=(50, 5)).astype(np.float32)
    stepped = FoldIn.with_likelihood_step(items[:, :4], [(2, 1.5), (2, 0.8)], np.ones(1, np.float32), items)
    plain = replace(stepped, likelihood_step=None)
    queries = Queries.of_histories(Histories.of([rng.choice(50, 6, replace=False).tolist() for _ in range(40)]))
    after_step = stepped(queries)
    np.testing.assert_allclose(np.linalg.norm(after_step[:, :2], axis=1), 1.5, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(after_step[:, 2:4], axis=1), 0.8, rtol=1e-5)
    before, after = (likelihood(vectors @ items.T, queries.history) for vectors in (plain(queries), after_step))
    assert after.mean() > before.mean()


def test_of_a_large_catalogue_a_sample_estimates_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    items = rng.normal(size=(4000, 5)).astype(np.float32)
    items[:, 4] = np.linspace(3, -3, 4000)  # the bias
    queries = Queries.of_histories(Histories.of([rng.choice(4000, 30, replace=False).tolist() for _ in range(20)]))

    def encode() -> np.ndarray:
        return FoldIn.with_likelihood_step(items[:, :4], [(4, 1.0)], np.ones(1, np.float32), items)(queries)

    exact = encode()
    monkeypatch.setattr(likelihood_step, "_CANDIDATES", 1000)
    plain = FoldIn(items[:, :4], [(4, 1.0)], np.ones(1, np.float32))(queries)
    assert np.abs(encode() - exact).mean() < 0.25 * np.abs(plain - exact).mean()


def test_items_added_later_change_no_earlier_vector() -> None:
    rng = np.random.default_rng(0)
    items = rng.normal(size=(60, 5)).astype(np.float32)
    queries = Queries.of_histories(Histories.of([[3, 1, 4], [59]]))
    few, more = (
        FoldIn.with_likelihood_step(part[:, :4], [(4, 1.0)], np.ones(1, np.float32), part, 50)(queries)
        for part in (items, np.concatenate([items, items * 3]))
    )
    np.testing.assert_allclose(few, more)
