"""A study: trials in a SQLite file or in memory, their sampling and pruning, through Optuna.

Options are sampled by a tree-structured Parzen estimator (Bergstra et al. 2011, "Algorithms for hyper-parameter
optimization") after ten random trials near the defaults. The seed of each trial follows from the study's seed and the
trial's number: a resumed study goes on as if it had not been interrupted, and processes that share one do not repeat
each other. A trial is stopped early where its best epoch so far is below the median of the earlier ones then.
"""

import math
import sqlite3
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from tastespace._atomic import nearest_folder, probe
from tastespace.errors import OptionError, TastespaceError
from tastespace.experiments.tuning.result import State, Trial
from tastespace.training.search_space import Domain, SearchSpace

RECORDED_ERRORS = (TastespaceError, MemoryError)
_STORAGE_ERRORS: tuple[type[Exception], ...] = (SQLAlchemyError, optuna.exceptions.StorageInternalError)
_RANDOM_TRIALS = 10  # before the sampler learns from the earlier ones
_WARM_UP_TRIALS, _WARM_UP_EPOCHS = 3, 4  # before trials are stopped early
_FEWEST_FOR_IMPORTANCE, _BEST_FOR_IMPORTANCE = 10, 5  # trials: at all, and that count as the best
_HEARTBEAT, _STALE_AFTER = 10, 40  # seconds; a process that is silent for longer has died
_LOCKED_FOR = 60  # seconds to wait for another process that writes
_ATTEMPTS = 10  # at making the tables of a new file while another process does the same
_MADE_MEANWHILE = ("already exists", "UNIQUE constraint failed")
_IDENTITY = "identity"
_STATES: Mapping[TrialState, State] = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "stopped early",
    TrialState.FAIL: "failed",
}


class Study:
    """Trials that belong together: one model, one split, one metric, one search space."""

    def __init__(self, file: Path | None, identity: Mapping[str, Any], seed: int) -> None:
        """Open or make a study; `OptionError` where the file holds another search, or no study."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # failed trials are shown by our own tables
        self.file, self.seed = file, seed
        with self._guarded(RuntimeError):  # raised for the tables of another version of Optuna
            self._study = optuna.create_study(
                storage=None if file is None else _storage(file),
                study_name="tastespace",
                direction="maximize",
                load_if_exists=True,
                pruner=optuna.pruners.MedianPruner(n_startup_trials=_WARM_UP_TRIALS, n_warmup_steps=_WARM_UP_EPOCHS),
            )
            self._check_identity(file, identity)

    @contextmanager
    def _guarded(self, *more: type[Exception]) -> Iterator[None]:
        """Turn errors of the storage into `OptionError`."""
        try:
            yield
        except _STORAGE_ERRORS + more as error:
            if self.file is None:
                raise
            reason = str(error.__cause__ or error).splitlines()[0]
            raise OptionError(
                f"the study {self.file} cannot be read or written ({reason}); name another file with --study"
            ) from error

    def _check_identity(self, file: Path | None, identity: Mapping[str, Any]) -> None:
        found = self._study.user_attrs.get(_IDENTITY)
        if found is None and not self._study.get_trials(deepcopy=False):
            self._study.set_user_attr(_IDENTITY, dict(identity))
            return
        if not isinstance(found, dict):
            raise OptionError(f"{file} holds a study of another program; name another file with --study")
        differing = [key for key, value in identity.items() if found.get(key) != value]
        if differing:
            raise OptionError(
                f"{file} holds the study of another search (its {', '.join(differing)} differ); "
                "go on with the same command, or name another file with --study"
            )

    def run_trial(self, objective: Callable[[optuna.Trial], float]) -> None:
        """Run one trial: that of the defaults where there is none yet, else one that the sampler proposes.

        The first random trials leave half of the options at their defaults, which are rarely bad.
        """
        with self._guarded():
            trials = self._trials()
            if not any(_is_default(trial) and not _is_lost(trial) for trial in trials):
                self._study.enqueue_trial({}, user_attrs={"defaults": True})
            elif len(trials) < _RANDOM_TRIALS:
                params = next((trial.params for trial in trials if _is_default(trial)), {})
                names = np.random.default_rng([self.seed, len(trials)]).permutation(sorted(params))
                self._study.enqueue_trial({name: params[name] for name in names[: len(names) // 2]})

        def seeded(trial: optuna.Trial) -> float:
            trial.study.sampler = optuna.samplers.TPESampler(
                seed=int(np.random.SeedSequence([self.seed, trial.number]).generate_state(1)[0]),
                n_startup_trials=_RANDOM_TRIALS,
            )
            return objective(trial)

        with self._guarded():
            self._study.optimize(seeded, n_trials=1, catch=RECORDED_ERRORS)

    def trials(self) -> list[Trial]:
        """All trials that ended, but those that were interrupted."""
        return [_to_trial(trial) for trial in self._trials() if trial.state.is_finished() and not _is_lost(trial)]

    def per_user(self, number: int) -> Any:
        """What was kept of the users' values of a trial, or None."""
        return self._trials()[number].user_attrs.get("per_user")

    def settled(self) -> dict[str, Any]:
        """Values of the options that are "auto", as the trial of the defaults settled them."""
        return next((dict(trial.user_attrs.get("settled", {})) for trial in self._trials() if _is_default(trial)), {})

    def importance(self) -> dict[str, float]:
        """Importance of each option, largest first, adding up to 1, of those with an effect in 10 trials or more.

        PED-ANOVA (Watanabe, Bansal and Hutter 2023): how much the best trials, five or a tenth, differ from all.
        Trials that were stopped early count with their best epoch.
        """
        copy = optuna.create_study(direction="maximize")
        for trial in self._trials():
            value = _value(trial)
            if value is not None and not _is_lost(trial):
                copy.add_trial(
                    optuna.trial.create_trial(params=trial.params, distributions=trial.distributions, value=value)
                )
        drawn = Counter(name for trial in copy.get_trials(deepcopy=False) for name in trial.params)
        names = [name for name, trials in drawn.items() if trials >= _FEWEST_FOR_IMPORTANCE]
        if not names:
            return {}
        best_share = min(0.5, max(0.1, _BEST_FOR_IMPORTANCE / len(copy.trials)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # few trials with a rare option
            evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=best_share)
            found = optuna.importance.get_param_importances(copy, evaluator=evaluator, params=names)
        return {option_of(name): float(share) for name, share in found.items() if math.isfinite(share)}

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)


