"""Draw the plots; each function returns an `svg` element, or None where there is nothing to show."""

from collections.abc import Sequence
from math import ceil, floor, log10
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from scipy.optimize import isotonic_regression

from tastespace.experiments.report import markup
from tastespace.experiments.report.figures import Epoch, Figures, Row
from tastespace.experiments.report.svg import INK, MUTED, PAPER, RULE, SERIES, Drawing

_MARKERS = "osD^vPX"  # 7 markers and 8 colours: 56 distinct pairs
_REFERENCE_MARKERS = "sD^vo"
_DASHES = ["-", "--", "-.", ":"]


class ModelStyles:
    """Colour, marker and dash of each model, equal in every plot: references grey and hollow, others in colour."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._models = [row.name for row in rows if not row.reference]
        self._references = [row.name for row in rows if row.reference]

    def colour(self, row: Row) -> str:
        """Colour of its points and lines."""
        return MUTED if row.reference else SERIES[self._models.index(row.name) % len(SERIES)]

    def point(self, row: Row) -> dict[str, Any]:
        """Options of its marker."""
        names, markers = (self._references, _REFERENCE_MARKERS) if row.reference else (self._models, _MARKERS)
        colour = self.colour(row)
        return {
            "marker": markers[names.index(row.name) % len(markers)],
            "color": colour,
            "markerfacecolor": PAPER if row.reference else colour,
            "markersize": 6,
        }

    def dash(self, row: Row) -> str:
        """Dash pattern of its lines."""
        return _DASHES[(self._models.index(row.name) if not row.reference else 0) % len(_DASHES)]


def quality_and_time(figures: Figures, ident: str) -> str | None:
    """NDCG with its interval against training time."""
    points = [
        (row, quality, taken)
        for row in figures.rows
        if (quality := row.figure(figures.metric)) is not None and (taken := row.figure("train_seconds")) is not None
    ]
    if not points:
        return None
    styles, positive = ModelStyles(figures.requested), [taken for *_, taken in points if taken > 0]
    least = 10.0 ** floor(log10(max(min(positive, default=1.0), 1e-3)))
    most = 10.0 ** ceil(log10(max(*positive, least * 10, least * 10)))
    with Drawing(max(2.9, 0.2 * len(points) + 0.9)) as drawing:
        axes = drawing.figure.add_subplot()
        axes.set_xscale("log")
        axes.set_xlim(least / 1.5, most * 1.5)
        for row, quality, taken in points:
            ends = row.interval(figures.metric) or (quality, quality)
            at = max(taken, least)
            axes.plot([at, at], ends, color=styles.colour(row), linewidth=1)
            axes.plot([at], [quality], linestyle="", **styles.point(row))
        axes.set_xlabel("training time (s)")
        axes.set_ylabel(f"NDCG@{figures.k}")
        axes.grid(True)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.minorticks_off()
        _name_at_the_side(drawing, axes, styles, [(row, max(taken, least), quality) for row, quality, taken in points])
        description = "; ".join(
            f"{row.name}: {quality:.4f} after {markup.seconds(taken)}" for row, quality, taken in points
        )
        return drawing.svg(ident, f"NDCG@{figures.k} against training time", description)


def differences(figures: Figures, ident: str) -> str | None:
    """The winner's mean less that of each other model, with p."""
    margins = [margin for margin in figures.margins if margin.difference is not None]
    if not margins or figures.winner is None:
        return None
    names = {row.name: row for row in figures.rows}
    with Drawing(max(1.5, 0.24 * len(margins) + 0.75)) as drawing:
        axes = drawing.figure.add_subplot()
        most = max(abs(margin.difference or 0.0) for margin in margins) or 1.0
        axes.axvline(0, color=MUTED, linewidth=1)
        for place, margin in enumerate(margins):
            at = margin.difference or 0.0
            colour = INK if margin.significant else MUTED
            axes.plot([0, at], [place, place], color=RULE, linewidth=2)
            axes.plot([at], [place], "o", color=colour, markerfacecolor=colour if margin.significant else PAPER)
            axes.annotate(
                markup.probability(margin.p),
                (max(at, 0.0), place),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
                color=colour,
            )
        least = min(0.0, *(margin.difference or 0.0 for margin in margins))
        axes.set_xlim(least - 0.05 * most, most * 1.4)
        axes.set_ylim(len(margins) - 0.4, -0.6)
        axes.set_yticks(range(len(margins)), [drawing.label(margin.other) for margin in margins])
        axes.tick_params(axis="y", length=0)
        for tick, margin in zip(axes.get_yticklabels(), margins, strict=True):
            row = names[margin.other]
            tick.set_color(MUTED if row.reference else INK)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.grid(True, axis="x")
        axes.set_axisbelow(True)
        axes.set_xlabel(f"behind the best model, NDCG@{figures.k}")
        description = "; ".join(
            f"{margin.other}: {margin.difference:.4f}, {markup.probability(margin.p)}" for margin in margins
        )
        return drawing.svg(ident, f"Lead of {figures.winner.name} over the other models", description)


