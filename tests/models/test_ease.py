"""EASE against its closed form in dense numpy."""

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
import torch

import tastespace as ts
from tastespace.data.split import whole
from tastespace.errors import TrainingError
from tastespace.models import ease
from tastespace.models.base import Shapes
from tests.models.small import matrix, scores, small

Fill = Callable[[torch.Tensor, sp.csr_matrix, float], bool]
BOTH = pytest.mark.parametrize("fill", [ease._fill_by_items, ease._fill_by_users])


def closed_form(X: np.ndarray, l2: float) -> np.ndarray:
    P = np.linalg.inv(X.T @ X + l2 * np.eye(X.shape[1]))
    return np.eye(len(P)) - P / np.diag(P)[None, :]


def filled(fill: Fill, X: np.ndarray, l2: float) -> np.ndarray:
    weights = torch.full((X.shape[1], X.shape[1]), float("nan"))
    assert fill(weights, sp.csr_matrix(X), l2)
    return weights.fill_diagonal_(0.0).numpy()


@pytest.mark.parametrize("by_users", [False, True])
def test_ease_is_its_closed_form(by_users: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ease, "_by_users", lambda *_: by_users)
    data = small()
    X = matrix(data)
    active = X.any(axis=1)  # users without positives get popular items
    np.testing.assert_allclose(scores("ease", data, l2=5.0)[active], (X @ closed_form(X, 5.0))[active], atol=1e-5)


@BOTH
@pytest.mark.parametrize(("n_users", "n_items"), [(1, 1), (2, 1), (1, 2), (2, 2), (40, 300), (300, 140)])
@pytest.mark.parametrize("l2", [0.5, 200.0, 1e9])
def test_both_ways_give_the_weights_to_four_digits(fill: Fill, n_users: int, n_items: int, l2: float) -> None:
    rng = np.random.default_rng(n_users)
    X = (rng.random((n_users, n_items)) < 0.3) * rng.integers(1, 6, (n_users, n_items)).astype(float)
    X[n_users // 2 :, 0] = 0.0
    X[:, n_items // 2] = 0.0  # an item that nobody likes
    X[n_users // 3] = 0.0  # a user without likes
    expected = closed_form(X, l2)
    np.testing.assert_allclose(filled(fill, X, l2), expected, rtol=0, atol=1e-4 * np.abs(expected).max() + 1e-300)


@BOTH
def test_loud_rows_are_no_loss_of_precision(fill: Fill) -> None:
    X = (np.random.default_rng(0).random((60, 50)) < 0.3) * np.geomspace(1e-3, 1e3, 50)
    expected = closed_form(X, 5.0)
    np.testing.assert_allclose(filled(fill, X, 5.0), expected, rtol=1e-2, atol=1e-4 * np.abs(expected).max())


@BOTH
@pytest.mark.parametrize("l2", [1e-15, 1e-300])
def test_weights_that_are_not_determined_are_refused(fill: Fill, l2: float) -> None:
    twice = np.repeat(np.eye(3), 2, axis=0).repeat(2, axis=1)  # every user and every item has a double
    assert not fill(torch.zeros(6, 6), sp.csr_matrix(twice), l2)


def test_a_singular_matrix_is_an_error() -> None:
    with pytest.raises(TrainingError, match="ease cannot invert its matrix with l2=1e-300; raise it"):
        ts.train("ease", whole(small(n_users=3)), l2=1e-300)


def test_the_smaller_matrix_is_inverted() -> None:
    few_users, few_items = Shapes(2_000, 18_000), Shapes(20_000, 12_000)
    assert ease._by_users(few_users, 93_000)
    assert not ease._by_users(few_items, 170_000)
    assert not ease._by_users(few_users, 30_000_000)  # a matrix of the users, but products with very many rows
    cost = ts.train("ease", whole(small())).model.operations
    assert cost(None, few_users, 93_000) < 0.2 * cost(None, few_items, 170_000)
    assert cost(None, few_items, 170_000) == 12_000**3


MEASURE = """
import re, sys
from pathlib import Path
from tastespace.data.synthetic import planted_taste
from tastespace.models import ease
from tastespace.models.base import Shapes

def memory(field):  # of this program alone: ru_maxrss begins with that of the parent
    return 1024 * int(re.search(field + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

def prepare(n_users, n_items):
    log = planted_taste(n_users, n_items, 20.0).interactions
    before = memory("VmRSS")
    model = ease.Ease(ease.EaseConfig(), Shapes(n_users, n_items))
    model.prepare(log)
    return memory("VmHWM") - before, model.memory_bytes(model.config, model.shapes, len(log), 0)

ease._by_users = lambda *_: sys.argv[1] == "users"
prepare(400, 400)
print(*prepare(1500, 4000))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("by", ["items", "users"])
def test_the_forecast_of_memory_is_what_training_takes(by: str) -> None:
    done = subprocess.run([sys.executable, "-c", MEASURE, by], capture_output=True, text=True, check=True)
    used, forecast = map(int, done.stdout.split())
    assert 0.7 * forecast < used < 1.2 * forecast
    assert forecast < 3 * 4 * 4000**2


def test_weights_are_solved_in_the_memory_of_the_model() -> None:
    data = whole(small())
    model = ts.train("ease", data).model
    address = model.weights.data_ptr()
    model.prepare(data.train)
    assert model.weights.data_ptr() == address
