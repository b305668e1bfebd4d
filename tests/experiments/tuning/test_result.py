"""What a tuning says of its trials."""

import json

from tastespace.experiments.tuning.result import Trial, Tuning
from tastespace.training.search_space import Domain


def of(*trials: Trial) -> Tuning:
    return Tuning("mf", "log", "all", "ndcg@10", 7, {}, {"dim": Domain("dim", 1, 2)}, {"dim": 1}, trials, None, {})


def finished(number: int, value: float, seconds: float, **more: bool) -> Trial:
    return Trial(number, {"dim": number}, "finished", value, seconds, **more)


def test_the_front_holds_what_no_other_equals_in_less_time() -> None:
    tuning = of(
        finished(0, 0.2, 3.0),
        finished(1, 0.3, 5.0),
        finished(2, 0.3, 4.0),
        finished(3, 0.1, 1.0),
        finished(4, 0.1, 2.0),
    )
    assert [trial.number for trial in tuning.front()] == [3, 0, 2]


def test_a_trial_stopped_early_is_never_the_best() -> None:
    tuning = of(finished(0, 0.2, 1.0), Trial(1, {}, "stopped early", 0.9, 1.0), finished(2, 0.2, 1.0))
    assert tuning.best is tuning.trials[0]  # the earliest of equals


def test_the_defaults_may_be_the_best() -> None:
    tuning = of(finished(0, 0.2, 1.0, is_default=True), finished(1, 0.1, 1.0))
    assert tuning.describe().endswith("no trial of 2 is better than the defaults, 0.2000")


def test_without_the_defaults_there_is_no_difference() -> None:
    tuning = of(Trial(0, {}, "failed", None, 1.0, is_default=True), finished(1, 0.1, 1.0))
    assert (tuning.default, tuning.difference) == (None, None)
    assert "the defaults have not finished" in tuning.describe()


def test_json_holds_plain_values() -> None:
    tuning = of(finished(0, 0.2, 1.0, is_default=True), Trial(1, {"dim": 2}, "failed", None, 1.0, error="no"))
    found = json.loads(json.dumps(tuning.to_json(), allow_nan=False))
    assert found["best"] == found["defaults"] == found["trials"][0]
    assert (found["trials"][1]["error"], found["trials"][1]["value"], found["difference_ci"]) == ("no", None, None)
    assert found["searched"] == {"dim": {"low": 1, "high": 2, "scale": "linear"}}
