"""The page of a comparison: one HTML file that needs nothing else, to choose a model by and to check the choice."""

import importlib.util
import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from tastespace.atomic import write_text
from tastespace.errors import OptionError

Document = Mapping[str, Any]
_REFERENCES = ("popularity", "recent_popularity", "item_knn", "ease")

_CSS = """
:root { color-scheme: light dark; --ink: #1c1c1c; --paper: #fdfdfb; --line: #d0d0cc; --soft: #66665f; --warn: #8a3b00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e4; --paper: #17181a; --line: #45474b; --soft: #a5a59e; --warn: #ffb27a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1rem 4rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; } h2 { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1.5rem; }
.line { color: var(--soft); font-size: .9rem; }
.lead { font-size: 1.1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } td.text, th.text { text-align: left; }
td small { color: var(--soft); } td.best { font-weight: 700; } td.best::after { content: " *"; }
.warn { border-left: .3rem solid var(--warn); padding: .3rem .8rem; }
figure { margin: 1.5rem 0; } figure > div { overflow-x: auto; } figcaption { color: var(--soft); font-size: .9rem; }
svg { width: 100%; min-width: 34rem; height: auto; display: block; }
pre { overflow-x: auto; white-space: pre-wrap; font-size: .85rem; }
@media print { body { max-width: none; } svg { min-width: 0; } h2 { break-before: page; } }
"""


def check_can_write_page() -> None:
    """Raise `OptionError` before the work where the pictures cannot be drawn after it."""
    if importlib.util.find_spec("matplotlib") is None:
        raise OptionError("a page needs matplotlib for its pictures; install it with: pip install 'tastespace[plots]'")


def write_page(path: Path, documents: Sequence[Document]) -> None:
    """Write comparisons, as `Comparison.to_json` gives them, as one page; whole or not at all."""
    check_can_write_page()
    write_text(path, page(documents))


def page(documents: Sequence[Document]) -> str:
    """The page's HTML; equal figures give equal bytes."""
    title = "Comparison of recommenders: " + ", ".join(dict.fromkeys(str(one["data"]) for one in documents))
    body = "\n".join(_section(number, one) for number, one in enumerate(documents, 1))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{_text(title)}</title>
