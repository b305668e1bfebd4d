"""The manifest of a bundle: JSON that is checked before anything else of the bundle is read."""

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tastespace._messages import shown
from tastespace.data.dataset import Dataset
from tastespace.errors import BundleError
from tastespace.index.files import FILES, KINDS
from tastespace.serving import format_1
from tastespace.training.baselines import BaselineComparison

FORMAT, VERSION = "tastespace-bundle", 2
INDEX_VERSION = 2
_LARGEST_MANIFEST = 16 * 2**20  # bytes
_LARGEST = 1e30  # number of a fold-in


def read_manifest(path: Path) -> dict[str, Any]:
    """Read and check the manifest of the bundle at `path`; that of format 1 is translated to format 2."""
    file = path / "manifest.json"
    try:
        if file.stat().st_size > _LARGEST_MANIFEST:
            raise BundleError(f"{file} is too large to be a manifest")
        manifest = json.loads(file.read_text())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BundleError(f"there is no bundle at {path} (no manifest.json); train one with --out {path}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{file} cannot be read as JSON") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BundleError(f"{path} is not a tastespace bundle")
    version = manifest.get("format_version")
    if version == 1:
        manifest = format_1.translate_manifest(manifest)
    elif version != VERSION:
        raise BundleError(f"{path} has format version {shown(version)}; this tastespace reads versions 1 and {VERSION}")
    expected = {
        "model": str,
        "config": dict,
        "counts": dict,
        "split": dict,
        "files": dict,
        "bias_coordinates": int,
    }
    for key, kind in expected.items():
        if not isinstance(manifest.get(key), kind):
            raise BundleError(f"{file} has no valid entry {key!r}")
    if manifest.get("fold_in") is not None and not _is_fold_in(manifest["fold_in"]):
        raise BundleError(f"{file} has no valid entry 'fold_in'")
    try:
        read_baselines(manifest)
    except ValueError as error:
        raise BundleError(f"{file} has no valid entry 'baselines'") from error
    return manifest


def read_baselines(manifest: Mapping[str, Any]) -> BaselineComparison | None:
    """Read how the model compared with the baselines at training; None where the manifest does not say.

    `ValueError` for an entry of another shape.
    """
    entry = manifest.get("baselines")
    return None if entry is None else BaselineComparison.from_json(entry)


def describe_run(
    *,
    model: str,
    config: Mapping[str, Any],
    options: Mapping[str, Any],
    dataset: Dataset,
    protocol: str,
    seed: int,
) -> dict[str, Any]:
    """Describe how a model was trained, as entries of a manifest."""
    log = dataset.interactions
    return {
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "model": model,
        "config": dict(config),
        "options": dict(options),
        "counts": {"users": log.n_users, "items": log.n_items, "rows": len(log)},
        "data": {"name": dataset.name, "fingerprint": log.fingerprint(), "signal": list(dataset.notes)},
        "split": {"protocol": protocol, "seed": seed},
    }


def index_files(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the files of a bundle's index; none for an exact index, or one of a version that is not read here."""
    entry = manifest.get("index")
    if not isinstance(entry, dict) or entry.get("format_version") != INDEX_VERSION:
        return ()
    kind = entry.get("kind")
    return FILES[kind] if kind in KINDS else ()


def check_digest(path: Path, name: str, manifest: Mapping[str, Any]) -> None:
    """Raise `BundleError` for a file whose checksum is not the one in the manifest, `OSError` for a missing file."""
    if digest(path / name) != manifest["files"].get(name):
        raise BundleError(f"{path / name} is damaged: its checksum is not the one in the manifest")


def digest(file: Path) -> str:
    """SHA-256 of a file."""
    with open(file, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _is_fold_in(entry: Any) -> bool:
    def numbers(values: Any, count: int | None = None) -> bool:
        fits = isinstance(values, list) and (count is None or len(values) == count)
        return fits and all(isinstance(value, int | float) and abs(value) <= _LARGEST for value in values)

    if not isinstance(entry, dict) or not numbers(entry.get("bias_query")) or not isinstance(entry.get("blocks"), list):
        return False
    if not numbers(entry.get("unseen_bias_query", entry["bias_query"]), len(entry["bias_query"])):
        return False
    if not isinstance(entry.get("likelihood_step", False), bool):
        return False
    recency = entry.get("recency", 1.0)
    if not numbers([recency]) or isinstance(recency, bool) or not 0 < recency <= 1:
        return False
    return all(numbers(block, 2) for block in entry["blocks"])
