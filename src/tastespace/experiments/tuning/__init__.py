"""Tuning: searches the options of a model on validation rows, in a study that can be resumed and shared.

tune                 one call from a split to the best options
  Tuner              opens a study and runs trials in it (`tuner`)
  Study              trials in a SQLite file or in memory, through Optuna (`study`)
  Tuning, Trial      what is known afterwards (`result`)
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tastespace.errors import OptionError
from tastespace.experiments.tuning.result import Trial, Tuning

if TYPE_CHECKING:
    from tastespace.data.split import Split

DEFAULT_METRIC = "ndcg@10"
DEFAULT_TRIALS = 30


def check_can_tune() -> None:
    """Raise `OptionError` where Optuna is not installed."""
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise OptionError(
            f"tuning needs Optuna, which cannot be loaded ({error}); install it with pip install 'tastespace[tune]'"
        ) from None


def tune(
    name: str,
    split: "Split",
    *,
    trials: int | None = None,
    budget: float | None = None,
    only: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    metric: str = DEFAULT_METRIC,
    seed: int = 0,
    study: str | Path | None = None,
    progress: bool | None = None,
    on_trial: Callable[[Trial], None] | None = None,
) -> Tuning:
    """Search the options of a model on the validation rows of a split; its test rows are never used.

    The first trial has the defaults. Runs until the study holds `trials` trials (30 where neither limit is given) or
    `budget` seconds have passed. `only` names the options to search, `settings` fixes others. With `study`, a SQLite
    file, every finished trial is kept: the same call goes on from there, and several processes may share the file.
    A trial that fails (a loss that is not finite, too little memory) is recorded with its error. `on_trial` is called
    after each. Raises `OptionError` without Optuna, for an unknown option, and for the study of another search.
    """
    check_can_tune()
    from tastespace.experiments.tuning.tuner import Tuner

    tuner = Tuner.open(name, split, only=only, settings=settings, metric=metric, seed=seed, study=study)
    tuner.run(trials=trials, budget=budget, progress=progress, on_trial=on_trial)
    return tuner.result()
