"""Draw the plots of a tuning; each function returns an `svg` element, or None where there is nothing to show."""

from itertools import accumulate
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from tastespace.experiments.report import markup
from tastespace.experiments.report.svg import MUTED, PAPER, SERIES, Drawing

if TYPE_CHECKING:
    from tastespace.experiments.tuning.result import Trial, Tuning
    from tastespace.training.search_space import Domain

_LOG_FROM = 10  # times between the ends of an axis


def progress(tuning: "Tuning", ident: str) -> str | None:
    """Each trial's value in order, and the best of the finished ones so far."""
    valued = _valued(tuning)
    if not valued:
        return None
    finished = [trial for trial in tuning.trials if trial.state == "finished" and trial.value is not None]
    best = list(accumulate((trial.value or 0.0 for trial in finished), max))
    with Drawing(2.6) as drawing:
        axes = drawing.figure.add_subplot()
        if finished:
            places = [trial.number for trial in finished]
            last = max(trial.number for trial in valued)
            axes.plot([*places, last], [*best, best[-1]], color=SERIES[0], drawstyle="steps-post")
        for trial in valued:
            _point(axes, trial.number, trial)
        axes.set_xlabel("trial")
        axes.set_ylabel(tuning.metric)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.grid(True)
        return drawing.svg(ident, "The best value so far", f"{best[0]:.4f} to {best[-1]:.4f}" if best else "none")


def quality_and_time(tuning: "Tuning", ident: str) -> str | None:
    """Each trial's value against its training time; a line through those that none equals in less time."""
    valued, front = _valued(tuning), tuning.front()
    if not valued:
        return None
    with Drawing(2.6) as drawing:
        axes = drawing.figure.add_subplot()
        least = 0.001
        times = [max(trial.seconds, least) for trial in valued]
        _scale(axes, min(times), max(times))
        axes.plot(
            [max(trial.seconds, least) for trial in front],
            [trial.value or 0.0 for trial in front],
            color=SERIES[0],
            drawstyle="steps-post",
        )
        for trial, at in zip(valued, times, strict=True):
            _point(axes, at, trial)
        axes.set_xlabel("training time (s)")
        axes.set_ylabel(tuning.metric)
        axes.grid(True)
        about = "; ".join(f"{trial.value:.4f} after {markup.seconds(trial.seconds)}" for trial in front)
        return drawing.svg(ident, f"{tuning.metric} against training time", about)


def importance(tuning: "Tuning", ident: str) -> str | None:
    """A bar for each option, the most important on top."""
    if not tuning.importance:
        return None
    entries = sorted(tuning.importance.items(), key=lambda entry: -entry[1])
    with Drawing(max(1.2, 0.21 * len(entries) + 0.3)) as drawing:
        axes = drawing.figure.add_subplot()
        most = entries[0][1] or 1.0
        for place, (_, share) in enumerate(entries):
            axes.barh(place, share, height=0.66, color=SERIES[0], alpha=0.9)
            axes.text(share + 0.02 * most, place, f"{share:.0%}", va="center", fontsize=9)
        axes.set_yticks(range(len(entries)), [drawing.label(name, 24) for name, _ in entries])
        axes.set_xlim(0, 1.15 * most)
        axes.set_ylim(len(entries) - 0.4, -0.6)
        axes.tick_params(length=0, labelbottom=False)
        axes.spines["bottom"].set_visible(False)
        about = "; ".join(f"{name}: {share:.0%}" for name, share in entries)
        return drawing.svg(ident, "Importance of each option", about)


def option(tuning: "Tuning", name: str, ident: str) -> str | None:
    """Each trial's value by the value of one option, where it was drawn or is the default's."""
    domain = tuning.searched[name]
    points = [(at, trial) for trial in _valued(tuning) if (at := _place(tuning, domain, trial)) is not None]
    if not points:
        return None
    with Drawing(2.2) as drawing:
        axes = drawing.figure.add_subplot()
        if domain.choices:
            axes.set_xticks(range(len(domain.choices)), [drawing.label(str(c).lower(), 16) for c in domain.choices])
            axes.set_xlim(-0.5, len(domain.choices) - 0.5)
            axes.tick_params(axis="x", rotation=20 if len(domain.choices) > 3 else 0)
        else:
            places = [at for at, _ in points]
            _scale(axes, min(domain.low, *places), max(domain.high, *places))
            if domain.scale == "powers of two":
                axes.xaxis.set_major_locator(LogLocator(base=2, numticks=12))
        for at, trial in points:
            _point(axes, at, trial)
        axes.set_xlabel(drawing.label(name, 40))
        axes.set_ylabel(tuning.metric)
        axes.grid(True)
        best = max(points, key=lambda point: point[1].value or 0.0)[1]
        return drawing.svg(ident, f"{tuning.metric} by {name}", f"best {best.value:.4f} in trial {best.number}")


def _valued(tuning: "Tuning") -> "list[Trial]":
    return [trial for trial in tuning.trials if trial.value is not None]


def _place(tuning: "Tuning", domain: "Domain", trial: "Trial") -> float | None:
    value: Any = (tuning.default_values if trial.is_default else trial.settings).get(domain.name)
    if domain.choices:
        return float(domain.choices.index(value)) if value in domain.choices else None
    return float(value) if isinstance(value, int | float) else None


def _scale(axes: Axes, low: float, high: float) -> None:
    """A logarithmic axis where the ends are far apart."""
    if low > 0 and high >= _LOG_FROM * low:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _point(axes: Axes, at: float, trial: "Trial") -> None:
    colour = SERIES[1] if trial.is_default else MUTED if trial.state == "stopped early" else SERIES[0]
    axes.plot(
        [at],
        [trial.value or 0.0],
        linestyle="",
        marker="s" if trial.is_default else "o",
        markersize=6 if trial.is_default else 5,
        color=colour,
        markerfacecolor=PAPER if trial.state == "stopped early" else colour,
    )