<style>{_CSS}</style>
</head>
<body>
<h1>{_text(title)}</h1>
{_overview(documents)}
{body}
</body>
</html>
"""


def _overview(documents: Sequence[Document]) -> str:
    if len(documents) < 2:
        return ""
    models = list(dict.fromkeys(row["model"] for one in documents for row in one["rows"]))
    head = ["model", *(f"{one['protocol']}, NDCG@{one['k']}" for one in documents)]
    found = [{row["model"]: row[f"ndcg@{one['k']}"] for row in one["rows"]} for one in documents]
    rows = [[_text(model), *(_number(values.get(model)) for values in found)] for model in models]
    best = [
        {column for column, values in enumerate(found, 1) if values and values.get(model) == max(values.values())}
        for model in models
    ]
    return "<h2>All protocols</h2>\n" + _table(head, rows, best) + "<p class='line'>* the best of its column</p>"


def _section(number: int, one: Document) -> str:
    from tastespace import report_plots as plots

    k = one["k"]
    rows = sorted(one["rows"], key=lambda row: -row[f"ndcg@{k}"])
    parts = [f"<h2>{_text(one['protocol'])}</h2>", f"<p class='line'>{_text(one['protocol_line'])}</p>"]
    if not rows:
        return "\n".join([*parts, "<p>No model could be compared.</p>", _skipped(one)])
    parts += [_verdict(rows, one), _warnings(rows), _figures(rows, one)]
    parts.append(
        _figure(
            plots.quality_against_time(rows, k, f"time-{number}"),
            "Quality against training time. Bars: 95 % intervals over users.",
        )
    )
    parts.append(
        _figure(
            plots.group_bars(rows, k, f"groups-{number}"),
            "By activity of users and popularity of items, each group a third of the users or of all likes.",
        )
    )
    parts.append(
        _figure(
            plots.learning_curves(rows, f"curves-{number}"),
            "Learning curves of the last seed, on validation rows.",
        )
    )
    parts += [_tests(one), _health(rows), _skipped(one), _repeat(rows, one)]
    return "\n".join(part for part in parts if part)


def _verdict(rows: Sequence[Document], one: Document) -> str:
    """Who leads, by how much, and at what cost, in a sentence."""
    k, first = one["k"], rows[0]
    told = f"<b>{_text(first['model'])}</b> ranks best: NDCG@{k} {_number(first[f'ndcg@{k}'])}"
    told += f", trained in {_seconds(first['train_seconds'])}"
    if len(rows) < 2:
        return f"<p class='lead'>{told}.</p>"
    second = rows[1]
    pair = {first["model"], second["model"]}
    p = next((test["p_corrected"] for test in one["tests"] if {test["a"], test["b"]} == pair), None)
    if p is None:
        lead = ""
    elif p < 0.05:
        lead = f"; its lead over {_text(second['model'])} is significant (p {_p(p)}, Holm)"
    else:
        lead = f"; its lead over {_text(second['model'])} may be chance (p {_p(p)}, Holm)"
    near = [row for row in rows[1:] if row[f"ndcg@{k}"] >= 0.97 * first[f"ndcg@{k}"]]
    cheaper = min(near, key=lambda row: row["train_seconds"], default=None)
    thrift = ""
    if cheaper is not None and cheaper["train_seconds"] < 0.5 * first["train_seconds"]:
        thrift = f" {_text(cheaper['model'])} comes within 3 % in {_seconds(cheaper['train_seconds'])}."
    return f"<p class='lead'>{told}{lead}.{thrift}</p>"


def _figures(rows: Sequence[Document], one: Document) -> str:
    k = one["k"]
    metrics = [f"ndcg@{k}", f"recall@{k}", f"hit@{k}", f"mrr@{k}", f"map@{k}", f"precision@{k}"]
    plain = [f"coverage@{k}", f"popularity@{k}", f"gini@{k}", f"novelty@{k}"]
    head = ["model", *metrics, "seeds", *plain, "training", "ranking", "parameters"]
    cells = []
    for row in rows:
        shown = [_estimate(row, metric) for metric in metrics]
        overall = [_number(row.get(name), 0 if name.startswith("popularity") else 3) for name in plain]
        times = [_seconds(row["train_seconds"]), _seconds(row["evaluate_seconds"])]
        name = _text(row["model"]) + (" <small>reference</small>" if row["model"] in _REFERENCES else "")
        cells.append([name, *shown, str(len(row["seeds"])), *overall, *times, f"{row['parameters']:,}"])
    best = [
        {place for place, metric in enumerate(metrics, 1) if row.get(metric) == max(r.get(metric, 0) for r in rows)}
        for row in rows
    ]
    users, items = one["users"], one["items"]
    note = (
        f"* the best of its column. Means over {users:,} users (and seeds), 95 % bootstrap intervals; ± spread over "
        "seeds. "
        f"coverage: share of the {items:,} items in anybody's list; popularity: mean likes of what is recommended; "
        "gini: how unevenly items are recommended (0 even)."
    )
    return _table(head, cells, best) + f"<p class='line'>{note}</p>"


def _estimate(row: Document, metric: str) -> str:
    if metric not in row:
        return "–"
    low, high = row[f"{metric}_ci"]
    seeds = row["by_seed"].get(metric, [])
    mean = sum(seeds) / len(seeds) if seeds else 0.0
    spread = math.sqrt(sum((value - mean) ** 2 for value in seeds) / (len(seeds) - 1)) if len(seeds) > 1 else None
    told = f"{_number(row[metric])} <small>[{_number(low, 3)}, {_number(high, 3)}]"
    return told + (f" ± {_number(spread)}</small>" if spread is not None else "</small>")


def _warnings(rows: Sequence[Document]) -> str:
    told = [
        f"<p><b>{_text(row['model'])}</b>: {_text(sentence)}</p>"
        for row in rows
        if row["health"] is not None
        for sentence in row["health"]["warnings"]
    ]
    return f"<div class='warn' role='note'>{''.join(told)}</div>" if told else ""


def _health(rows: Sequence[Document]) -> str:
    cells = []
    for row in rows:
        for kind, space in (row["health"] or {}).items():
            if kind == "warnings" or space is None:
                continue
            state = "collapsed" if space["collapsed"] else "sound"
            rank = f"{_number(space['effective_rank'], 1)} of {space['dim']}"
            cells.append(
                [
                    f"{_text(row['model'])}, {_text(kind)}",
                    state,
                    rank,
                    str(space["dead_rows"]),
                    _number(space["norm_popularity"], 2),
                ]
            )
    if not cells:
        return ""
    head = ["vectors", "state", "effective rank", "dead rows", "length against popularity"]
    return "<h3>Embedding health</h3>\n" + _table(head, cells, [set()] * len(cells))


def _tests(one: Document) -> str:
    cells = [
        [
            f"{_text(test['a'])} − {_text(test['b'])}",
            f"{test['difference']:+.4f}",
            _p(test["p"]),
            _p(test["p_corrected"]),
        ]
        for test in sorted(one["tests"], key=lambda test: test["p_corrected"])
    ]
    if not cells:
        return ""
    metric = _text(one["tests"][0]["metric"])
    table = _table(["pair", f"difference in {metric}", "p", "p, Holm"], cells, [set()] * len(cells))
    note = "Wilcoxon signed-rank over users, corrected for all pairs of this table."
    return f"<details><summary>Paired tests ({len(cells)})</summary>{table}<p class='line'>{note}</p></details>"


def _skipped(one: Document) -> str:
    told = [f"<li><b>{_text(name)}</b>: {_text(why)}</li>" for name, why in one["skipped"].items()]
    return f"<h3>Left out</h3><ul>{''.join(told)}</ul>" if told else ""


def _repeat(rows: Sequence[Document], one: Document) -> str:
    own = [row["model"] for row in rows if row["model"] not in _REFERENCES] or [rows[0]["model"]]
    command = (
        f"tastespace compare --data {one['data']} --protocol {one['protocol']} --models {','.join(own)} "
        f"--seeds {one['seeds']} --k {one['k']}"
    )
    settings = "\n".join(
        f"{row['model']}: {json.dumps({**row['config'], **row['options']}, ensure_ascii=False)}" for row in rows
    )
    return (
        f"<details><summary>How to repeat this</summary><pre>{_text(command)}</pre>"
        f"<p>Config and options of each model:</p><pre>{_text(settings)}</pre></details>"
    )


def _figure(svg: str, caption: str) -> str:
    return f"<figure><div>{svg}</div><figcaption>{_text(caption)}</figcaption></figure>" if svg else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], best: Sequence[set[int]]) -> str:
    """Cells are HTML already, heads are text; `best` holds the columns in which a row is the best."""
    titles = "".join(f"<th scope='col'>{_text(title)}</th>" for title in head)
    lines = []
    for row, columns in zip(rows, best, strict=True):
        marks = [" class='best'" if place in columns else "" for place in range(len(row))]
        lines.append("<tr>" + "".join(f"<td{m}>{cell}</td>" for m, cell in zip(marks, row, strict=True)) + "</tr>")
    return f"<div class='wide'><table><thead><tr>{titles}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"


def _number(value: float | None, digits: int = 4) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 10 else f"{value:,.0f} s"


def _p(value: float) -> str:
    return "&lt; 0.001" if value < 0.001 else f"{value:.3f}"


def _text(value: Any) -> str:
    """Anything as text that means nothing to a browser."""
    printable = "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in str(value))
    return escape(printable, quote=True)
