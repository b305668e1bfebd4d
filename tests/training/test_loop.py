"""The gradient loop: epochs, validation, learning rate, interruption and resuming."""

import dataclasses
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

import tastespace as ts
from tastespace import models
from tastespace.data.dataset import Dataset
from tastespace.data.features import Features
from tastespace.data.split import split
from tastespace.errors import OptionError, TrainingError
from tastespace.evaluation import Evaluator
from tastespace.models.base import Options, Shapes
from tastespace.training import fit as training
from tastespace.training import loop
from tastespace.training.build import build_model, settle_options
from tastespace.training.forecast import Forecast
from tastespace.training.loop import TrainingRun


def weights(fit: ts.Fit) -> dict[str, torch.Tensor]:
    return dict(fit.model.state_dict())


def same(first: ts.Fit, second: ts.Fit) -> bool:
    return all(torch.equal(value, weights(second)[key]) for key, value in weights(first).items())


def test_the_best_epoch_is_the_one_with_the_highest_validation(board: Dataset) -> None:
    fit = ts.train("mf", split(board, "article"), epochs=12, patience=12)
    values = [epoch.metric for epoch in fit.history]
    assert len(values) == 12
    assert fit.best_epoch == 1 + int(np.argmax(values))


def test_training_stops_after_patience(board: Dataset) -> None:
    fit = ts.train("mf", split(board, "article"), epochs=60, patience=2, init="default")
    assert 2 < len(fit.history) <= fit.best_epoch + 2 < 60


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_patience_is_judged_where_validation_happens(board: Dataset, patience: int) -> None:
    fit = ts.train("mf", split(board, "article"), epochs=40, patience=patience, validate_every=4)
    validated = [epoch.epoch for epoch in fit.history if epoch.metric is not None]
    assert validated == list(range(4, len(fit.history) + 1, 4))
    assert len(validated) >= 2


@pytest.mark.parametrize("name", ["mf", "lightgcn", "ncf", "two_tower"])
def test_new_users_are_validated_as_they_will_be_answered(board: Dataset, name: str) -> None:
    on = split(board, "new-users")
    fit = ts.train(name, on, dim=8, epochs=3, refit=False, init="default", search=False)
    inner = on.for_validation()
    with torch.no_grad():
        expected = Evaluator(inner).mean(fit.model.scorer(), "ndcg")
    values = [epoch.metric for epoch in fit.history if epoch.metric is not None]
    steady = [np.mean(values[max(0, last - 5) : last]) for last in range(1, len(values) + 1)]
    best = [epoch.epoch for epoch in fit.history if epoch.metric is not None].index(fit.best_epoch)
    assert values[best] == pytest.approx(expected)
    assert best == int(np.argmax(steady))  # of few new_users, the mean of five validations is judged


def test_a_checkpoint_of_other_attributes_is_another_run(board: Dataset) -> None:
    config, options = training.configure("two_tower", {})

    def identity(colour: str) -> dict[str, object]:
        cells = np.array(["red", colour], dtype=object)[np.arange(board.interactions.n_items) % 2]
        on = split(replace(board, item_table=ts.Table({"colour": cells})), "article")
        features, forecast = Features.of(on.dataset), Forecast(0, 0, None)
        return TrainingRun("two_tower", config, options, on, Shapes(1, 1), features, None, forecast, None)._identity

    assert identity("blue") == identity("blue") != identity("red")


def test_the_rate_halves_when_validation_stalls(board: Dataset) -> None:
    fit = ts.train("mf", split(board, "article"), epochs=20, patience=20, learning_rate=0.1)
    rates = [epoch.learning_rate for epoch in fit.history]
    assert rates[0] == pytest.approx(0.1)
    assert min(rates) < 0.06
    assert all(later <= earlier for earlier, later in pairwise(rates))


def test_a_cosine_schedule_ends_at_its_share(board: Dataset) -> None:
    fit = ts.train("mf", split(board, "article"), epochs=5, patience=9, final_lr_fraction=0.1, learning_rate=0.01)
    assert fit.history[-1].learning_rate <= 0.001 + 1e-9


class _Stopping:
    """Raises KeyboardInterrupt after so many epochs, wherever they happen."""

    def __init__(self, after: int) -> None:
        self.left, self.real = after, loop.train_epoch

    def __call__(self, *args: object) -> float:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return self.real(*args)  # type: ignore[arg-type]


