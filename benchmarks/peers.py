"""Popular libraries beside ours: quality, seconds and memory on the same splits, judged by the same evaluator.

    .venv/bin/python benchmarks/peers.py [--data-sets NAME,...] [--only NAME,...] [--threads N] [--smoke]

Every library lives in an environment of its own, which is built on first use, and every model, ours too, is trained in
a process of its own that is measured in the same way. Each contender has the same number of trials on the validation
part; its best setting is then trained on all training rows with several seeds and judged on the test rows.
Writes results/peers.json, peers.md and a picture a data set. Finished jobs are kept in the cache folder, so that an
interrupted run goes on where it stopped.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import peer_report
import tastespace as ts
from figures import rounded
from peer_jobs import InstallError, Outcome, Part, Task, built, do, hand_over, home, lists_of, machine
from peer_settings import KINDS, NOT_ASKED, OURS, PEERS, RANX, Kind, Settings
from tastespace._atomic import write_text
from tastespace.data.lines import read_ready_split
from tastespace.data.split import Split, ready_split
from tastespace.evaluation import metrics

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
TRIALS = {"ml-100k": 8, "gowalla": 4}
SEEDS = {"ml-100k": 3, "gowalla": 1}
LIMITS = {"ml-100k": 300.0, "gowalla": 400.0}  # seconds of a trial
FINAL_LIMIT = 3.0  # times a trial's: there are more rows to train on, and an evaluation may be slow
GIVE_UP_AFTER = 2  # trials over the limit from the first on: the others would be too
SHARES = (1 / 8, 1 / 4, 1 / 2, 3 / 4, 1.0)  # of a contender's length: the points of its curve
AGREE = 1e-6  # how far the metrics of an independent library may be from ours


@dataclass(frozen=True)
class Plan:
    """How much is asked of each contender."""

    trials: int | None
    seeds: int | None
    threads: int
    limit: float | None
    only: Sequence[str] | None
    smoke: bool

    def limit_on(self, data_set: str) -> float:
        """Seconds that a trial may take."""
        return LIMITS[data_set] if self.limit is None else self.limit

    def trials_on(self, data_set: str) -> int:
        """Settings that each contender tries."""
        return TRIALS[data_set] if self.trials is None else self.trials

    def seeds_on(self, data_set: str) -> int:
        """Final runs of each contender."""
        return SEEDS[data_set] if self.seeds is None else self.seeds

    def settings(self, name: str, listed: Sequence[Settings], data_set: str) -> list[Settings]:
        """The settings that a contender tries; for a smoke test one, as short as can be."""
        if not self.smoke:
            return list(listed[: self.trials_on(data_set)])
        length = KINDS[name].length
        return [{**listed[0], length: 2} if length in ("epochs", "iterations") else listed[0]]


@dataclass(frozen=True)
class Race:
    """All contenders on one data set."""

    data_set: str
    split: Split
    k: int
    plan: Plan

    @cached_property
    def test(self) -> Part:
        """All training rows, and the test rows."""
        return hand_over(self.split, self.k)

    @cached_property
    def validation(self) -> Part:
        """What the trials see: nothing of the test rows."""
        return hand_over(self.split.for_validation(), self.k)

    def run(self) -> dict[str, Any]:
        """Everything that is found out."""
        contenders, lists = [], {}
        for name, listed in {**PEERS[self.data_set], **OURS[self.data_set]}.items():
            if self.plan.only is None or name in self.plan.only:
                contenders.append(self.contender(name, self.plan.settings(name, listed, self.data_set), lists))
        return {
            "about": self.split.describe(),
            "validation": self.validation.split.describe(),
            "k": self.k,
            "measured": time.strftime("%Y-%m-%d"),
            "threads": self.plan.threads,
            "trials": self.plan.trials_on(self.data_set),
            "seeds": self.plan.seeds_on(self.data_set),
            "limit": self.plan.limit_on(self.data_set),
            "environments": self.environments(contenders),
            "contenders": contenders,
            "not_asked": NOT_ASKED[self.data_set],
            "cross_check": self.cross_check(lists),
            "evaluators": [found for one in contenders if (found := self.evaluators(one)) is not None],
        }

    def environments(self, contenders: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str] | str]:
        """Versions in the environments that were used, or why one could not be built."""
        used = [KINDS[one["name"]].environment for one in contenders]
        return {one.name: built(one) for one in [*used, RANX] if one is not None}

    def contender(self, name: str, listed: Sequence[Settings], lists: dict[str, np.ndarray]) -> dict[str, Any]:
        """A contender's trials, final runs and curve; the lists of its final runs are added to `lists`."""
        kind = KINDS[name]
        found: dict[str, Any] = {"name": name, "ours": kind.environment is None, "trials": []}
        if kind.environment is not None:
            try:
                kind.environment.versions()
            except InstallError as error:
                print(f"{self.data_set}: {name} cannot be installed: {error}", flush=True)
                return {**found, "failed": f"not installed: {error}"}
        found["trials"] = self.tune(name, listed)
        done = [trial for trial in found["trials"] if trial["failed"] is None]
        if not done:
            return {**found, "failed": "no trial was finished"}
        best = max(done, key=lambda trial: trial["ndcg"])["settings"]
        found["best"] = best
        found["seeds"] = []
        for seed in range(self.plan.seeds_on(self.data_set)):
            task = Task(kind.worker, kind.environment, self.test, {**kind.fixed, **best}, seed)
            row, top = self.measure(name, task, FINAL_LIMIT)
            found["seeds"].append(row)
            if top is not None:
                lists[f"{name}, seed {seed}"] = top
        if any(row["failed"] for row in found["seeds"]):
            return {**found, "failed": f"final run: {found['seeds'][-1]['failed']}"}
        return {**found, "failed": None, **summary(found["seeds"]), "curve": self.curve(name, best, found["seeds"][0])}

    def tune(self, name: str, listed: Sequence[Settings]) -> list[dict[str, Any]]:
        """The trials, each judged on the validation part."""
        kind, trials = KINDS[name], []
        for settings in listed:
            if len(trials) == GIVE_UP_AFTER and all("limit" in (trial["failed"] or "") for trial in trials):
                trials += [
                    {"settings": one, "failed": "not tried: the first were over the limit"}
                    for one in listed[len(trials) :]
                ]
                break
            row, _ = self.measure(
                name, Task(kind.worker, kind.environment, self.validation, {**kind.fixed, **settings}), 1.0
            )
            trials.append({**row, "settings": settings})
        return trials

    def curve(self, name: str, best: Settings, final: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The best setting stopped early, on the test rows: for the picture alone, nothing is chosen by it."""
        kind, points = KINDS[name], []
        for settings in shortened(kind, best, final["notes"].get("epochs")):
            task = Task(kind.worker, kind.environment, self.test, {**kind.fixed, **settings})
            row, _ = self.measure(name, task, FINAL_LIMIT)
            if row["failed"] is None:
                points.append({**row, "settings": settings})
        return points

    def measure(self, name: str, task: Task, share: float) -> tuple[dict[str, Any], np.ndarray | None]:
        """What a run cost and how good its lists are, on its part's test rows; and the lists."""
        outcome = do(task, self.plan.threads, share * self.plan.limit_on(self.data_set))
        row: dict[str, Any] = {"failed": outcome.failed, "process_seconds": outcome.process_seconds, "seed": task.seed}
        top = None
        if outcome.failed is None:
            top = lists_of(outcome, task.part)
            recall, ndcg = (float(values.mean()) for values in judged(top, task.part))
            row |= {**outcome.result, "recall": recall, "ndcg": ndcg}
        part = "test" if task.part is self.test else "validation"
        told = outcome.failed or f"NDCG@{self.k} {row['ndcg']:.4f}, fit {row['fit_seconds']:.2f} s"
        print(f"{self.data_set} {part}: {name} {dict(task.settings)} seed {task.seed}: {told}", flush=True)
        return row, top

    def cross_check(self, lists: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """The largest difference between our metrics and those of an independent library, user by user."""
        if not lists:
            return {"by": "ranx", "lists": 0, "largest_difference": None}
        wanted = self.split.relevant_items().take(np.load(self.test.folder / "ask.npy"))
        tops = np.stack(list(lists.values()))
        arrays = {"top": tops, "user": wanted.rows, "item": wanted.items.astype(np.int64)}
        outcome = do(Task("ranx_", RANX, self.test, {}, k=self.k, arrays=arrays), self.plan.threads, 3600.0)
        if outcome.failed is not None:
            raise SystemExit(f"the independent library did not judge the lists: {outcome.failed}")
        ours = [judged(top, self.test) for top in tops]
        with np.load(outcome.folder / "values.npz") as theirs:
            found = largest_difference(ours, theirs["recall"], theirs["ndcg"])
        print(
            f"{self.data_set}: {len(tops)} sets of lists judged by ranx too, largest difference {found:.1e}", flush=True
        )
        if not found < AGREE:
            raise SystemExit(f"the metrics differ from those of ranx by {found:g}, more than {AGREE:g}")
        version = RANX.versions()["ranx"]
        return {"by": f"ranx {version}", "lists": len(tops), "users": tops.shape[1], "largest_difference": found}

    def evaluators(self, contender: Mapping[str, Any]) -> dict[str, Any] | None:
        """A peer's own evaluation of its model against ours of the same vectors; None where it has none."""
        kind = KINDS[contender["name"]]
        if kind.environment is None or not kind.judges or contender["failed"] is not None:
            return None
        limit = FINAL_LIMIT * self.plan.limit_on(self.data_set)
        settings = {**kind.fixed, **contender["best"]}
        task = Task(kind.worker, kind.environment, self.test, settings, k=self.k, judge=True)
        theirs = do(task, self.plan.threads, limit)
        if theirs.failed is not None:
            return {"contender": contender["name"], "failed": theirs.failed}
        ours = do(self.on_vectors(theirs), self.plan.threads, limit)
        if ours.failed is not None:
            return {"contender": contender["name"], "failed": f"ours: {ours.failed}"}
        found = {"contender": contender["name"], "failed": None, "by": theirs.result["by"]}
        found |= {"seconds": theirs.result["seconds"], "our_seconds": ours.result["seconds"]}
        ratio = found["seconds"] / found["our_seconds"]
        print(f"{self.data_set}: {found['by']} {found['seconds']:.3f} s, ours {found['our_seconds']:.3f} s", flush=True)
        return {**found, "ratio": ratio, "figures": theirs.result["figures"], "our_figures": ours.result["figures"]}

    def on_vectors(self, theirs: Outcome) -> Task:
        """Our evaluation of the vectors that another job left."""
        settings = {"vectors": str(theirs.folder / "vectors.npz")}
        return Task(
            "tastespace_", None, self.test, settings, k=self.k, judge=True, stand_ins={"vectors": theirs.folder.name}
        )


def shortened(kind: Kind, best: Settings, epochs: int | None) -> list[Settings]:
    """A setting at several shares of its length, which for ours is what its own search came to (`epochs`)."""
    if kind.length is None:
        return []
    whole, more = best.get(kind.length), {}
    if kind.environment is None and kind.length == "epochs":
        whole, more = epochs, {"search": False}
    lengths = sorted({max(1, round(share * whole)) for share in SHARES}) if whole else []
    return [{**best, kind.length: length, **more} for length in lengths]


def summary(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and spread of quality, median of seconds, most of memory, over seeds."""
    found = {name: float(np.mean([row[name] for row in seeds])) for name in ("recall", "ndcg")}
    spread = np.std([row["ndcg"] for row in seeds], ddof=1) if len(seeds) > 1 else 0.0
    seconds = ("fit_seconds", "rank_seconds", "process_seconds")
    found |= {name: float(np.median([row[name] for row in seeds])) for name in seconds}
    found |= {name: float(np.max([row[name] for row in seeds])) for name in ("whole_mib", "fit_mib")}
    return {**found, "ndcg_spread": float(spread)}


def judged(top: np.ndarray, part: Part) -> tuple[np.ndarray, np.ndarray]:
    """Recall and NDCG (R,) of lists, cut at the part's K, on its test rows."""
    wanted = part.split.relevant_items().take(np.load(part.folder / "ask.npy"))
    hits = metrics.find_hits(top[:, : part.k], wanted, part.split.train.n_items)
    return metrics.recall(hits, wanted.lengths), metrics.ndcg(hits, wanted.lengths)


def largest_difference(ours: Sequence[tuple[np.ndarray, np.ndarray]], recall: np.ndarray, ndcg: np.ndarray) -> float:
    """Between our values (recall and NDCG of each of L lists) and those of another library (L, R); NaN if one is."""
    theirs = np.stack([recall, ndcg], axis=1)  # (L, 2, R)
    return float(np.abs(np.array(ours) - theirs).max())


def films() -> Split:
    """MovieLens 100K under the article's protocol."""
    return ts.split(ts.load_dataset("ml-100k"), "article")


def check_ins(folder: Path) -> Split:
    """Gowalla as published with NGCF and LightGCN."""
    return ready_split("gowalla", *read_ready_split(folder / "train.txt", folder / "test.txt"))


def races(asked: Sequence[str], data: Path, plan: Plan) -> list[Race]:
    """The data sets that are there."""
    found = []
    if "ml-100k" in asked:
        found.append(Race("ml-100k", films(), 10, plan))
    if "gowalla" in asked:
        if (data / "train.txt").is_file():
            found.append(Race("gowalla", check_ins(data), 20, plan))
        else:
            print(f"gowalla is left out: there is no train.txt in {data}; name its folder with --data", flush=True)
    return found


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-sets", default=",".join(LIMITS), help="of ml-100k, gowalla; others keep their results")
    parser.add_argument(
        "--data", type=Path, default=ROOT.parent / "shared" / "data" / "gowalla", help="Gowalla's folder"
    )
    parser.add_argument("--only", help=f"contenders, of {', '.join(KINDS)}; writes no file")
    parser.add_argument(
        "--trials",
        type=int,
        choices=range(1, max(TRIALS.values()) + 1),
        help=f"settings that each contender tries (default: {TRIALS})",
    )
    parser.add_argument("--seeds", type=int, help=f"final runs of each contender (default: {SEEDS})")
    parser.add_argument("--limit", type=float, help=f"seconds that a trial may take (default: {LIMITS})")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each process")
    parser.add_argument(
        "--smoke", action="store_true", help="one short trial and one seed; writes into the cache folder"
    )
    return parser.parse_args()


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a running worker is stopped, as by Ctrl-C
    asked = options()
    only = asked.only.split(",") if asked.only else None
    unknown = sorted({*asked.data_sets.split(",")} - LIMITS.keys()) + sorted({*(only or [])} - KINDS.keys())
    if unknown:
        raise SystemExit(f"there is no {', '.join(unknown)}; contenders are {', '.join(KINDS)}")
    trials, seeds = (1, 1) if asked.smoke else (asked.trials, asked.seeds)
    plan = Plan(trials, seeds, asked.threads, asked.limit, only, asked.smoke)
    target = home() / "smoke" if asked.smoke else RESULTS
    document: dict[str, Any] = {"machine": machine(), "data_sets": earlier(target)}
    for race in races(asked.data_sets.split(","), asked.data, plan):
        document["data_sets"][race.data_set] = race.run()
        print("\n".join(peer_report.page(document)), flush=True)
        if only is None:
            write(document, target)


def earlier(target: Path) -> dict[str, Any]:
    """Results of data sets that an earlier run wrote."""
    file = target / "peers.json"
    return json.loads(file.read_text())["data_sets"] if file.exists() else {}


def write(document: Mapping[str, Any], target: Path) -> None:
    """The results, their tables and their pictures."""
    write_text(target / "peers.json", json.dumps(rounded(document), indent=1) + "\n")
    write_text(target / "peers.md", "\n".join(peer_report.page(document)) + "\n")
    for name, found in document["data_sets"].items():
        picture = peer_report.picture(name, found)
        if picture is not None:
            write_text(target / peer_report.picture_file(name), picture)


if __name__ == "__main__":
    main()
