"""What every worker shares: a job is read from a folder, done and measured, and its result written beside it.

A worker is run by its library's own interpreter as `python worker.py FOLDER`, and knows of this benchmark only what
lies in the folders that it is given: no part of tastespace is imported here.
"""

import json
import os
import resource
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

JUDGED = 3  # times that a library judges its own model, of which the median counts
_BLINK = 0.005  # seconds between two looks at the memory in use, where the system keeps no peak that can be reset
_MIB = 2**20


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a log as indices; `weight` is above 0 where a row says "liked"; `time` None: the log has none."""

    user: npt.NDArray[np.int32]
    item: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float32]
    time: npt.NDArray[np.float64] | None

    @classmethod
    def read(cls, file: Path) -> "Rows":
        """From an npz file."""
        with np.load(file) as held:
            return cls(held["user"], held["item"], held["weight"], held.get("time"))

    def likes(self) -> "Rows":
        """The rows that say "liked"."""
        mask = self.weight > 0
        time_part = None if self.time is None else self.time[mask]
        return Rows(self.user[mask], self.item[mask], self.weight[mask], time_part)


@dataclass(frozen=True, eq=False)
class Job:
    """What to train on and with, whom to rank for, and how many items."""

    settings: Mapping[str, Any]
    seed: int
    k: int
    threads: int
    about: Mapping[str, Any]  # of the data: n_users, n_items, protocol, hidden
    train: Rows
    ask: npt.NDArray[np.int64]  # (R,) users
    test: Rows | None  # for a job that has the library judge itself

    @classmethod
    def read(cls, folder: Path) -> "Job":
        """From a job's folder."""
        told = json.loads((folder / "job.json").read_text())
        data = Path(told["data"])
        return cls(
            settings=told["settings"],
            seed=told["seed"],
            k=told["k"],
            threads=told["threads"],
            about=json.loads((data / "about.json").read_text()),
            train=Rows.read(data / "train.npz"),
            ask=np.load(data / "ask.npy"),
            test=Rows.read(data / "test.npz") if told["judge"] else None,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Users and items."""
        return self.about["n_users"], self.about["n_items"]


@dataclass(frozen=True)
class Judgement:
    """What a library's own evaluation is called, and how to run it: () to its figures by name."""

    by: str
    run: Callable[[], Mapping[str, float]]


@dataclass(frozen=True, eq=False)
class Vectors:
    """Whose inner products are a model's scores: users (R, D) in the order of `Job.ask`, items (N, D)."""

    users: npt.NDArray[np.float32]
    items: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Worker:
    """What a library does: `fit` a job to a model, and `top` a model to (R, K) item indices, best first.

    `judge` makes ready everything but the evaluation itself, which alone is timed. `note` tells more of a model.
    """

    fit: Callable[[Job], Any]
    top: Callable[[Job, Any], npt.NDArray[np.int64]]
    judge: Callable[[Job, Any], Judgement] | None = None
    vectors: Callable[[Job, Any], Vectors] | None = None
    note: Callable[[Any], Mapping[str, Any]] = lambda model: {}

    def run(self) -> None:
        """Do the job in the folder that the command line names."""
        folder = Path(sys.argv[1])
        job = Job.read(folder)
        if job.test is None:
            self._rank(job, folder)
        else:
            self._judge(job, folder)

    def _rank(self, job: Job, folder: Path) -> None:
        with measured() as fit:
            model = self.fit(job)
        began = time.perf_counter()
        top = self.top(job, model)
        rank_seconds = time.perf_counter() - began
        np.save(folder / "top.npy", np.asarray(top, dtype=np.int64))
        found = {"fit_seconds": fit["seconds"], "rank_seconds": rank_seconds, "fit_mib": fit["mib"]}
        peak = max(fit["highest"], peak_bytes())
        write(folder, {**found, "whole_mib": peak / _MIB, "memory": fit["how"], "notes": dict(self.note(model))})

    def _judge(self, job: Job, folder: Path) -> None:
        if self.judge is None:
            raise SystemExit("this library has no evaluation of its own")
        model = self.fit(job)
        judgement = self.judge(job, model)
        seconds, figures = median_seconds(judgement.run)
        if self.vectors is not None:
            vectors = self.vectors(job, model)
            np.savez(folder / "vectors.npz", users=vectors.users, items=vectors.items)
        write(folder, {"by": judgement.by, "seconds": seconds, "figures": figures})


def median_seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    """Median seconds of a few runs, and what the last of them came to."""
    times = []
    for _ in range(JUDGED):
        began = time.perf_counter()
        found = run()
        times.append(time.perf_counter() - began)
    return statistics.median(times), found


def write(folder: Path, result: Mapping[str, Any]) -> None:
    """Write the result."""
    (folder / "result.json").write_text(json.dumps(result, default=float))


@contextmanager
def measured() -> Iterator[dict[str, Any]]:
    """Fills in, at the end of the block: seconds, MiB above what was in use before it, and the process's peak so far.

    The kernel's own peak is set back where it can be, else a thread looks every few milliseconds. `getrusage` would
    not do: after `exec` it still tells the peak of the process that started this one.
    """
    found: dict[str, Any] = {}
    before_peak, before = peak_bytes(), resident_bytes()
    resettable = _reset_peak()
    highest, done = [before], threading.Event()

    def look() -> None:
        while not done.wait(_BLINK):
            highest[0] = max(highest[0], resident_bytes())

    watcher = threading.Thread(target=look, daemon=True)
    if not resettable:
        watcher.start()
    began = time.perf_counter()
    yield found
    seconds = time.perf_counter() - began
    if not resettable:
        done.set()
        watcher.join()
    peak = peak_bytes() if resettable else max(highest[0], resident_bytes())
    found.update(
        seconds=seconds,
        mib=max(0, peak - before) / _MIB,
        highest=max(before_peak, peak, peak_bytes()),
        how="peak kept by the kernel" if resettable else f"looked at every {_BLINK * 1000:g} ms",
    )


def peak_bytes() -> int:
    """The most memory that this process has held."""
    told = _status("VmHWM:")
    if told is not None:
        return told
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def resident_bytes() -> int:
    """The memory that this process holds now; its peak where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return peak_bytes()


def _reset_peak() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    told = _status("VmHWM:")
    return told is not None and told <= resident_bytes() + _MIB


def _status(key: str) -> int | None:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None
