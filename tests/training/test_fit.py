"""Training: epochs, refit, interruption, forecasts."""

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
from tastespace.data.split import split, whole
from tastespace.errors import MemoryLimitError, OptionError, TooLittleDataError, TrainingError
from tastespace.evaluation import Evaluator
from tastespace.models.base import Model, Options, Shapes
from tastespace.training import checkpoint
from tastespace.training import fit as training
from tastespace.training.fit import Forecast
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


def test_where_no_validation_user_can_be_asked_every_epoch_is_run() -> None:
    rows = [(0, n % 6, 1, n) for n in range(16)] + [(1, 6, 1, 20), (1, 7, 1, 21), (0, 7, 1, 30), (0, 8, 1, 31)]
    on = split(dataset(rows), "at-time")
    assert on.validation is not None
    assert set(on.validation.user.tolist()) == {1}
    fit = ts.train("mf", on, dim=4, epochs=3)
    assert (fit.best_epoch, fit.history) == (3, ())


def test_a_fit_asks_as_its_split_does(board: Dataset) -> None:
    on = split(board, "new-users")
    assert on.given is not None
    asked = ts.train("popularity", on).queries(np.unique(on.given.user).astype(np.int64))
    assert set(asked.users.tolist()) == {-1}
    assert asked.history.lengths.sum() == len(on.given)


def test_the_best_epoch_is_the_one_with_the_highest_validation(board: Dataset) -> None:
    fit = ts.train("mf", split(board, "article"), epochs=12, patience=12)
    values = [epoch.metric for epoch in fit.history]
    assert len(values) == 12
    assert fit.best_epoch == 1 + int(np.argmax(values))


def test_training_stops_after_patience(board: Dataset) -> None:
    fit = ts.train("mf", split(board, "article"), epochs=60, patience=2)
    assert len(fit.history) == fit.best_epoch + 2 < 60


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_patience_is_judged_where_validation_happens(board: Dataset, patience: int) -> None:
    fit = ts.train("mf", split(board, "article"), epochs=40, patience=patience, validate_every=4)
    validated = [epoch.epoch for epoch in fit.history if epoch.metric is not None]
    assert validated == list(range(4, len(fit.history) + 1, 4))
    assert len(validated) >= 2


@pytest.mark.parametrize("name", ["mf", "lightgcn", "ncf", "two_tower"])
def test_strangers_are_validated_as_they_will_be_answered(board: Dataset, name: str) -> None:
    on = split(board, "new-users")
    fit = ts.train(name, on, dim=8, epochs=3, refit=False)
    inner = on.for_validation()
    with torch.no_grad():
        expected = Evaluator(inner).mean(fit.model.scorer(), "recall")
    values = [epoch.metric for epoch in fit.history if epoch.metric is not None]
    steady = [np.mean(values[max(0, last - 5) : last]) for last in range(1, len(values) + 1)]
    best = [epoch.epoch for epoch in fit.history if epoch.metric is not None].index(fit.best_epoch)
    assert values[best] == pytest.approx(expected)
    assert best == int(np.argmax(steady))  # of few strangers, the mean of five validations is judged


def test_a_checkpoint_of_other_attributes_is_another_run(board: Dataset) -> None:
    config, options = training.configure("two_tower", {})

    def identity(colour: str) -> dict[str, object]:
        cells = np.array(["red", colour], dtype=object)[np.arange(board.interactions.n_items) % 2]
        on = split(replace(board, item_table=ts.Table({"colour": cells})), "article")
        features, forecast = Features.of(on.dataset), Forecast(0, 0, None)
        return training._Run("two_tower", config, options, on, Shapes(1, 1), features, None, forecast, None)._identity

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
        self.left, self.real = after, training._one_epoch

    def __call__(self, *args: object) -> float:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return self.real(*args)  # type: ignore[arg-type]


