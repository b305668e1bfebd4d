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
    from tastespace.training.baselines import BaselineComparison


_REASONS = 2  # shown beside an item


def say(text: str = "") -> None:
    """Print a line on standard output."""
    typer.echo(text)


def hint(text: str) -> None:
    """Print a line on standard error, so that it is not part of the output."""
    typer.echo(text, err=True)


def as_json(value: Any) -> None:
    """Print one JSON document on standard output."""
    typer.echo(json.dumps(value, ensure_ascii=False, allow_nan=False))


def write_json(file: Path, value: Any) -> None:
    """Write one JSON document to a file, whole or not at all."""
    write_text(file, json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n")


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers_from: int = 1, at_least_wide: int = 100
) -> None:
    """Print an aligned table; columns from `numbers_from` on are right-aligned."""
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


def comparison(result: "Comparison") -> None:
    """Print a comparison: a table of metrics, then the paired tests of the best model against the others."""
    k = result.k
    figures = result.to_json()
    rows = sorted(figures["rows"], key=lambda row: -row[f"ndcg@{k}"])
    say(figures["protocol_line"])
    table(
        [
            "model",
            f"Recall@{k} [95 %]",
            f"NDCG@{k} [95 %]",
            "coverage",
            "mean\npopularity",
            "train s",
            "eval s",
            "epochs",
            "effective\nrank",
        ],
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
                _effective_rank(row["health"]),
            ]
            for row in rows
        ],
        at_least_wide=130,
    )
    say(
        "mean popularity: training positives of a recommended item, on average; effective rank: dimensions that item "
        f"embeddings use; model seeds: {figures['seeds']}"
    )
    best = rows[0]["model"]
    p_values = []
    for test in result.tests:
        if best in (test.a, test.b):
            other = test.b if test.a == best else test.a
            p_values.append(f"{other} {probability(test.p_corrected)}")
    if p_values:
        say(f"{best} against the others, NDCG@{k}, Wilcoxon over {figures['users']} users, Holm: {', '.join(p_values)}")
    for row in rows:
        for sentence in row["health"]["warnings"] if row["health"] else []:
            hint(f"{row['model']}: {sentence}")
    for name, why in result.skipped.items():
        hint(f"{name} was skipped: {why}")


def health(found: "Health") -> None:
    """Print embedding health, one line per table of vectors."""
    for noun, space in (("item", found.items), ("user", found.users)):
        if space is not None:
            length = "-" if space.norm_popularity is None else f"{space.norm_popularity:.2f}"
            sample = "" if space.sampled_rows == space.used_rows else f" (sample of {space.sampled_rows:,})"
            say(
                f"  {noun} embeddings: effective rank {space.effective_rank:.1f} of {space.dim}, "
                f"{space.dead_rows} dead rows, correlation of norm and popularity {length}{sample}"
            )


def baselines(found: "BaselineComparison | None") -> None:
    """Print how a model compared with the baselines at training, a line or two, and a warning if it lost."""
    if found is not None:
        say(indented(str(found)))
        baseline_warning(found)


def baseline_warning(found: "BaselineComparison", command: str | None = None) -> None:
    """Print on standard error which baseline is better, and the `command` that trains it; nothing if none is."""
    warning = found.warning(command)
    if warning is not None:
        hint(f"warning: {warning}")


def indented(text: str) -> str:
    """Indent every line of a text by two spaces."""
    return "\n".join(f"  {line}" for line in text.splitlines())


def _effective_rank(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "-"
    items = found["items"]
    return "collapsed" if items["collapsed"] else f"{items['effective_rank']:.0f} of {items['dim']}"


def probability(p: float) -> str:
    """Format a p-value."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def items(recommender: "Recommender", answer: "Answer") -> None:
    """Print recommended or similar items, one per line, with their attributes."""
    known = recommender.bundle.item_table.columns
    titles, genres = "title" in known, "genres" in known
    rows = []
    for place, (item, score) in enumerate(zip(answer.items, answer.scores, strict=True)):
        about = [recommender.label(item)] if titles else []
        about += [", ".join(map(str, recommender.describe(item).get("genres") or []))] if genres else []
        why = [_short_reasons(recommender, answer.reasons[place])] if answer.reasons else []
        rows.append([str(place + 1), str(item), *about, *why, f"{score:.3f}"])
    columns = ["title"] * titles + ["genres"] * genres + ["because of"] * bool(answer.reasons)
    table(["", "id", *columns, "score"], rows, numbers_from=2 + len(columns))


def _short_reasons(recommender: "Recommender", reasons: "tuple[Reason, ...]") -> str:
    """Format the strongest reasons for an item; popularity only where there is no other."""
    positive = [reason for reason in reasons if reason.value > 0 and reason.kind != "user"]
    personal = [reason for reason in positive if reason.kind != "baseline"]
    return "; ".join(_reason_text(recommender, reason) for reason in (personal or positive)[:_REASONS]) or "-"


def answer_to_json(recommender: "Recommender", answer: "Answer", **request: Any) -> dict[str, Any]:
    """An answer of items as plain values, with their attributes."""
    return {
        **request,
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
    return [{"kind": reason.kind, "name": reason.name, "value": reason.value} for reason in reasons]


def explanation(recommender: "Recommender", found: "Explanation", k: int) -> None:
    """Print the contributions to a score: the strongest `k`, one per line, and the sum of the others."""
    say(f"{recommender.label(found.item)}: score {found.score:.3f}, route {found.route}")
    rows = [[f"{reason.value:+.3f}", _reason_text(recommender, reason)] for reason in found.reasons[:k]]
    others = found.reasons[k:]
    if others:
        rows.append([f"{sum(reason.value for reason in others):+.3f}", f"{len(others)} more"])
    if not rows:
        say("nothing in this user's history contributes to the score")
    table(["contribution" if found.adds_up else "drop without it", "because of"], rows, numbers_from=2)
    if not found.adds_up:
        hint("the score is not a sum of contributions: each figure is its drop without that item")


def _reason_text(recommender: "Recommender", reason: "Reason") -> str:
    if reason.kind == "history":
        return recommender.label(reason.name)
    texts = {
        "user": "learnt of this user, beyond the history",
        "baseline": "the score it has for any user",
        "similar_users": "number of the most similar users who like it",
        "popular": "number of users who like it",
    }
    return texts.get(reason.kind, str(reason.name))


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
