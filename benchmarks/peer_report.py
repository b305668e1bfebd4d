"""Tables and pictures of the peers benchmark."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tastespace
from tastespace.experiments.report.svg import MUTED, PAPER, SERIES, Drawing

BUDGETS = (1, 3, 10, 30, 60, 120, 300, 600, 1200, 1800)  # seconds
_MARKERS = "osD^vPX"

Found = Mapping[str, Any]
Point = tuple[float, float]  # seconds of fit, NDCG


def points(contender: Found) -> list[Point]:
    """Quality by training time: the shortened runs of a contender, and its final runs as one; shortest first."""
    if contender["failed"] is not None:
        return []
    final = (contender["fit_seconds"], contender["ndcg"])
    return sorted({final, *((point["fit_seconds"], point["ndcg"]) for point in contender["curve"])})


def time_to_reach(reached: Sequence[Point], target: float) -> float | None:
    """The fewest seconds of a point that is at `target` or above; None where none is."""
    return min((seconds for seconds, ndcg in reached if ndcg >= target), default=None)


def best_within(contenders: Sequence[Found], budget: float) -> tuple[str, float] | None:
    """Name and NDCG of the best point within `budget` seconds; None where there is none."""
    allowed = [(ndcg, one["name"]) for one in contenders for seconds, ndcg in points(one) if seconds <= budget]
    if not allowed:
        return None
    ndcg, name = max(allowed)
    return name, ndcg


def page(document: Found) -> list[str]:
    """Everything as Markdown."""
    lines = ["# Popular libraries beside ours", ""]
    for name, found in document["data_sets"].items():
        lines += [f"## {name}", "", *introduction(found, document["machine"]), "", *quality(found), ""]
        lines += [*remarks(found), "", *budgets(found), "", *evaluators(found), ""]
        if picture_of := [one for one in found["contenders"] if points(one)]:
            title = f"NDCG@{found['k']} against seconds of fitting and memory, {len(picture_of)} contenders"
            lines += [f"![{title}]({picture_file(name)})", ""]
    return lines


def introduction(found: Found, machine: str) -> list[str]:
    """Data, machine, procedure and versions of the libraries."""
    versions = ", ".join(
        version if isinstance(version, str) else f"{name} {version[name]}"
        for name, version in found["environments"].items()
    )
    criterion = f"evaluated by NDCG@{found['k']} on validation rows"
    return [
        f"{found['about']}.",
        f"Measured {found['measured']} on {machine}, {found['threads']} thread(s) a process, by benchmarks/peers.py.",
        f"{found['trials']} trial(s) each, of at most {found['limit']:g} s, {criterion}; the best setting trained on "
        f"all training rows with {found['seeds']} seed(s) and evaluated on the test rows.",
        f"Libraries: {versions}.",
    ]


def quality(found: Found) -> list[str]:
    """A row a contender, best first."""
    k, reference = found["k"], reference_of(found["contenders"])
    lines = [
        f"| contender | Recall@{k} | NDCG@{k} | fit s | of {reference['name'] if reference else 'ours'}'s | rank s "
        "| process s | memory MiB: whole | fit alone | of ours (whole, fit) | trials failed | setting |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    done = sorted((one for one in found["contenders"] if one["failed"] is None), key=lambda one: -one["ndcg"])
    for one in done:
        failed = sum(trial["failed"] is not None for trial in one["trials"])
        setting = ", ".join(f"{name} {value}" for name, value in one["best"].items()) or "defaults"
        cells = [f"**{one['name']}**" if one["ours"] else one["name"], f"{one['recall']:.4f}"]
        cells += [f"{one['ndcg']:.4f} ± {one['ndcg_spread']:.4f}", f"{one['fit_seconds']:.2f}"]
        cells += [ratio(one, reference, "fit_seconds"), f"{one['rank_seconds']:.2f}", f"{one['process_seconds']:.1f}"]
        cells += [f"{one['whole_mib']:.0f}", f"{one['fit_mib']:.0f}"]
        cells += [f"{ratio(one, reference, 'whole_mib')}, {ratio(one, reference, 'fit_mib')}"]
        cells += [f"{failed} of {len(one['trials'])}", setting]
        lines.append("| " + " | ".join(cells) + " |")
    for one in found["contenders"]:
        if one["failed"] is not None:
            reasons = sorted({trial["failed"] for trial in one["trials"] if trial["failed"]})
            reason = "; ".join([one["failed"], *reasons])
            failed = sum(trial["failed"] is not None for trial in one["trials"])
            lines.append(f"| {one['name']} |" + " – |" * 9 + f" {failed} of {len(one['trials'])} | {reason} |")
    lines += [f"| {name} |" + " – |" * 10 + f" not run: {why} |" for name, why in found["not_asked"].items()]
    return lines


def reference_of(contenders: Sequence[Found]) -> Found | None:
    """The contender of ours that the others are compared with: the first that was finished."""
    return next((one for one in contenders if one["ours"] and one["failed"] is None), None)


def best_peer(contenders: Sequence[Found]) -> Found | None:
    """The finished library other than ours with the highest NDCG."""
    peers = [one for one in contenders if not one["ours"] and one["failed"] is None]
    return max(peers, key=lambda one: one["ndcg"], default=None)


def ratio(one: Found, reference: Found | None, figure: str) -> str:
    """A figure as a multiple of the reference's."""
    if reference is None or not reference[figure]:
        return "–"
    return f"{one[figure] / reference[figure]:.2g}×"


