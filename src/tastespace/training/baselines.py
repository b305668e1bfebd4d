"""How a model compares with the baselines on validation rows, in figures and sentences. Loads no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

BASELINES = {
    "item_knn": "which only counts co-occurrences",
    "popularity": "which recommends the same items to everybody",
}
METRICS = ("ndcg@10", "recall@10")
SIGNIFICANT = 0.05
_LONGEST = 1000  # characters of a reason


@dataclass(frozen=True)
class BaselineComparison:
    """Validation metrics of a model and of the baselines, over the same `users` (a number), fitted to the same rows.

    `values` holds the metrics of each, the model first; it is empty where nothing was compared. `p_corrected` is that
    of a Wilcoxon test of NDCG@10 over users, Holm-corrected, for each baseline with a higher mean than the model's.
    `skipped` says why a baseline is not in `values`.
    """

    model: str
    users: int
    values: Mapping[str, Mapping[str, float]]
    p_corrected: Mapping[str, float] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def better(self) -> str | None:
        """The best baseline whose mean NDCG@10 is significantly higher than the model's; None where there is none."""
        ahead = [name for name, p in self.p_corrected.items() if p < SIGNIFICANT]
        return max(ahead, key=lambda name: self.values[name][METRICS[0]], default=None)

    def warning(self, command: str | None = None) -> str | None:
        """Name the better baseline and the `command` that trains it; None where there is none."""
        better = self.better
        if better is None:
            return None
        found, own = (self.values[name][METRICS[0]] for name in (better, self.model))
        return (
            f"{better}, {BASELINES[better]}, is significantly better than {self.model} here (validation NDCG@10 "
            f"{found:.4f} against {own:.4f}); train it with: {command or f'tastespace train --model {better}'}"
        )

    def __str__(self) -> str:
        lines = []
        if self.values:
            figures = ", ".join(f"{name} {metrics[METRICS[0]]:.4f}" for name, metrics in self.values.items())
            lines.append(f"validation NDCG@10: {figures} ({self.users:,} users)")
        for reason in dict.fromkeys(self.skipped.values()):
            names = " and ".join(name for name, why in self.skipped.items() if why == reason)
            lines.append(f"not compared with {names}: {reason}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The documented JSON shape (docs/formats.md)."""
        return {
            "model": self.model,
            "users": self.users,
            "values": {name: dict(metrics) for name, metrics in self.values.items()},
            "p_corrected": dict(self.p_corrected),
            "better": self.better,
            "skipped": dict(self.skipped),
            "warning": self.warning(),
        }

    @classmethod
    def from_json(cls, entry: Any) -> "BaselineComparison":
        """Read what `to_json` gave; `ValueError` for anything else."""
        if not isinstance(entry, dict) or not _is_name(entry.get("model")):
            raise ValueError("a comparison with baselines names its model")
        parts: list[Any] = [entry.get(part) for part in ("users", "values", "p_corrected", "skipped")]
        model, (users, values, p_corrected, skipped) = entry["model"], parts
        sound = isinstance(users, int) and not isinstance(users, bool) and 0 <= users < 2**63
        sound = sound and all(isinstance(part, dict) for part in (values, p_corrected, skipped))
        sound = sound and set(values) <= {model, *BASELINES} and (not values or model in values)
        sound = sound and all(
            isinstance(metrics, dict) and set(metrics) == set(METRICS) and all(map(_is_share, metrics.values()))
            for metrics in values.values()
        )
        sound = sound and set(p_corrected) <= set(values) - {model} and all(map(_is_share, p_corrected.values()))
        sound = sound and set(skipped) <= set(BASELINES) and all(map(_is_sentence, skipped.values()))
        if not sound:
            raise ValueError("a comparison with baselines holds shares of 0 to 1 and reasons, by model")
        ordered = {name: values[name] for name in (model, *BASELINES) if name in values}
        return cls(model, users, ordered, p_corrected, skipped)


def _is_name(value: Any) -> bool:
    return _is_sentence(value) and bool(value)


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_sentence(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and len(value) <= _LONGEST
