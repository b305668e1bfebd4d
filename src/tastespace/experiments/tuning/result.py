"""The result of a tuning: every trial, the best beside the defaults, and what each option contributed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tastespace.evaluation.significance import Estimate
from tastespace.training.search_space import Domain

State = Literal["finished", "stopped early", "failed"]


@dataclass(frozen=True)
class Trial:
    """One training: the options that were set for it, and what came of it.

    `value` is the validation metric: of a trial that was stopped early its best epoch's, of a failed one None.
    """

    number: int
    settings: Mapping[str, Any]
    state: State
    value: float | None
    seconds: float
    epochs: int = 0
    is_default: bool = False
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """As plain values (docs/formats.md)."""
        return {
            "number": self.number,
            "settings": dict(self.settings),
            "state": self.state,
            "value": self.value,
            "seconds": self.seconds,
            "epochs": self.epochs,
            "defaults": self.is_default,
            "error": self.error or None,
        }


@dataclass(frozen=True, eq=False)
class Tuning:
    """All trials of a study, in order.

    `fixed` holds the options that every trial has, `searched` the domains of the others, `default_values` their
    defaults, `difference` the metric of the best trial minus that of the defaults with its 95 % interval over users
    (None where the best trial is the defaults), `importance` the share of each option in being among the best trials
    (empty for fewer than 10).
    """

    model: str
    data: str
    protocol: str
    metric: str
    users: int
    fixed: Mapping[str, Any]
    searched: Mapping[str, Domain]
    default_values: Mapping[str, Any]
    trials: tuple[Trial, ...]
    difference: Estimate | None
    importance: Mapping[str, float]

    @property
    def best(self) -> Trial | None:
        """The finished trial with the highest validation metric, the earliest of equals; None where none finished."""
        return max(self._finished(), key=_value, default=None)

    @property
    def default(self) -> Trial | None:
        """The trial with the defaults; None where it has not finished."""
        return next((trial for trial in self._finished() if trial.is_default), None)

    @property
    def failed(self) -> tuple[Trial, ...]:
        """Trials that ended with an error."""
        return tuple(trial for trial in self.trials if trial.state == "failed")

    @property
    def settings(self) -> dict[str, Any]:
        """Options of the best trial, the fixed ones included, as keywords for `ts.train`."""
        return {**self.fixed, **(self.best.settings if self.best is not None else {})}

    def describe(self) -> str:
        """Say in a sentence what came out; the figures are those of the rows that chose the trial."""
        subject = f"{self.model} on {self.data}, protocol {self.protocol}, {self.metric} on validation rows"
        best, default, gain = self.best, self.default, self.difference
        if best is None:
            return f"{subject}: none of {len(self.trials)} trials has finished"
        if best.is_default:
            return f"{subject}: no trial of {len(self.trials)} is better than the defaults, {_value(best):.4f}"
        text = f"{subject}: {_value(best):.4f} in trial {best.number} of {len(self.trials)}"
        if default is None:
            return f"{text}; the defaults have not finished"
        text += f", defaults {_value(default):.4f}"
        if gain is None:
            return text
        return f"{text}, difference {gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}] over {self.users} users"

    def front(self) -> list[Trial]:
        """Finished trials that no other one equals in less time, fastest first: quality against training time."""
        chosen: list[Trial] = []
        for trial in sorted(self._finished(), key=lambda trial: (trial.seconds, -_value(trial))):
            if not chosen or _value(trial) > _value(chosen[-1]):
                chosen.append(trial)
        return chosen

    def to_json(self) -> dict[str, Any]:
        """As plain values (docs/formats.md)."""
        best, default = self.best, self.default
        gain = self.difference
        return {
            "model": self.model,
            "data": self.data,
            "protocol": self.protocol,
            "metric": self.metric,
            "users": self.users,
            "fixed": dict(self.fixed),
            "searched": {name: domain.to_json() for name, domain in self.searched.items()},
            "default_values": dict(self.default_values),
            "defaults": None if default is None else default.to_json(),
            "best": None if best is None else best.to_json(),
            "difference": None if gain is None else gain.value,
            "difference_ci": None if gain is None else [gain.low, gain.high],
            "importance": dict(self.importance),
            "front": [trial.number for trial in self.front()],
            "trials": [trial.to_json() for trial in self.trials],
        }

    def _finished(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.state == "finished"]


def _value(trial: Trial) -> float:
    return trial.value if trial.value is not None else float("-inf")