def remarks(found: Found) -> list[str]:
    """Time to reach the best peer, agreement of the metrics, and how to read the columns."""
    lines = []
    peer, reference = best_peer(found["contenders"]), reference_of(found["contenders"])
    if peer is not None and reference is not None:
        taken = time_to_reach(points(reference), peer["ndcg"])
        outcome = "does not reach it" if taken is None else f"reaches it in {taken:.2f} s of fitting"
        lines.append(
            f"Best peer: {peer['name']}, NDCG@{found['k']} {peer['ndcg']:.4f} after {peer['fit_seconds']:.2f} s; "
            f"{reference['name']} {outcome}."
        )
    checked = found["cross_check"]
    if checked["lists"]:
        lines.append(
            f"Recall and NDCG of all {checked['lists']} sets of lists of {checked['users']} users were computed by "
            f"{checked['by']} too: largest difference of a user {checked['largest_difference']:.1e}."
        )
    lines.append(
        "Seconds and memory of fitting alone begin with the rows in memory and end with a trained model; of our models "
        "with epochs they hold the search for their number. ± is the standard deviation over seeds. Memory of the "
        "whole process counts interpreter and libraries. The other libraries learn from likes alone."
    )
    return lines


def budgets(found: Found) -> list[str]:
    """Table of the best quality within each budget of fitting time, ours and theirs."""
    ours = [one for one in found["contenders"] if one["ours"]]
    peers = [one for one in found["contenders"] if not one["ours"]]
    lines = [f"| seconds of fitting | ours, NDCG@{found['k']} | best peer |", "|---|---|---|"]
    for budget in BUDGETS:
        cells = [
            "–" if best is None else f"{best[1]:.4f} {best[0]}"
            for best in (best_within(ours, budget), best_within(peers, budget))
        ]
        lines.append(f"| {budget} | " + " | ".join(cells) + " |")
    return lines


def evaluators(found: Found) -> list[str]:
    """Full-ranking evaluations, theirs against ours of the same vectors and rows."""
    if not found["evaluators"]:
        return []
    lines = [
        "| evaluation of | by | s | ours s | theirs / ours | NDCG, recall: theirs | ours |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in found["evaluators"]:
        if one["failed"] is not None:
            lines.append(f"| {one['contender']} |" + " – |" * 5 + f" {one['failed']} |")
            continue
        cells = [
            one["contender"],
            one["by"],
            f"{one['seconds']:.3f}",
            f"{one['our_seconds']:.3f}",
            f"{one['ratio']:.1f}",
        ]
        for figures in (one["figures"], one["our_figures"]):
            cells.append(", ".join(f"{figures[name]:.4f}" if name in figures else "–" for name in ("ndcg", "recall")))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def picture_file(name: str) -> str:
    """The file of a data set's picture."""
    return f"peers_{name.replace('-', '')}.svg"


def picture(name: str, found: Found) -> str | None:
    """NDCG against seconds of fitting, a line a contender, and against memory. None where there is nothing to show.

    Ours are filled. Memory is a bar from what fitting alone takes to that of the whole process.
    """
    drawn = [one for one in found["contenders"] if points(one)]
    if not drawn:
        return None
    with Drawing(6.4) as drawing:
        of_time, of_memory = drawing.figure.subplots(2, 1, height_ratios=(3, 2))
        for place, one in enumerate(drawn):
            colour = SERIES[place % len(SERIES)]
            look = {
                "color": colour,
                "marker": _MARKERS[place % len(_MARKERS)],
                "markersize": 5,
                "markerfacecolor": colour if one["ours"] else PAPER,
            }
            line = "-" if one["ours"] else "--"
            of_time.plot(*zip(*points(one), strict=True), **look, linestyle=line, label=drawing.label(one["name"]))
            memory = (max(1.0, one["fit_mib"]), one["whole_mib"])
            of_memory.plot(memory, (one["ndcg"], one["ndcg"]), **look, linestyle=line)
        for axes, label in ((of_time, "seconds of fitting"), (of_memory, "MiB: fitting alone to whole process")):
            axes.set_xscale("log")
            axes.set_xlabel(label)
            axes.set_ylabel(f"NDCG@{found['k']}")
            axes.grid(True)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.minorticks_off()
        legend = drawing.figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=MUTED)
        legend.set_in_layout(True)
        description = "; ".join(
            f"{one['name']}: {one['ndcg']:.4f} after {one['fit_seconds']:.2f} s in {one['whole_mib']:.0f} MiB"
            for one in drawn
        )
        title = f"{name}: NDCG@{found['k']} against seconds of fitting and memory"
        inside = drawing.svg("peers", title, description)
    return standalone(inside)


def standalone(svg: str) -> str:
    """An `svg` element of the report page as a file of its own, with the light colours of the page."""
    style = (Path(tastespace.__file__).parent / "experiments" / "report" / "templates" / "style.css").read_text()
    colours = " ".join(re.findall(r"--[\w-]+: #\w+;", style.split("@media")[0]))
    css = f"svg {{ {colours} color: #1b1f24; background: var(--paper); font-family: sans-serif; }}"
    opened = svg.replace(
        "<svg ", '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ', 1
    )
    return opened.replace("<title", f"<style>{css}</style><title", 1) + "\n"
