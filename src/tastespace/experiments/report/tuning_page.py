"""Gather the content of the page of a tuning, and render it through the templates."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from tastespace.experiments.report import markup, tuning_plots
from tastespace.experiments.report.markup import DASH, Cell, Column, Table
from tastespace.experiments.report.page import Picture

if TYPE_CHECKING:
    from tastespace.experiments.tuning.result import Trial, Tuning


def render(tuning: "Tuning") -> str:
    """A tuning as one HTML document."""
    failed = len(tuning.failed)
    stopped = sum(trial.state == "stopped early" for trial in tuning.trials)
    return markup.render(
        "tuning.html",
        {
            "model": markup.text(tuning.model),
            "data": markup.text(tuning.data),
            "verdict": markup.text(tuning.describe(), 1000),
            "about": {
                "protocol": markup.text(tuning.protocol),
                "validation users": markup.decimal(tuning.users, 0),
                "trials": str(len(tuning.trials)),
                "stopped early": str(stopped),
                "failed": str(failed),
                "fixed": settings_text(tuning.fixed) or DASH,
            },
            "options": _options(tuning),
            "front": _trials(tuning, tuning.front(), "front", "Trials that no other one equals in less time."),
            "pictures": _pictures(tuning),
            "trials": _trials(tuning, tuning.trials, "trials", "In order; of a trial stopped early, its best epoch."),
        },
    )


def settings_text(settings: Mapping[str, Any]) -> str:
    """Options as text, e.g. `dim=128 loss=bpr`."""
    return " ".join(f"{name}={value}" for name, value in settings.items())


def _options(tuning: "Tuning") -> Table:
    best, importance = tuning.best, tuning.importance
    names = sorted(tuning.searched, key=lambda name: -importance.get(name, 0.0))
    caption = "Importance: how much an option decides whether a trial is among the best."
    return Table(
        "options",
        caption if importance else f"{caption} It needs 10 trials.",
        [Column("option"), Column("searched"), Column("default"), Column("best"), Column("importance")],
        [
            (
                Cell(name),
                [
                    Cell(str(tuning.searched[name]).removeprefix(f"{name} ")),
                    Cell(str(tuning.default_values[name])),
                    Cell(DASH if best is None else str(best.settings.get(name, DASH))),
                    Cell(f"{importance[name]:.0%}" if name in importance else DASH),
                ],
            )
            for name in names
        ],
    )


def _trials(tuning: "Tuning", trials: "tuple[Trial, ...] | list[Trial]", ident: str, caption: str) -> Table:
    best = tuning.best
    return Table(
        ident,
        caption,
        [Column("trial"), Column(tuning.metric), Column("training time", "s"), Column("epochs"), Column("options")],
        [
            (
                Cell(str(trial.number), [] if trial.state == "finished" else [trial.state]),
                [
                    Cell(markup.decimal(trial.value), best=best is not None and trial.number == best.number),
                    Cell(markup.number_of_seconds(trial.seconds)),
                    Cell(str(trial.epochs) if trial.epochs else DASH),
                    Cell(
                        "the defaults" if trial.is_default else settings_text(trial.settings),
                        [markup.visible(trial.error, 300)] if trial.error else [],
                    ),
                ],
            )
            for trial in trials
        ],
        ends_in_words=True,
    )


def _pictures(tuning: "Tuning") -> list[Picture]:
    hollow = "Hollow: stopped early; square: the defaults."
    plotted = [
        (
            tuning_plots.progress(tuning, "progress"),
            "Progress",
            f"The best {tuning.metric} so far, and each trial. {hollow}",
        ),
        (
            tuning_plots.quality_and_time(tuning, "time"),
            "Quality against training time",
            f"Up and left is better; the line joins those that no other equals in less time. {hollow}",
        ),
        (tuning_plots.importance(tuning, "importance"), "Importance of each option", "Shares of 100 %."),
        *(
            (
                tuning_plots.option(tuning, name, f"option-{place}"),
                name,
                f"{tuning.metric} by the value of {name}, in the trials where it has an effect. {hollow}",
            )
            for place, name in enumerate(tuning.searched)
        ),
    ]
    return [
        Picture(Markup(svg), title, caption)  # noqa: S704  (drawn here, with all text escaped)
        for svg, title, caption in plotted
        if svg
    ]
