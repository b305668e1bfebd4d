"""Gather the content of the page, a section for each protocol, and render it through the templates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tastespace.experiments.report import markup, plots, summary, tables
from tastespace.experiments.report.figures import Figures, mapping, number
from tastespace.experiments.report.markup import Table, text
from tastespace.experiments.report.reproduce import Reproduction, reproduction


@dataclass(frozen=True)
class Box:
    """Models that need attention, each with the reason; `kind` is its class in the style sheet."""

    kind: str
    title: str
    entries: Sequence[tuple[Markup, Markup]]


@dataclass(frozen=True)
class Picture:
    """A plot with its title and caption."""

    svg: Markup
    title: str
    caption: str


@dataclass(frozen=True)
class Section:
    """One protocol; all ids in it begin with `ident`."""

    ident: str
    protocol: Markup
    summary: Markup
    verdict: Markup
    boxes: Sequence[Box]
    facts: Mapping[str, Any]
    protocol_line: Markup
    results: Table
    costs: Table
    pictures: Sequence[Picture]
    tests: Table
    health: Table
    reproduce: Reproduction


def render(documents: Sequence[Mapping[str, Any]]) -> str:
    """Comparisons as one HTML document."""
    comparisons = [Figures(mapping(document)) for document in documents]
    data = Markup(", ").join(dict.fromkeys(text(figures.data) for figures in comparisons)) or "nothing"
    return markup.render(
        "page.html",
        {
            "data": data,
            "overview": tables.overview(comparisons, "overview-table") if len(comparisons) > 1 else None,
            "sections": [_section(figures, f"c{place}") for place, figures in enumerate(comparisons, 1)],
        },
    )


def _section(figures: Figures, ident: str) -> Section:
    return Section(
        ident=ident,
        protocol=text(figures.protocol),
        summary=summary.in_short(figures),
        verdict=summary.verdict(figures),
        boxes=_boxes(figures),
        facts=_facts(figures),
        protocol_line=text(figures.document.get("protocol_line") or "not recorded", 2000),
        results=tables.results(figures, f"{ident}-results"),
        costs=tables.costs(figures, f"{ident}-costs"),
        pictures=_pictures(figures, ident),
        tests=tables.tests(figures, f"{ident}-tests"),
        health=tables.health(figures, f"{ident}-health"),
        reproduce=reproduction(figures),
    )


def _boxes(figures: Figures) -> list[Box]:
    collapsed = [(summary.name(row), _sentences(row.warnings)) for row in figures.rows if row.collapsed]
    suspect = [
        (summary.name(row), _sentences(row.warnings)) for row in figures.rows if row.warnings and not row.collapsed
    ]
    skipped = [
        (summary.name(str(model)), text(reason, 500))
        for model, reason in mapping(figures.document.get("skipped")).items()
    ]
    boxes = [
        Box("bad", "Collapsed: do not use", collapsed),
        Box("warning", "Warnings", suspect),
        Box("skipped", "Skipped", skipped),
    ]
    return [box for box in boxes if box.entries]


def _sentences(warnings: Sequence[str]) -> Markup:
    return Markup("; ").join(text(warning, 300) for warning in warnings)


def _facts(figures: Figures) -> dict[str, Any]:
    facts: dict[str, Any] = {"data": text(figures.data), "protocol": text(figures.protocol)}
    for key, label in (("users", "test users"), ("items", "items"), ("seeds", "seeds"), ("k", "K")):
        facts[label] = markup.decimal(number(figures.document.get(key)), 0)
    return facts


def _pictures(figures: Figures, ident: str) -> list[Picture]:
    k = figures.k
    plotted = [
        (
            plots.quality_and_time(figures, f"{ident}-time"),
            "Quality against training time",
            f"NDCG@{k} with its 95 % interval; seconds on a logarithmic scale. Up and left is better. "
            "Hollow grey: references.",
        ),
        (
            plots.differences(figures, f"{ident}-lead"),
            "Lead over the other models",
            "Paired over users, Holm-corrected. Filled: significant at 0.05. Hollow: not significant.",
        ),
        (
            plots.groups(figures, "users", f"ndcg@{k}", f"{ident}-users"),
            "Users by activity",
            f"NDCG@{k} for thirds of the users by how many known likes they have. Bold: best of the group.",
        ),
        (
            plots.groups(figures, "items", f"found@{k}", f"{ident}-items"),
            "Items by popularity",
            f"Share of held-out likes among the {k} recommended, for items by popularity. Bold: best of the group.",
        ),
        (
            plots.learning(figures, f"{ident}-learning"),
            "Learning curves",
            "The metric on validation rows after each epoch (last seed); the point marks the best epoch.",
        ),
        (
            plots.losses(figures, f"{ident}-loss"),
            "Training loss",
            "One scale per model: losses of different models cannot be compared.",
        ),
    ]
    return [
        Picture(Markup(svg), title, caption)  # noqa: S704  (drawn here, with all text escaped)
        for svg, title, caption in plotted
        if svg
    ]