@pytest.mark.parametrize("after", [1, 5, pytest.param(10, marks=pytest.mark.release)])
def test_a_resumed_run_ends_like_an_uninterrupted_one(
    board: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    on = split(board, "article")
    options = dataclasses.replace(models.get("mf").OPTIONS, epochs=10, patience=10)
    straight = ts.fit("mf", on, options=options)
    place = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_epoch", _Stopping(after))
        with pytest.raises(KeyboardInterrupt):
            ts.fit("mf", on, options=options, checkpoint=place)
    assert place.is_dir()
    resumed = ts.fit("mf", on, options=options, checkpoint=place, resume=True)
    assert same(straight, resumed)
    assert resumed.best_epoch == straight.best_epoch
    assert resumed.baselines == straight.baselines
    assert resumed.baselines is not None
    assert not place.exists()


def test_a_checkpoint_of_another_run_is_refused(
    board: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = split(board, "article")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_epoch", _Stopping(2))
        with pytest.raises(KeyboardInterrupt):
            ts.fit("mf", on, checkpoint=tmp_path / "run")
    with pytest.raises(OptionError, match="another run"):
        ts.fit("mf", on, options=Options(seed=7), checkpoint=tmp_path / "run", resume=True)


def test_a_loss_that_is_not_finite_names_epoch_and_batch(board: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.get("mf"), "loss", lambda self, batch: self.user.sum() * float("nan"))
    with pytest.raises(TrainingError, match=r"loss of mf became nan in epoch 1, batch 1, at learning rate 0\.02"):
        ts.train("mf", split(board, "article"))


def test_each_epoch_of_the_search_is_told_and_what_it_raises_ends_the_training(board: Dataset) -> None:
    told: list[loop.Epoch] = []
    fit = training.fit("mf", split(board, "article"), options=Options(epochs=3, batch_size=500), on_epoch=told.append)
    assert tuple(told) == fit.history  # those of the refit are not told

    class EnoughError(Exception):
        pass

    def stop(epoch: loop.Epoch) -> None:
        told.append(epoch)
        raise EnoughError

    with pytest.raises(EnoughError):
        training.fit("mf", split(board, "article"), options=Options(epochs=3), on_epoch=stop)
    assert told[-1].epoch == 1


def test_initial_vectors_are_kept_where_no_epoch_is_better(board: Dataset) -> None:
    fit = ts.train("mf", split(board, "article"), dim=8, epochs=3, learning_rate=5.0, search=False, refit=True)
    assert (fit.best_epoch, len(fit.history)) == (0, 3)
    start = build_model("mf", fit.model.config, fit.model.shapes, fit.options, fit.split.train, None)
    assert torch.equal(fit.model.user, start.user)


def test_training_that_only_makes_initial_vectors_worse_ends_after_half_its_patience(
    board: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = split(board, "article")
    options = dataclasses.replace(models.get("mf").OPTIONS, epochs=30, patience=8, learning_rate=5.0, search=False)
    fit = ts.fit("mf", on, options=options, baselines=False)
    assert (fit.best_epoch, len(fit.history)) == (0, 4)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_epoch", _Stopping(3))
        with pytest.raises(KeyboardInterrupt):
            ts.fit("mf", on, options=options, checkpoint=tmp_path / "run", baselines=False)
    resumed = ts.fit("mf", on, options=options, checkpoint=tmp_path / "run", resume=True, baselines=False)
    assert len(resumed.history) == 4


def test_an_automatic_batch_size_grows_with_the_log_so_that_an_epoch_has_32_steps_at_most(board: Dataset) -> None:
    rows = board.interactions
    options = training.configure("lightgcn", {})[1]
    assert options.batch_size == "auto"
    assert settle_options(options, rows).batch_size == 5500
    large = rows.take(np.tile(np.arange(len(rows)), 1 + 10**6 // len(rows)))
    settled = settle_options(options, large)
    n_positives = int((large.weight > 0).sum())
    assert settled.batch_size == n_positives // 32 > 5500
    assert settled.learning_rate == pytest.approx(0.02 * 8 / 32, rel=0.01)
    assert settle_options(replace(options, batch_size=100), large).batch_size == 100


@pytest.mark.parametrize(("batch_size", "rate"), [(10**6, 0.02), (10, 0.02 * 8 * 10), (1, 0.001)])
def test_the_learning_rate_falls_with_the_steps_of_an_epoch(board: Dataset, batch_size: int, rate: float) -> None:
    rows = board.interactions
    n_positives = int((rows.weight > 0).sum())
    options = replace(training.configure("mf", {})[1], batch_size=batch_size)
    settled = settle_options(options, rows).learning_rate
    assert settled == pytest.approx(rate / n_positives if batch_size == 10 else rate)
    assert settle_options(replace(options, learning_rate=0.3), rows).learning_rate == 0.3
    assert settle_options(replace(options, init="default", batch_size=10**6), rows).learning_rate == 0.06