def groups(figures: Figures, kind: str, key: str, ident: str) -> str | None:
    """Bars of one metric for every group of `kind` ("users" or "items"), one panel per group."""
    names = list(
        dict.fromkeys(name for row in figures.rows for name in row.groups if str(name).startswith(f"{kind}: "))
    )
    names = [name for name in names if any(row.group(name, key) is not None for row in figures.rows)]
    if not names:
        return None
    rows, styles = figures.rows, ModelStyles(figures.requested)
    across = min(3, len(names))
    down = ceil(len(names) / across)
    most = max(row.group(name, key) or 0.0 for row in rows for name in names) or 1.0
    titles = [wrap(markup.visible(name.removeprefix(f"{kind}: "), 40), 15) for name in names]
    with Drawing(down * (0.21 * len(rows) + 0.45 + 0.16 * max(map(len, titles)))) as drawing:
        panels = drawing.figure.subplots(down, across, sharey=True, sharex=True, squeeze=False).ravel()
        for panel, (axes, name) in enumerate(zip(panels, names, strict=False)):
            axes.set_title("\n".join(map(drawing.label, titles[panel])), fontsize=9, loc="left")
            best = max(row.group(name, key) or 0.0 for row in rows)
            for place, row in enumerate(rows):
                value = row.group(name, key)
                if value is None:
                    continue
                axes.barh(place, value, height=0.66, color=styles.colour(row), alpha=0.45 if row.reference else 0.9)
                weight = "bold" if value == best else "normal"
                axes.text(value + 0.03 * most, place, f"{value:.3f}", va="center", fontsize=9, fontweight=weight)
            axes.set_xlim(0, most * 1.42)
            axes.set_ylim(len(rows) - 0.4, -0.6)
            axes.set_yticks(range(len(rows)), [drawing.label(row.name, 18) for row in rows])
            axes.set_xticks([0])
            axes.tick_params(length=0, labelbottom=False)
            axes.spines["bottom"].set_visible(False)
            if panel % across == 0:
                for tick, row in zip(axes.get_yticklabels(), rows, strict=True):
                    tick.set_color(MUTED if row.reference else INK)
        for axes in panels[len(names) :]:
            axes.set_visible(False)
        description = "; ".join(
            f"{name}: " + ", ".join(f"{row.name} {markup.decimal(row.group(name, key), 3)}" for row in rows)
            for name in names
        )
        return drawing.svg(ident, f"{key} for groups of {kind}", description)


