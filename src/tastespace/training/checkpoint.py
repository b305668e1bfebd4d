"""Checkpoints of a training run: tensors as safetensors, the rest as JSON, replaced in one step."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tastespace._atomic import fresh_folder
from tastespace.errors import TrainingError


@dataclass(frozen=True)
class Checkpoint:
    """A run after a whole epoch: `tensors` by name, `state` as plain values."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint folder; a reader finds the old one or the new one, whole."""
    try:
        with fresh_folder(path) as folder:
            save_file({k: v.contiguous() for k, v in checkpoint.tensors.items()}, folder / "tensors.safetensors")
            (folder / "state.json").write_text(json.dumps(checkpoint.state))
    except OSError as error:
        raise TrainingError(f"the checkpoint {path} cannot be written ({error.strerror})") from error


def load_checkpoint(path: Path) -> Checkpoint:
    """Read the checkpoint at `path`; a missing or damaged one raises `TrainingError`."""
    try:
        state = json.loads((path / "state.json").read_text())
        tensors = load_file(path / "tensors.safetensors")
    except FileNotFoundError as error:
        raise TrainingError(f"there is no checkpoint at {path} to resume from") from error
    except (OSError, ValueError, SafetensorError, RecursionError) as error:
        raise TrainingError(f"the checkpoint {path} is damaged; delete it and train again") from error
    if not isinstance(state, dict):
        raise TrainingError(f"the checkpoint {path} is damaged; delete it and train again")
    return Checkpoint(tensors, state)


def remove_checkpoint(path: Path) -> None:
    """Delete a checkpoint folder, if there is one."""
    if path.exists():
        shutil.rmtree(path)
