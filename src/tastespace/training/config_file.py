"""Config files: the name of a model and options of it, in TOML.

model = "mf"

[settings]
dim = 128
learning_rate = 0.02
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tastespace import models
from tastespace._atomic import write_text
from tastespace._messages import did_you_mean, shown
from tastespace.errors import OptionError
from tastespace.training.fit import configure

_MOST_BYTES = 2**20
_KEYS = ("model", "settings")


@dataclass(frozen=True)
class ModelConfig:
    """A model's name and options of its config and training, as `ts.train(model, split, **settings)` takes them."""

    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)


def read_config(file: str | Path) -> ModelConfig:
    """Read a config file.

    Raises `OptionError` for a file that cannot be read or is not TOML, for a name that is unknown (with the nearest
    one) and for a value that its option does not take.
    """
    document = _read_toml(file)
    for key in document:
        if key not in _KEYS:
            raise OptionError(f"{file} has an unknown key {shown(key)}{did_you_mean(key, _KEYS)}")
    model, settings = document.get("model"), document.get("settings", {})
    if not isinstance(model, str):
        raise OptionError(f'{file} names no model; a line like model = "mf" is expected at its top')
    if not isinstance(settings, dict):
        raise OptionError(f"{file} has settings that are no table: [settings] and lines like dim = 64 are expected")
    try:
        models.get(model)
        configure(model, settings)
    except OptionError as error:
        raise OptionError(f"{file}: {error}") from error
    return ModelConfig(model, settings)


def _read_toml(file: str | Path) -> dict[str, Any]:
    try:
        with open(file, "rb") as handle:
            raw = handle.read(_MOST_BYTES + 1)
        if len(raw) > _MOST_BYTES:
            raise OptionError(f"{file} has more than {_MOST_BYTES:,} bytes, which is too large for a config file")
        return tomllib.loads(raw.decode("utf-8"))
    except OSError as error:
        raise OptionError(f"the config file {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise OptionError(f"the config file {file} is not UTF-8 text") from error
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else "nested too deeply"
        raise OptionError(f"the config file {file} is not TOML: {reason}") from error


def write_config(file: str | Path, config: ModelConfig, *, comment: str = "") -> None:
    """Write a config file, whole or not at all; `comment` goes above it. Raises `OSError` where the disk refuses."""
    lines = [f"# {_printable(line)}" for line in comment.splitlines()]
    lines += [f"model = {_toml(config.model)}", "", "[settings]"]
    lines += [f"{name} = {_toml(value)}" for name, value in config.settings.items() if value is not None]
    write_text(Path(file), "\n".join(lines) + "\n")


def _toml(value: str | bool | float) -> str:
    """A scalar as TOML, which writes texts, numbers and booleans as JSON does."""
    return json.dumps(value, ensure_ascii=False)


def _printable(text: str) -> str:
    return "".join(mark if mark.isprintable() else "?" for mark in text)
