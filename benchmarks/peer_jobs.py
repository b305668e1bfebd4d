"""Jobs of the peers benchmark: environments built, data handed over, workers run, and everything kept.

All of it lies under `peers` in the cache folder: an environment a library, a folder a data set's part, and a folder a
finished job, named after everything that its result depends on.
"""

import datetime
import hashlib
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import tastespace as ts
from tastespace._atomic import fresh_folder, write_text
from tastespace.data.interactions import Interactions
from tastespace.data.sources import cache_folder
from tastespace.data.split import Split
from tastespace.evaluation import Evaluator

WORKERS = Path(__file__).parent / "peer_workers"
DEEPEST = 20  # items a list
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def home() -> Path:
    """Where everything is kept."""
    return cache_folder() / "peers"


def key(identity: Mapping[str, Any]) -> str:
    """A name for what a job depends on: equal for equal content, in whatever order it is written."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]


@cache
def digest(*files: Path) -> str:
    """Of the bytes of some files, and their names."""
    found = hashlib.sha256()
    for file in files:
        found.update(f"{file.name} {file.stat().st_size} ".encode() + file.read_bytes())
    return found.hexdigest()


@cache
def our_sources() -> tuple[Path, ...]:
    """Every file of the package that a figure of ours can depend on."""
    package = Path(ts.__file__).parent
    aside = {package / "cli", package / "experiments" / "report"}
    return tuple(file for file in sorted(package.rglob("*.py")) if aside.isdisjoint(file.parents))


@dataclass(frozen=True, eq=False)
class Part:
    """Rows to train on and rows to judge by, and the folder that workers read them from."""

    split: Split
    k: int
    folder: Path
    fingerprint: str


def hand_over(split: Split, k: int) -> Part:
    """A split as a folder of arrays; written once."""
    fingerprint = split.fingerprint()
    folder = home() / "data" / f"{split.dataset.name}-{fingerprint[:32]}"
    if not folder.exists():
        about = {
            "name": split.dataset.name,
            "n_users": split.train.n_users,
            "n_items": split.train.n_items,
            "protocol": split.protocol,
            "hidden": split.hidden,
        }
        with fresh_folder(folder) as fresh:
            np.savez(fresh / "train.npz", **columns(split.train))
            np.savez(fresh / "test.npz", **columns(split.targets()))
            np.save(fresh / "ask.npy", Evaluator(split, k).users)
            (fresh / "about.json").write_text(json.dumps(about))
    return Part(split, k, folder, fingerprint)


def columns(rows: Interactions) -> dict[str, np.ndarray]:
    """Rows as plain arrays."""
    found = {"user": rows.user, "item": rows.item, "weight": rows.weight}
    return found if rows.time is None else {**found, "time": rows.time}


@dataclass(frozen=True)
class Environment:
    """A library's own interpreter: what it needs, and variables that its authors advise."""

    name: str
    needs: tuple[str, ...]
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def folder(self) -> Path:
        """Where it is built."""
        return (
            home() / "environments" / f"{self.name}-{key({'needs': self.needs, 'python': platform.python_version()})}"
        )

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def versions(self) -> dict[str, str]:
        """Versions of what is installed, built on first use. Raises `InstallError` where that fails."""
        found = built(self)
        if isinstance(found, str):
            raise InstallError(found)
        return found


@cache
def built(environment: Environment) -> dict[str, str] | str:
    """Versions of what is installed in an environment, or why it cannot be built; tried once."""
    ready = environment.folder / "ready.json"
    pip = [environment.python, "-m", "pip", "--disable-pip-version-check"]
    if not ready.exists():
        print(f"building the environment of {environment.name}", flush=True)
        for arguments in (
            [sys.executable, "-m", "venv", "--clear", environment.folder],
            [*pip, "install", "--quiet", *environment.needs],
        ):
            ran = subprocess.run(arguments, capture_output=True, text=True, check=False)
            if ran.returncode != 0:
                return last_error(ran.stderr)
        listed = subprocess.run([*pip, "list", "--format=json"], capture_output=True, text=True, check=True)
        write_text(ready, json.dumps({one["name"].casefold(): one["version"] for one in json.loads(listed.stdout)}))
    return json.loads(ready.read_text())


class InstallError(Exception):
    """A library that could not be installed; the message is pip's last word."""


