"""From a split to a trained model: settings, refit, threads, devices."""

import numpy as np
import pytest
import torch

import tastespace as ts
from tastespace.data.dataset import Dataset
from tastespace.data.split import split, whole
from tastespace.errors import OptionError, TooLittleDataError
from tastespace.models.base import Model
from tastespace.training import fit as training
from tastespace.training import loop
from tests.build import dataset


def weights(fit: ts.Fit) -> dict[str, torch.Tensor]:
    return dict(fit.model.state_dict())


def same(first: ts.Fit, second: ts.Fit) -> bool:
    return all(torch.equal(value, weights(second)[key]) for key, value in weights(first).items())


def test_without_validation_rows_the_model_is_fitted_again_on_all(board: Dataset) -> None:
    on = split(board, "article")
    fit = ts.train("mf", on, epochs=8)
    assert 1 <= fit.best_epoch <= 8
    alone = ts.train("mf", on, epochs=8, refit=False)
    assert alone.best_epoch == fit.best_epoch
    assert not same(fit, alone)


def test_with_validation_rows_the_best_epoch_is_kept(board: Dataset) -> None:
    on = split(board, "random-811")
    assert same(ts.train("mf", on, epochs=8), ts.train("mf", on, epochs=8, refit=False))


@pytest.mark.parametrize("name", ["mf", "item_knn"])
def test_the_final_model_may_be_fitted_to_validation_rows_too(board: Dataset, name: str) -> None:
    on = split(board, "leave-last-out")
    fit, more = (ts.train(name, on, search=False, train_on_validation=flag) for flag in (False, True))
    assert not same(fit, more)
    assert fit.baselines == more.baselines  # both measured on the validation rows without them
    assert fit.best_epoch == more.best_epoch
    assert on.validation is not None
    everything = ts.Split(**{**vars(on), "train": on.known, "validation": None, "with_validation": None})
    if name == "item_knn":
        assert same(more, ts.train(name, everything, search=False, baselines=False))
    else:
        assert np.array_equal(more.model.user_rows.n_positives, on.known.histories().positives().lengths)  # type: ignore[union-attr]


def test_without_validation_users_every_epoch_is_run() -> None:
    rows = [(0, n % 6, 1, n) for n in range(16)] + [(1, 6, 1, 20), (1, 7, 1, 21), (0, 7, 1, 30), (0, 8, 1, 31)]
    on = split(dataset(rows), "at-time")
    assert on.validation is not None
    assert set(on.validation.user.tolist()) == {1}
    fit = ts.train("mf", on, dim=4, epochs=3)
    assert (fit.best_epoch, fit.history) == (3, ())


def test_the_queries_of_a_fit_are_those_of_its_split(board: Dataset) -> None:
    on = split(board, "new-users")
    assert on.given is not None
    queries = ts.train("popularity", on).queries(np.unique(on.given.user).astype(np.int64))
    assert set(queries.users.tolist()) == {-1}
    assert queries.history.lengths.sum() == len(on.given)


def test_settings_reach_config_and_options() -> None:
    config, options = training.configure("mf", {"dim": "32", "epochs": 7, "loss": "bpr"})
    assert (config.dim, config.loss, options.epochs) == (32, "bpr", 7)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dims": 3}, "no option 'dims'; did you mean 'dim'"),
        ({"dim": "many"}, "a whole number or 'auto' is expected"),
        ({"dim": 0}, "must be at least 2"),
        ({"learning_rate": -1.0}, "must be above 0"),
        ({"loss": "hinge"}, "'softmax' or 'sampled-softmax'"),
        ({"learning_rate": float("nan")}, "finite"),
        ({"threads": 100_000}, "must be at most 1024"),
        ({"seed": "18446744073709551616"}, "must be at most 4294967295"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        training.configure("mf", settings)


@pytest.mark.parametrize("device", ["tpu", "cuda:99", ""])
def test_a_device_that_is_not_there_is_refused(board: Dataset, device: str) -> None:
    with pytest.raises(OptionError, match=rf"device '{device}' cannot be used here \(.*\); cpu always can"):
        ts.train("mf", split(board, "article"), device=device)


def test_a_log_is_no_split(board: Dataset) -> None:
    with pytest.raises(OptionError, match="a split is expected, not Dataset: cut a log with"):
        ts.train("mf", board)  # type: ignore[arg-type]


def test_nothing_liked_is_nothing_to_train_on(board: Dataset) -> None:
    log = board.interactions.weighted(np.zeros(len(board.interactions), np.float32))
    with pytest.raises(TooLittleDataError, match="nothing to learn"):
        whole(Dataset("dull", log))


def test_models_without_epochs_refuse_them(board: Dataset) -> None:
    model: Model = ts.train("ease", split(board, "article")).model
    with pytest.raises(OptionError, match="not trained by gradient"):
        model.batches(board.interactions, np.random.default_rng(0), 10)
    with pytest.raises(OptionError, match="not trained by gradient"):
        model.loss(None)


def test_fitting_leaves_the_global_generator_alone(board: Dataset) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    ts.train("mf", split(board, "article"), epochs=1)
    assert torch.equal(before, torch.random.get_rng_state())


def test_small_models_train_on_one_thread_and_give_the_rest_back(
    board: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []
    real = loop.train_epoch
    monkeypatch.setattr(loop, "train_epoch", lambda *a: used.append(torch.get_num_threads()) or real(*a))
    before = torch.get_num_threads()
    ts.train("mf", split(board, "article"), epochs=1)
    assert set(used) == {1}
    ts.train("mf", split(board, "article"), epochs=1, threads=2)
    assert used[-1] == 2
    assert torch.get_num_threads() == before
