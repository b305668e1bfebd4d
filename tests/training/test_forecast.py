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


def test_the_forecast_is_reported_before_the_first_epoch(board: Dataset) -> None:
    forecasts: list[Forecast] = []
    fit = ts.fit("mf", split(board, "article"), options=Options(epochs=2), on_forecast=forecasts.append)
    assert forecasts == [fit.forecast]
    assert forecasts[0].parameters == sum(p.numel() for p in fit.model.parameters())
    assert forecasts[0].memory_bytes >= 16 * forecasts[0].parameters
    assert forecasts[0].seconds is not None
    assert forecasts[0].seconds > 0
    assert "parameters" in str(forecasts[0])