def last_error(output: str) -> str:
    """The last line that names an error, else the last line; without addresses and paths, at most 300 characters."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    told = [line for line in lines if "error" in line.casefold()] or lines or ["no output"]
    return re.sub(r"(\w+:/)?/[^\s'\")]+", "…", told[-1])[:300]


@dataclass(frozen=True)
class Task:
    """One run of a worker."""

    worker: str
    environment: Environment | None  # None: our own
    part: Part
    settings: Mapping[str, Any]
    seed: int = 0
    k: int = DEEPEST
    judge: bool = False
    stand_ins: Mapping[str, str] = field(default_factory=dict)  # settings that are paths: the key of what lies there
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)  # written to lists.npz

    def identity(self, threads: int) -> dict[str, Any]:
        """Everything that the result depends on."""
        files = [WORKERS / f"{self.worker}.py", WORKERS / "job.py"]
        package = our_sources() if self.environment is None else ()
        environment = "this one" if self.environment is None else self.environment.versions()
        arrays = {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in self.arrays.items()}
        return {
            "worker": self.worker,
            "code": digest(*files, *package),
            "environment": environment,
            "data": self.part.fingerprint,
            "settings": {**self.settings, **self.stand_ins},
            "seed": self.seed,
            "k": self.k,
            "judge": self.judge,
            "arrays": arrays,
            "threads": threads,
            "machine": machine(),
        }


@dataclass(frozen=True)
class Outcome:
    """What became of a task: `failed` says why there is no result."""

    folder: Path
    failed: str | None
    process_seconds: float
    result: Mapping[str, Any]
    limit: float

    def usable(self, limit: float) -> bool:
        """Whether it need not be done again: it was finished, or stopped by a limit no lower than this one."""
        return self.failed is None or (self.failed.startswith("over the limit") and self.limit >= limit)

    def within(self, limit: float) -> "Outcome":
        """The same, failed where it took longer than is allowed now."""
        if self.failed is None and self.process_seconds > limit:
            return Outcome(self.folder, over(limit), self.process_seconds, {}, limit)
        return self


def over(limit: float) -> str:
    """What is said of a task that was stopped."""
    return f"over the limit of {limit:g} s"


def machine() -> str:
    """What this machine is called in results."""
    return f"{platform.machine()}, {os.cpu_count()} cores"


def do(task: Task, threads: int, limit: float) -> Outcome:
    """A task's outcome, kept from before or made (and kept) now."""
    identity = task.identity(threads)
    place = home() / "jobs" / f"{task.worker}-{key(identity)}"
    kept = read_outcome(place)
    if kept is not None and kept.usable(limit):
        return kept.within(limit)
    with fresh_folder(place) as folder, tempfile.TemporaryDirectory() as work:
        told = {
            "data": str(task.part.folder),
            "settings": dict(task.settings),
            "seed": task.seed,
            "k": task.k,
            "threads": threads,
            "judge": task.judge,
        }
        (folder / "job.json").write_text(json.dumps(told))
        if task.arrays:
            np.savez(folder / "lists.npz", **task.arrays)
        began = perf_counter()
        failed = run_worker(task, folder, Path(work), threads, limit)
        outcome = {
            "failed": failed,
            "process_seconds": perf_counter() - began,
            "limit": limit,
            "date": datetime.date.today().isoformat(),
            "identity": identity,
        }
        (folder / "outcome.json").write_text(json.dumps(outcome))
    found = read_outcome(place)
    assert found is not None
    return found


def read_outcome(place: Path) -> Outcome | None:
    """What lies in a finished job's folder; None where there is none, or it is damaged."""
    try:
        told = json.loads((place / "outcome.json").read_text())
        result = {} if told["failed"] else json.loads((place / "result.json").read_text())
        return Outcome(place, told["failed"], float(told["process_seconds"]), result, float(told["limit"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def run_worker(task: Task, folder: Path, work: Path, threads: int, limit: float) -> str | None:
    """Run a worker to its end; None, or why it failed. Nothing of it is left running."""
    python = Path(sys.executable) if task.environment is None else task.environment.python
    log = work / "log.txt"
    with open(log, "w") as out:
        process = subprocess.Popen(
            [python, "-W", "ignore", WORKERS / f"{task.worker}.py", folder],
            cwd=work,
            env=variables(task.environment, threads),
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            return over(limit)
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if process.returncode == -signal.SIGKILL:
        return "killed, perhaps for lack of memory"
    if process.returncode != 0 or not (folder / "result.json").exists():
        return last_error(log.read_text(errors="replace"))
    return None


def variables(environment: Environment | None, threads: int) -> dict[str, str]:
    """The environment of a worker: this one's with the number of threads; a peer sees nothing of our packages."""
    ours = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"} if environment is not None else set()
    found = {name: value for name, value in os.environ.items() if name not in ours}
    found |= dict.fromkeys(_THREADS, str(threads))
    return found if environment is None else found | dict(environment.variables)


def lists_of(outcome: Outcome, part: Part) -> np.ndarray:
    """(R, K) the lists of a finished job. Raises `ValueError` where they are not what was asked for."""
    top = np.load(outcome.folder / "top.npy")
    check_lists(top, part.split, np.load(part.folder / "ask.npy"))
    return top


def check_lists(top: np.ndarray, split: Split, ask: Sequence[int] | np.ndarray) -> None:
    """Raise `ValueError` for lists that name an item twice, a hidden item, or one that is not there."""
    if top.shape != (len(ask), DEEPEST):
        raise ValueError(f"lists of shape {top.shape}, not {(len(ask), DEEPEST)}")
    if top.min(initial=-1) < -1 or top.max(initial=-1) >= split.train.n_items:
        raise ValueError("a list holds an item that is not in the catalogue")
    ordered = np.sort(top, axis=1)
    if bool(((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any()):
        raise ValueError("a list holds an item twice")
    hidden = split.hidden_items().take(np.asarray(ask))
    asked = np.arange(len(ask))[:, None] * split.train.n_items + top
    if bool(np.isin(asked[top >= 0], hidden.pairs(split.train.n_items)).any()):
        raise ValueError("a list holds an item that is hidden from its user")
