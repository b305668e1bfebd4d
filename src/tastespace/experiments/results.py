"""Finished results of a comparison, kept on disk so that an interrupted one goes on where it stopped.

A result lies in a folder named after everything that it depends on (model, config, options and seed, data, cut, K,
version, code): `result.json` with the figures, `users.safetensors` with one value a user. Written whole or not at all.
"""

import functools
import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save_file

from tastespace import config as configs
from tastespace._atomic import fresh_folder
from tastespace.data.split import Split
from tastespace.evaluation import Health, Report
from tastespace.evaluation.metrics import PER_USER
from tastespace.models.base import Options
from tastespace.training.loop import Epoch

_log = logging.getLogger("tastespace")


@dataclass(frozen=True, eq=False)
class Result:
    """What one model with one seed came to on one split."""

    seed: int
    report: Report
    train_seconds: float
    epochs: int
    parameters: int
    history: tuple[Epoch, ...]
    health: Health | None


def identify(name: str, split: Split, config: Any, options: Options, k: int) -> dict[str, Any]:
    """Everything that a result depends on, as plain values."""
    return {
        "version": version("tastespace"),
        "code": _code(),
        "model": name,
        "config": configs.to_mapping(config),
        "options": configs.to_mapping(options),
        "k": k,
        "data": split.dataset.name,
        "protocol": split.protocol,
        "cut": split.fingerprint(),
    }


def keep(folder: Path, identity: Mapping[str, Any], result: Result) -> None:
    """Write a result into its place under `folder`; a disk that refuses is told and costs nothing else."""
    report = result.report
    arrays = {"users": report.users, **{f"metric {name}": values for name, values in report.per_user.items()}}
    try:
        with fresh_folder(_place(folder, identity)) as place:
            save_file(
                {name: np.ascontiguousarray(array) for name, array in arrays.items()}, place / "users.safetensors"
            )
            told = {
                "identity": identity,
                "users_sha256": hashlib.sha256((place / "users.safetensors").read_bytes()).hexdigest(),
                "seed": result.seed,
                "train_seconds": result.train_seconds,
                "epochs": result.epochs,
                "parameters": result.parameters,
                "history": [asdict(epoch) for epoch in result.history],
                "health": None if result.health is None else result.health.to_json(),
                "overall": dict(report.overall),
                "groups": {group: dict(values) for group, values in report.groups.items()},
                "evaluate_seconds": report.seconds,
            }
            (place / "result.json").write_text(json.dumps(told))
    except OSError as error:
        _log.warning("the result of %s cannot be kept in %s (%s)", identity["model"], folder, error.strerror)


def load_result(folder: Path, identity: Mapping[str, Any]) -> Result | None:
    """The kept result of just this run; None where there is none, or (with a message) where it is damaged."""
    place = _place(folder, identity)
    if not place.exists():
        return None
    try:
        return _read(place, identity)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError):
        _log.warning("the kept result %s is damaged and left aside; %s is trained anew", place, identity["model"])
        return None


def _read(place: Path, identity: Mapping[str, Any]) -> Result:
    told = json.loads((place / "result.json").read_text())
    packed = (place / "users.safetensors").read_bytes()
    if told["identity"] != identity or told["users_sha256"] != hashlib.sha256(packed).hexdigest():
        raise ValueError("the two files do not belong to this run")
    arrays = load(packed)
    users = arrays.pop("users")
    per_user = {f"{name}@{identity['k']}": arrays[f"metric {name}@{identity['k']}"] for name in PER_USER}
    if any(values.shape != users.shape for values in per_user.values()):
        raise ValueError("the metrics are of other users")
    return Result(
        seed=int(told["seed"]),
        report=Report(identity["k"], users, per_user, told["overall"], told["groups"], float(told["evaluate_seconds"])),
        train_seconds=float(told["train_seconds"]),
        epochs=int(told["epochs"]),
        parameters=int(told["parameters"]),
        history=tuple(Epoch(**epoch) for epoch in told["history"]),
        health=None if told["health"] is None else Health.from_json(told["health"]),
    )


def _place(folder: Path, identity: Mapping[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return folder / f"{identity['model']}-{digest[:32]}"


@functools.cache
def _code() -> str:
    """Of every source file of the package: figures of other code are other figures, whatever the version says."""
    digest = hashlib.sha256()
    folder = Path(__file__).parents[1]
    for file in sorted(folder.rglob("*.py")):
        digest.update(f"{file.relative_to(folder).as_posix()} {file.stat().st_size} ".encode() + file.read_bytes())
    return digest.hexdigest()
