"""Finished results of a comparison, saved so that an interrupted one resumes where it stopped.

A result is saved in a folder named after everything that it depends on (model, config, options and seed, data, cut, K,
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
    """Metrics and training record of one model with one seed on one split."""

    seed: int
    report: Report
    train_seconds: float
    epochs: int
    parameters: int
    history: tuple[Epoch, ...]
    health: Health | None


def identify(name: str, split: Split, config: Any, options: Options, k: int) -> dict[str, Any]:
    """Return everything that a result depends on, as plain values."""
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


def save_result(folder: Path, identity: Mapping[str, Any], result: Result) -> None:
    """Save a result under `folder`; where the disk refuses, a warning is logged and nothing else is lost."""
    report = result.report
    arrays = {"users": report.users, **{f"metric {name}": values for name, values in report.per_user.items()}}
    try:
        with fresh_folder(_folder_of(folder, identity)) as place:
            save_file(
                {name: np.ascontiguousarray(array) for name, array in arrays.items()}, place / "users.safetensors"
            )
            record = {
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
            (place / "result.json").write_text(json.dumps(record))
    except OSError as error:
        _log.warning("the result of %s cannot be saved in %s (%s)", identity["model"], folder, error.strerror)


def load_result(folder: Path, identity: Mapping[str, Any]) -> Result | None:
    """Load the saved result of this very run; None where there is none, or (with a warning) where it is damaged."""
    place = _folder_of(folder, identity)
    if not place.exists():
        return None
    try:
        return _read(place, identity)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError):
        _log.warning("the saved result %s is damaged and ignored; %s is trained again", place, identity["model"])
        return None


def _read(place: Path, identity: Mapping[str, Any]) -> Result:
    record = json.loads((place / "result.json").read_text())
    content = (place / "users.safetensors").read_bytes()
    if record["identity"] != identity or record["users_sha256"] != hashlib.sha256(content).hexdigest():
        raise ValueError("the two files do not belong to this run")
    arrays = load(content)
    users = arrays.pop("users")
    per_user = {f"{name}@{identity['k']}": arrays[f"metric {name}@{identity['k']}"] for name in PER_USER}
    if any(values.shape != users.shape for values in per_user.values()):
        raise ValueError("the metrics are of other users")
    return Result(
        seed=int(record["seed"]),
        report=Report(
            identity["k"], users, per_user, record["overall"], record["groups"], float(record["evaluate_seconds"])
        ),
        train_seconds=float(record["train_seconds"]),
        epochs=int(record["epochs"]),
        parameters=int(record["parameters"]),
        history=tuple(Epoch(**epoch) for epoch in record["history"]),
        health=None if record["health"] is None else Health.from_json(record["health"]),
    )


def _folder_of(folder: Path, identity: Mapping[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return folder / f"{identity['model']}-{digest[:32]}"


@functools.cache
def _code() -> str:
    """Hash of every source file of the package: other code may give other figures, whatever the version says."""
    digest = hashlib.sha256()
    folder = Path(__file__).parents[1]
    for file in sorted(folder.rglob("*.py")):
        digest.update(f"{file.relative_to(folder).as_posix()} {file.stat().st_size} ".encode() + file.read_bytes())
    return digest.hexdigest()