@pytest.mark.parametrize("after", [1, 5, 12])
def test_a_resumed_run_ends_like_an_uninterrupted_one(
    board: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    on = split(board, "article")
    options = dataclasses.replace(models.get("mf").OPTIONS, epochs=10, patience=10)
    straight = ts.fit("mf", on, options=options)
    place = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(training, "_one_epoch", _Stopping(after))
        with pytest.raises(KeyboardInterrupt):
            ts.fit("mf", on, options=options, checkpoint=place)
    assert place.is_dir()
    resumed = ts.fit("mf", on, options=options, checkpoint=place, resume=True)
    assert same(straight, resumed)
    assert resumed.best_epoch == straight.best_epoch
    assert not place.exists()


def test_a_checkpoint_of_another_run_is_refused(
    board: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = split(board, "article")
    with monkeypatch.context() as patch:
        patch.setattr(training, "_one_epoch", _Stopping(2))
        with pytest.raises(KeyboardInterrupt):
            ts.fit("mf", on, checkpoint=tmp_path / "run")
    with pytest.raises(OptionError, match="another run"):
        ts.fit("mf", on, options=Options(seed=7), checkpoint=tmp_path / "run", resume=True)


def test_resuming_from_nothing_or_rubbish_says_so(board: Dataset, tmp_path: Path) -> None:
    on = split(board, "article")
    with pytest.raises(TrainingError, match="no checkpoint"):
        ts.fit("mf", on, checkpoint=tmp_path / "none", resume=True)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "state.json").write_text("[")
    with pytest.raises(TrainingError, match="damaged"):
        ts.fit("mf", on, checkpoint=tmp_path / "bad", resume=True)


def test_a_checkpoint_survives_the_disk(tmp_path: Path) -> None:
    saved = checkpoint.Checkpoint({"a": torch.arange(3.0)}, {"epoch": 2})
    checkpoint.save_checkpoint(tmp_path / "c", saved)
    loaded = checkpoint.load_checkpoint(tmp_path / "c")
    assert loaded.state == {"epoch": 2}
    assert torch.equal(loaded.tensors["a"], saved.tensors["a"])


def test_a_loss_that_is_not_finite_names_epoch_and_batch(board: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.get("mf"), "loss", lambda self, batch: self.user.sum() * float("nan"))
    with pytest.raises(TrainingError, match=r"loss of mf became nan in epoch 1, batch 1, at learning rate 0\.06"):
        ts.train("mf", split(board, "article"))


def test_a_run_that_cannot_fit_is_refused_with_the_number(board: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "free_memory", lambda: 2**30)
    monkeypatch.setattr(models.get("ease"), "memory_bytes", classmethod(lambda *_: 3 * 2**30))
    with pytest.raises(MemoryLimitError, match=r"ease .* would need about 3\.0 GiB, but 1\.0 GiB are free"):
        ts.train("ease", split(board, "article"))


def test_a_reference_that_cannot_fit_is_skipped_with_its_forecast(
    board: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "free_memory", lambda: 2**30)
    monkeypatch.setattr(models.get("ease"), "memory_bytes", classmethod(lambda *_: 3 * 2**30))
    found = ts.compare(["mf"], split(board, "article"), settings={"mf": {"epochs": 2}})
    assert [row.model for row in found.rows] == ["mf", "popularity", "item_knn"]
    assert "3.0 GiB" in found.skipped["ease"]
    assert "needs a log with times" in found.skipped["recent_popularity"]


def test_the_forecast_is_told_before_the_first_epoch(board: Dataset) -> None:
    told: list[training.Forecast] = []
    fit = ts.fit("mf", split(board, "article"), options=Options(epochs=2), tell=told.append)
    assert told == [fit.forecast]
    assert told[0].parameters == sum(p.numel() for p in fit.model.parameters())
    assert told[0].memory_bytes >= 16 * told[0].parameters
    assert told[0].seconds is not None
    assert told[0].seconds > 0
    assert "parameters" in str(told[0])


def test_settings_reach_config_and_options() -> None:
    config, options = training.configure("mf", {"dim": "32", "epochs": 7, "loss": "bpr"})
    assert (config.dim, config.loss, options.epochs) == (32, "bpr", 7)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dims": 3}, "no option 'dims'; did you mean 'dim'"),
        ({"dim": "many"}, "a whole number is expected"),
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
    real = training._one_epoch
    monkeypatch.setattr(training, "_one_epoch", lambda *a: used.append(torch.get_num_threads()) or real(*a))
    before = torch.get_num_threads()
    ts.train("mf", split(board, "article"), epochs=1)
    assert set(used) == {1}
    ts.train("mf", split(board, "article"), epochs=1, threads=2)
    assert used[-1] == 2
    assert torch.get_num_threads() == before