def learning(figures: Figures, ident: str) -> str | None:
    """The validation metric of every model by epoch, with a point at its best."""
    curves = [(row, points) for row in figures.rows if (points := _points(row.history, "metric"))]
    if not curves:
        return None
    styles = ModelStyles(figures.requested)
    with Drawing(max(2.6, 0.2 * len(curves) + 0.9)) as drawing:
        axes = drawing.figure.add_subplot()
        ends, description = [], []
        for row, points in curves:
            axes.plot(*zip(*points, strict=True), color=styles.colour(row), linestyle=styles.dash(row))
            best = max(points, key=lambda point: point[1])
            axes.plot([best[0]], [best[1]], linestyle="", **styles.point(row))
            ends.append((row, *points[-1]))
            description.append(f"{row.name}: best {best[1]:.4f} in epoch {best[0]:.0f} of {points[-1][0]:.0f}")
        _epochs(axes)
        metrics = {str(row.entry.get("metric_name") or "metric") for row, _ in curves}
        name = metrics.pop() if len(metrics) == 1 else "validation metric of each model"
        axes.set_ylabel(drawing.label(f"{name}, validation", 32))
        _name_at_the_side(drawing, axes, styles, ends)
        return drawing.svg(ident, "The validation metric by epoch", "; ".join(description))


def losses(figures: Figures, ident: str) -> str | None:
    """The training loss by epoch, one panel per model, because losses of different models are not comparable."""
    curves = [(row, points) for row in figures.rows if (points := _points(row.history, "loss"))]
    if not curves:
        return None
    styles = ModelStyles(figures.requested)
    across = min(2, len(curves))
    down = ceil(len(curves) / across)
    with Drawing(1.5 * down + 0.2) as drawing:
        panels = drawing.figure.subplots(down, across, squeeze=False).ravel()
        for axes, (row, points) in zip(panels, curves, strict=False):
            axes.set_title(drawing.label(row.name, 22), fontsize=9)
            marker = "o" if len(points) == 1 else ""
            axes.plot(*zip(*points, strict=True), color=styles.colour(row), linestyle=styles.dash(row), marker=marker)
            _epochs(axes)
            axes.yaxis.set_major_locator(MaxNLocator(3))
        for axes in panels[len(curves) :]:
            axes.set_visible(False)
        description = "; ".join(f"{row.name}: {points[0][1]:.4g} to {points[-1][1]:.4g}" for row, points in curves)
        return drawing.svg(ident, "The training loss by epoch", description)


def _points(history: Sequence[Epoch], what: str) -> list[tuple[float, float]]:
    return [(epoch.epoch, value) for epoch in history if (value := getattr(epoch, what)) is not None]


def _epochs(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlabel("epoch")
    axes.grid(True)


def _name_at_the_side(
    drawing: Drawing, axes: Axes, styles: ModelStyles, points: Sequence[tuple[Row, float, float]]
) -> None:
    """Names right of the axes in the order of their points (x, y), each with its marker and a line to its point."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    axes.set_xlim(*axes.get_xlim())
    ordered = sorted(points, key=lambda point: -point[2])
    step = min(0.2 / (drawing.figure.get_figheight() - 0.7), 1.0 / len(ordered))  # of the axes' height
    heights = spread_out([(y - low) / (high - low) for *_, y in ordered], step)
    for (row, x, y), height in zip(ordered, heights, strict=True):
        axes.plot([1.06], [height], linestyle="", transform=axes.transAxes, clip_on=False, **styles.point(row))
        axes.annotate(
            "",
            (x, y),
            xytext=(1.06, height),
            textcoords="axes fraction",
            arrowprops={
                "arrowstyle": "-",
                "color": styles.colour(row),
                "alpha": 0.6,
                "linewidth": 0.6,
                "shrinkA": 5,
                "shrinkB": 4,
            },
        )
        axes.text(
            1.1,
            height,
            drawing.label(row.name, 18),
            transform=axes.transAxes,
            va="center",
            fontsize=9,
            color=MUTED if row.reference else INK,
        )


def spread_out(heights: Sequence[float], step: float) -> list[float]:
    """Falling heights between 0 and 1 moved as little as possible (least squares) until neighbours are a `step` apart.

    >>> [round(height, 2) for height in spread_out([0.5, 0.5, 0.1], 0.2)]
    [0.6, 0.4, 0.1]
    """
    down = np.arange(len(heights)) * step
    level = isotonic_regression(np.array(heights) + down, increasing=False).x
    return (np.clip(level, down[-1], 1.0) - down).tolist()
