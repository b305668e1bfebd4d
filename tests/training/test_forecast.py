"""Forecasts of memory and time."""

import pytest

import tastespace as ts
from tastespace import models
from tastespace.data.dataset import Dataset
from tastespace.data.split import split
from tastespace.errors import MemoryLimitError
from tastespace.models.base import Options
from tastespace.training import forecast
from tastespace.training.forecast import Forecast


def test_a_run_that_cannot_fit_is_refused_with_the_number(board: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "free_memory", lambda: 2**30)
    monkeypatch.setattr(models.get("ease"), "memory_bytes", classmethod(lambda *_: 3 * 2**30))
    with pytest.raises(MemoryLimitError, match=r"ease .* would need about 3\.0 GiB, but 1\.0 GiB are free"):
        ts.train("ease", split(board, "article"))


def test_a_reference_that_cannot_fit_is_skipped_with_its_forecast(
    board: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "free_memory", lambda: 2**30)
    monkeypatch.setattr(models.get("ease"), "memory_bytes", classmethod(lambda *_: 3 * 2**30))
    comparison = ts.compare(["mf"], split(board, "article"), settings={"mf": {"epochs": 2}})
    assert [row.model for row in comparison.rows] == ["mf", "popularity", "item_knn"]
    assert "3.0 GiB" in comparison.skipped["ease"]
    assert "needs a log with times" in comparison.skipped["recent_popularity"]


def slow(monkeypatch: pytest.MonkeyPatch, operations: float) -> None:
    """Let every closed form do so many operations on a machine that does 1e9 a second."""
    monkeypatch.setattr(models.get("ease"), "operations", classmethod(lambda *_: operations))
    monkeypatch.setattr(forecast, "_operations_per_second", lambda: 1e9)


def test_a_long_closed_form_says_how_long(board: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    forecasts: list[Forecast] = []
    ts.fit("ease", split(board, "article"), on_forecast=forecasts.append)
    slow(monkeypatch, 1e12)
    ts.fit("ease", split(board, "article"), on_forecast=forecasts.append)
    assert [one.seconds for one in forecasts] == [None, 2000.0]
    assert [one.shares_threads for one in forecasts] == [False, True]
    assert str(forecasts[1]).endswith("MiB, at most 33 min")


def test_a_reference_that_takes_too_long_is_skipped_unless_it_is_named(
    board: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch, 1e12)
    on = split(board, "article")
    assert ts.compare(["popularity"], on).skipped["ease"] == (
        "it may take longer than 10 minutes (0 parameters, about 0 MiB, at most 33 min); "
        "list ease among the models to run it all the same"
    )
    assert "ease" not in ts.compare(["ease"], on).skipped
    slow(monkeypatch, 2.9e11)
    assert "ease" not in ts.compare(["popularity"], on).skipped


def test_a_machine_does_more_than_a_million_operations_a_second() -> None:
    assert forecast._operations_per_second() > 1e6


def test_the_forecast_is_reported_before_the_first_epoch(board: Dataset) -> None:
    forecasts: list[Forecast] = []
    fit = ts.fit("mf", split(board, "article"), options=Options(epochs=2), on_forecast=forecasts.append)
    assert forecasts == [fit.forecast]
    assert forecasts[0].parameters == sum(p.numel() for p in fit.model.parameters())
    assert forecasts[0].memory_bytes >= 16 * forecasts[0].parameters
    assert forecasts[0].seconds is not None
    assert forecasts[0].seconds > 0
    assert "parameters" in str(forecasts[0])
