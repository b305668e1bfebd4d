"""Tables for people and JSON for programs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table

from tastespace._atomic import write_text

if TYPE_CHECKING:
    from tastespace.evaluation import Health
    from tastespace.experiments.comparison import Comparison
    from tastespace.serving.answer import Answer, Explanation, Reason
    from tastespace.serving.recommender import Recommender


_REASONS = 2  # that stand beside an item


def say(text: str = "") -> None:
    """A line on standard output."""
    typer.echo(text)


def hint(text: str) -> None:
    """A line on standard error, out of the way of anything that reads the output."""
    typer.echo(text, err=True)


def as_json(value: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(value, ensure_ascii=False, allow_nan=False))


def write_json(file: Path, value: Any) -> None:
    """One JSON document in a file, whole or not at all."""
    write_text(file, json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n")


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers_from: int = 1, at_least_wide: int = 100
) -> None:
    """An aligned table; columns from `numbers_from` on are right-aligned."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        made.add_column(column, justify="left" if place < numbers_from else "right", no_wrap=place >= numbers_from)
    for row in rows:
        made.add_row(*row)
    console = Console(highlight=False, markup=False, emoji=False)
    console.width = max(console.width, at_least_wide)
    console.print(made)


def interval(figures: Mapping[str, Any], metric: str) -> str:
    """A mean with its interval."""
    low, high = figures[f"{metric}_ci"]
    return f"{figures[metric]:.4f} [{low:.4f}, {high:.4f}]"


def comparison(found: "Comparison") -> None:
    """A comparison as tables: figures, then the paired tests against the best."""
    k = found.k
    figures = found.to_json()
    rows = sorted(figures["rows"], key=lambda row: -row[f"ndcg@{k}"])
    say(figures["protocol_line"])
    table(
        ["model", f"Recall@{k} [95 %]", f"NDCG@{k} [95 %]", "coverage", "likes", "train s", "rank s", "epochs", "span"],
        [
            [
                row["model"],
                interval(row, f"recall@{k}"),
                interval(row, f"ndcg@{k}"),
                f"{row[f'coverage@{k}']:.3f}",
                f"{row[f'popularity@{k}']:.0f}",
                f"{row['train_seconds']:.2f}",
                f"{row['evaluate_seconds']:.2f}",
                str(row["epochs"] or "-"),
                _span(row["health"]),
            ]
            for row in rows
        ],
        at_least_wide=130,
    )
    say(
        "likes: known likes of a recommended item, on average (popularity bias); span: dimensions that the item "
        f"vectors spread over; model seeds: {figures['seeds']}"
    )
    best = rows[0]["model"]
    parts = []
    for test in found.tests:
        if best in (test.a, test.b):
            other = test.b if test.a == best else test.a
            parts.append(f"{other} {probability(test.p_corrected)}")
    if parts:
        say(f"{best} against the others, NDCG@{k}, Wilcoxon over {figures['users']} users, Holm: {', '.join(parts)}")
    for row in rows:
        for sentence in row["health"]["warnings"] if row["health"] else []:
            hint(f"{row['model']}: {sentence}")
    for name, why in found.skipped.items():
        hint(f"{name} was skipped: {why}")


def health(found: "Health") -> None:
    """Embedding health, a line a table of vectors."""
    for noun, space in (("item", found.items), ("user", found.users)):
        if space is not None:
            length = "-" if space.norm_popularity is None else f"{space.norm_popularity:.2f}"
            sample = "" if space.sampled_rows == space.used_rows else f" (of {space.sampled_rows:,} drawn)"
            say(
                f"  {noun} vectors span {space.effective_rank:.1f} of {space.dim} dimensions, "
                f"{space.dead_rows} dead, length against popularity {length}{sample}"
            )


def _span(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "-"
    items = found["items"]
    return "collapsed" if items["collapsed"] else f"{items['effective_rank']:.0f} of {items['dim']}"


def probability(p: float) -> str:
    """A p-value as people write it."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def items(recommender: "Recommender", answer: "Answer") -> None:
    """Recommended or similar items, one a line, with what is known of them."""
    known = recommender.bundle.item_table.columns
    titles, genres = "title" in known, "genres" in known
    rows = []
    for place, (item, score) in enumerate(zip(answer.items, answer.scores, strict=True)):
        told = [recommender.label(item)] if titles else []
        told += [", ".join(map(str, recommender.describe(item).get("genres") or []))] if genres else []
        why = [_shortly(recommender, answer.reasons[place])] if answer.reasons else []
        rows.append([str(place + 1), str(item), *told, *why, f"{score:.3f}"])
    about = ["title"] * titles + ["genres"] * genres + ["because of"] * bool(answer.reasons)
    table(["", "id", *about, "score"], rows, numbers_from=2 + len(about))


def _shortly(recommender: "Recommender", reasons: "tuple[Reason, ...]") -> str:
    """The strongest reasons that speak for an item, in a few words; of nothing but what is popular, that."""
    speaking = [one for one in reasons if one.value > 0 and one.kind != "user"]
    own = [one for one in speaking if one.kind != "baseline"]
    return "; ".join(_told(recommender, one) for one in (own or speaking)[:_REASONS]) or "-"


def answer_to_json(recommender: "Recommender", answer: "Answer", **asked: Any) -> dict[str, Any]:
    """An answer of items as plain values, with their attributes."""
    return {
        **asked,
        "route": answer.route,
        **({"notes": list(answer.notes)} if answer.notes else {}),
        "items": [
            {"item": item, "score": score, **_reasons_of(answer, place), **recommender.describe(item)}
            for place, (item, score) in enumerate(zip(answer.items, answer.scores, strict=True))
        ],
    }


def _reasons_of(answer: "Answer", place: int) -> dict[str, Any]:
    return {"reasons": reasons_to_json(answer.reasons[place])} if answer.reasons else {}


def reasons_to_json(reasons: "Sequence[Reason]") -> list[dict[str, Any]]:
    """Reasons as plain values."""
    return [{"kind": one.kind, "name": one.name, "value": one.value} for one in reasons]


def explanation(recommender: "Recommender", found: "Explanation", k: int) -> None:
    """What a score is made of, the strongest `k` reasons a line each, and the others in one."""
    say(f"{recommender.label(found.item)}: score {found.score:.3f}, route {found.route}")
    rows = [[f"{reason.value:+.3f}", _told(recommender, reason)] for reason in found.reasons[:k]]
    others = found.reasons[k:]
    if others:
        rows.append([f"{sum(reason.value for reason in others):+.3f}", f"{len(others)} more"])
    if not rows:
        say("nothing that is known of this user bears on it")
    table(["adds" if found.adds_up else "would be lost", "because of"], rows, numbers_from=2)
    if not found.adds_up:
        hint("the score is no sum: each figure is what it would lose without that item")


def _told(recommender: "Recommender", reason: "Reason") -> str:
    if reason.kind == "history":
        return recommender.label(reason.name)
    told = {
        "user": "what the model learnt of this user beyond the history",
        "baseline": "the score it has for any user",
        "similar_users": "number of the most similar users who like it",
        "popular": "number of users who like it",
    }
    return told.get(reason.kind, str(reason.name))


def explanation_to_json(found: "Explanation") -> dict[str, Any]:
    """An explanation as plain values."""
    return {
        "item": found.item,
        "score": found.score,
        "route": found.route,
        "adds_up": found.adds_up,
        **({"notes": list(found.notes)} if found.notes else {}),
        "reasons": reasons_to_json(found.reasons),
    }
