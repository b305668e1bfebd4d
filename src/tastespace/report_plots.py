"""Pictures of a comparison as inline SVG. Text stays text, colours follow the page's theme, bytes repeat."""

import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

_INK = "#123456"  # stands for the page's text colour, and is replaced by currentColor
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#a6761d")  # Okabe and Ito
_MARKS = "osD^vP*X"
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tastespace",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
}
Row = Mapping[str, Any]


def quality_against_time(rows: Sequence[Row], k: int, name: str) -> str:
    """NDCG@k with its interval against training seconds, on a logarithmic axis."""
    with matplotlib.rc_context(_STYLE):
        figure, axes = _blank(8.4, 4.6)
        placed = sorted(rows, key=lambda row: row[f"ndcg@{k}"])
        low = min((row["train_seconds"] for row in rows if row["train_seconds"] > 0), default=1.0)
        seconds = [max(row["train_seconds"], low / 2, 1e-3) for row in placed]
        values = [row[f"ndcg@{k}"] for row in placed]
        heights = _spread_out(values)
        for height, row, x, y in zip(heights, placed, seconds, values, strict=True):
            place = [one["model"] for one in rows].index(row["model"])
            below, above = row[f"ndcg@{k}_ci"]
            colour = _colour(place)
            axes.errorbar(
                x, y, yerr=[[max(0.0, y - below)], [max(0.0, above - y)]], fmt="none", color=colour, alpha=0.5
            )
            axes.plot(x, y, _MARKS[place % len(_MARKS)], color=colour, markersize=8)
            axes.annotate(
                _short(row["model"]), (x, y), xytext=(1.02, height), textcoords=("axes fraction", "data"),
                va="center", color=colour, arrowprops={"arrowstyle": "-", "color": colour, "alpha": 0.3},
            )  # fmt: skip
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("training, seconds")
        axes.set_ylabel(f"NDCG@{k}")
        return _svg(figure, name, f"NDCG@{k} of each model against its training time")


def learning_curves(rows: Sequence[Row], name: str) -> str:
    """The validation metric of each epoch; empty where no model has one."""
    learners = [row for row in rows if any(epoch["metric"] is not None for epoch in row["history"])]
    if not learners:
        return ""
    with matplotlib.rc_context(_STYLE):
        figure, axes = _blank(8.4, 3.8)
        for place, row in enumerate(learners):
            told = [(epoch["epoch"], epoch["metric"]) for epoch in row["history"] if epoch["metric"] is not None]
            epochs, values = zip(*told, strict=True)
            label = f"{_short(row['model'])} ({row['metric_name']})"
            axes.plot(
                epochs, values, marker=_MARKS[place % len(_MARKS)], markersize=4, color=_colour(place), label=label
            )
        axes.set_xlabel("epoch")
        axes.set_ylabel("validation metric")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        return _svg(figure, name, "validation metric by epoch")


def group_bars(rows: Sequence[Row], k: int, name: str) -> str:
    """Recall of user groups and share found of item groups, a bar a model."""
    groups = list(rows[0]["groups"]) if rows else []
    if not groups:
        return ""
    with matplotlib.rc_context(_STYLE):
        figure, axes = _blank(8.4, 0.9 + 0.17 * len(groups) * (len(rows) + 1))
        step = 0.8 / len(rows)
        for place, row in enumerate(rows):
            values = [_of_group(row["groups"].get(group, {}), k) for group in groups]
            heights = [-position + 0.4 - step * (place + 0.5) for position in range(len(groups))]
            axes.barh(heights, values, height=step * 0.9, color=_colour(place), label=_short(row["model"]))
        axes.set_yticks([-position for position in range(len(groups))], [_short(group, 44) for group in groups])
        axes.set_xlabel(f"recall@{k} (users), found@{k} (items)")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        return _svg(figure, name, f"recall@{k} by group of users and items")


def _of_group(values: Mapping[str, Any], k: int) -> float:
    found = values.get(f"recall@{k}", values.get(f"found@{k}"))
    return float(found) if isinstance(found, int | float) and math.isfinite(found) else 0.0


def _blank(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_alpha(0.0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0.0)
    return figure, axes


def _spread_out(values: Sequence[float]) -> list[float]:
    """Heights for labels beside rising values, far enough apart to be read."""
    least = 0.055 * max(max(values) - min(values), 1e-3) * max(1.0, len(values) / 14)
    heights: list[float] = []
    for value in values:
        heights.append(value if not heights else max(value, heights[-1] + least))
    return heights


def _colour(place: int) -> str:
    return _COLOURS[place % len(_COLOURS)]


def _short(text: str, most: int = 28) -> str:
    printable = "".join(letter if letter.isprintable() else "?" for letter in str(text))
    return printable if len(printable) <= most else printable[: most - 1] + "…"


def _svg(figure: Figure, name: str, about: str) -> str:
    """The picture, scalable, with ids that begin with `name` (letters, digits, hyphens), titled `about`."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(href="|url\()#([^")]+)', rf"\1#{name}-\2", text)
    text = re.sub(
        r'(<svg\b[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", text, count=1)
    )
    text = text.replace(_INK, "currentColor")
    opening = text[: text.index(">") + 1]
    return opening[:-1] + f' role="img" aria-label="{about}">' + text[len(opening) :].strip()