def suggest(trial: optuna.Trial, space: SearchSpace, values: Mapping[str, Any]) -> dict[str, Any]:
    """Draw each option that has an effect with the others; `values` are those of the options that are not searched."""
    drawn: dict[str, Any] = {}
    for name, domain in space.domains.items():
        if space.is_relevant(name, {**values, **drawn}):
            drawn[name] = _draw(trial, domain)
    return drawn


def suggest_defaults(trial: optuna.Trial, space: SearchSpace, values: Mapping[str, Any]) -> None:
    """Tell the sampler where the defaults are: at these `values` of the options."""
    params = _params_of(space, values)
    trial.study.sampler = _Given(params)
    for domain in space.domains.values():
        if _param(domain) in params:
            _draw(trial, domain)


class _Given(optuna.samplers.TPESampler):
    """Returns given values in place of drawn ones."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(seed=0)
        self._params = params

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, name: str, distribution: Any) -> Any:
        return self._params[name]


def _params_of(space: SearchSpace, values: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of the sampler at these values of the options, moved into their ranges.

    Those of options without effect, and of values that are no numbers, are left out.
    """
    params = {}
    for name, domain in space.domains.items():
        value = values.get(name)
        if not space.is_relevant(name, values):
            continue
        if domain.choices and value in domain.choices:
            params[_param(domain)] = value
        elif not domain.choices and isinstance(value, int | float):
            inside = min(max(value, domain.low), domain.high)
            power = domain.scale == "powers of two"
            params[_param(domain)] = round(math.log2(inside) if power else inside) if domain.whole else inside
    return params


def _param(domain: Domain) -> str:
    """Name of the sampler's parameter for an option: powers of two are drawn as whole exponents."""
    return f"log2({domain.name})" if domain.scale == "powers of two" else domain.name


def option_of(param: str) -> str:
    """The option that a parameter of the sampler stands for."""
    return param.removeprefix("log2(").removesuffix(")") if param.startswith("log2(") else param


def _draw(trial: optuna.Trial, domain: Domain) -> Any:
    if domain.choices:
        return trial.suggest_categorical(domain.name, domain.choices)
    if domain.scale == "powers of two":
        return 2 ** trial.suggest_int(_param(domain), round(math.log2(domain.low)), round(math.log2(domain.high)))
    log = domain.scale == "logarithmic"
    if domain.whole:
        return trial.suggest_int(domain.name, int(domain.low), int(domain.high), log=log)
    return float(f"{trial.suggest_float(domain.name, domain.low, domain.high, log=log):.3g}")


def _is_default(trial: FrozenTrial) -> bool:
    return bool(trial.user_attrs.get("defaults"))


def _is_lost(trial: FrozenTrial) -> bool:
    """Whether a trial was interrupted, or its process killed: it failed without an error of its own."""
    return trial.state == TrialState.FAIL and "error" not in trial.user_attrs


def _value(trial: FrozenTrial) -> float | None:
    if trial.state == TrialState.COMPLETE:
        return trial.value
    if trial.state == TrialState.PRUNED:
        return max(trial.intermediate_values.values(), default=None)
    return None


def _to_trial(trial: FrozenTrial) -> Trial:
    attributes = trial.user_attrs
    return Trial(
        number=trial.number,
        settings=attributes.get("settings", {}),
        state=_STATES[trial.state],
        value=_value(trial),
        seconds=float(attributes.get("seconds", 0.0)),
        epochs=max(trial.intermediate_values, default=0),
        is_default=_is_default(trial),
        error=str(attributes.get("error", "")),
    )


def _storage(file: Path) -> optuna.storages.RDBStorage:
    _check_file(file)
    for _ in range(_ATTEMPTS):
        try:
            return _open(file)
        except SQLAlchemyError as error:
            if not any(sign in str(error) for sign in _MADE_MEANWHILE):
                raise
            time.sleep(0.1)
    return _open(file)


def _open(file: Path) -> optuna.storages.RDBStorage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of the heartbeat
        return optuna.storages.RDBStorage(
            URL.create("sqlite", database=str(file.resolve())).render_as_string(),
            engine_kwargs={"connect_args": {"timeout": _LOCKED_FOR}},
            heartbeat_interval=_HEARTBEAT,
            grace_period=_STALE_AFTER,
        )


def _check_file(file: Path) -> None:
    """Raise `OptionError` for a file that is not a study, or a place that cannot be written."""
    try:
        if file.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        probe(nearest_folder(file))
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists() or file.stat().st_size == 0:
            return
        connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=_LOCKED_FOR)
        try:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        finally:
            connection.close()
    except OSError as error:
        raise OptionError(f"the study {file} cannot be used: {error.strerror}; name another with --study") from error
    except sqlite3.Error as error:
        raise OptionError(f"{file} is not a study ({error}); name another file with --study") from error
    if tables and "studies" not in tables:
        raise OptionError(f"{file} is a database of something else, not a study; name another file with --study")
