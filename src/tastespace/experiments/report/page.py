"""Page: the whole document, a section a protocol."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tastespace.experiments.report import markup, plots, repeat, tables, words
from tastespace.experiments.report.markup import text
from tastespace.experiments.report.reading import Figures, mapping, number

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render(documents: Sequence[Mapping[str, Any]]) -> str:
    """Comparisons as one HTML document."""
    found = [Figures(mapping(document)) for document in documents]
    data = ", ".join(dict.fromkeys(text(figures.data) for figures in found)) or "nothing"
    sections = "\n".join(_section(figures, f"c{number}") for number, figures in enumerate(found, 1))
    style = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Models compared on {data}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>Models compared on <bdi>{data}</bdi></h1>
<p class="lead">Every figure ranks the whole catalogue for users with held-out likes. Intervals are 95 %, over users;
differences are tested user by user and corrected for the number of pairs.</p>
</header>
<main>
{_overview(found)}{sections or '<p class="verdict">There is no comparison to show.</p>'}
</main>
<footer><p>Written by tastespace. This page holds no script and asks nothing of the network.</p></footer>
</body>
</html>
"""


def _overview(found: Sequence[Figures]) -> str:
    if len(found) < 2:
        return ""
    leads = "".join(
        f'<li><a href="#c{number}"><bdi>{text(figures.protocol)}</bdi></a>: {words.in_short(figures)}</li>'
        for number, figures in enumerate(found, 1)
    )
    return f"""<section aria-labelledby="overview">
<h2 id="overview">Overview</h2>
<p>The highest NDCG under each protocol:</p>
<ul>{leads}</ul>
{tables.overview(found, "overview-table")}
</section>
"""


def _section(figures: Figures, ident: str) -> str:
    """One protocol; all ids in it begin with `ident`."""
    line = text(figures.told.get("protocol_line") or "not told", 2000)
    parts = [
        f'<section aria-labelledby="{ident}">',
        f'<h2 id="{ident}">Protocol <bdi>{text(figures.protocol)}</bdi></h2>',
        f'<p class="verdict">{words.verdict(figures)}</p>',
        _warnings(figures),
        _facts(figures),
        f'<pre class="line">{line}</pre>',
        "<h3>Quality</h3>",
        tables.results(figures, f"{ident}-results"),
        "<h3>Cost and diversity</h3>",
        tables.costs(figures, f"{ident}-costs"),
        "<h3>Plots</h3>",
        _pictures(figures, ident),
    ]
    if figures.tests:
        parts.append(f"<details>\n<summary>All {len(figures.tests)} tests</summary>")
        parts.append(f"{tables.tests(figures, f'{ident}-tests')}\n</details>")
    health = tables.health(figures, f"{ident}-health")
    parts += ["<h3>Embedding health</h3>", health or '<p class="note">No model here has vectors of its own.</p>']
    parts += ["<h3>How to repeat it</h3>", repeat.how(figures), "</section>"]
    return "\n".join(part for part in parts if part)


def _warnings(figures: Figures) -> str:
    collapsed = [row for row in figures.rows if row.collapsed]
    sick = [row for row in figures.rows if row.warnings and not row.collapsed]
    skipped = mapping(figures.told.get("skipped"))
    return "\n".join(
        part
        for part in (
            markup.box(
                "bad",
                "Collapsed: do not use",
                [f"<strong>{words.name(row)}</strong>: {_sentences(row.warnings)}" for row in collapsed],
            ),
            markup.box(
                "warning",
                "Worth a look",
                [f"<strong>{words.name(row)}</strong>: {_sentences(row.warnings)}" for row in sick],
            ),
            markup.box(
                "skipped",
                "Skipped",
                [f"<strong>{words.name(str(model))}</strong>: {text(why, 500)}" for model, why in skipped.items()],
            ),
        )
        if part
    )


def _sentences(told: Sequence[str]) -> str:
    return "; ".join(text(one, 300) for one in told)


def _facts(figures: Figures) -> str:
    facts = {"data": text(figures.data), "protocol": text(figures.protocol)}
    for key, label in (("users", "test users"), ("items", "items"), ("seeds", "seeds"), ("k", "K")):
        facts[label] = markup.decimal(number(figures.told.get(key)), 0)
    told = "".join(f"<div><dt>{label}</dt><dd><bdi>{value}</bdi></dd></div>" for label, value in facts.items())
    return f'<dl class="facts">{told}</dl>'


def _pictures(figures: Figures, ident: str) -> str:
    k = figures.k
    drawn = [
        (
            plots.quality_and_time(figures, f"{ident}-time"),
            "Quality against training time",
            f"NDCG@{k} with its 95 % interval; seconds on a logarithmic scale. Up and left is better. "
            "Hollow grey: references.",
        ),
        (
            plots.differences(figures, f"{ident}-lead"),
            "How far the others fall behind",
            "Paired over users, Holm-corrected. Filled: significant at 0.05. Hollow: chance may explain it.",
        ),
        (
            plots.groups(figures, "users", f"ndcg@{k}", f"{ident}-users"),
            "Users by activity",
            f"NDCG@{k} for thirds of the users by how many known likes they have. Bold: best of the group.",
        ),
        (
            plots.groups(figures, "items", f"found@{k}", f"{ident}-items"),
            "Items by popularity",
            f"Share of held-out likes that are found among the {k}, for items by popularity. Bold: best of the group.",
        ),
        (
            plots.learning(figures, f"{ident}-learning"),
            "Learning curves",
            "The metric on validation rows after each epoch (last seed); the point marks the best epoch.",
        ),
        (
            plots.losses(figures, f"{ident}-loss"),
            "Training loss",
            "Each model on a scale of its own: losses of different models cannot be compared.",
        ),
    ]
    shown = [
        f"<figure>\n<figcaption><strong>{title}</strong>{about}</figcaption>\n{picture}\n</figure>"
        for picture, title, about in drawn
        if picture
    ]
    return (
        f'<div class="plots">\n{"".join(shown)}\n</div>' if shown else '<p class="note">There is nothing to draw.</p>'
    )
