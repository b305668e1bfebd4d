"""Commands about what there is: data, models, saved models, the installation."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tastespace._messages import shown
from tastespace.cli import output
from tastespace.cli.options import AsJson, Bundle
from tastespace.errors import BundleError

_DESCRIPTION = (
    "model",
    "created",
    "config",
    "options",
    "counts",
    "data",
    "split",
    "best_epoch",
    "train_seconds",
    "metrics",
    "health",
    "baselines",
    "index",
)


def fetch(
    name: Annotated[str, typer.Argument(help="ml-100k or ml-latest-small.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="A zip or folder that holds it already.", show_default=False)
    ] = None,
    json: AsJson = False,
) -> None:
    """Download a public data set into the cache.

    Example: tastespace fetch ml-100k
    """
    from tastespace.data.sources import fetch as fetch_data

    found = fetch_data(name, source)
    if json:
        output.as_json(
            {
                "name": name,
                "folder": str(found.folder),
                "served_by": found.served_by,
                "tried": list(found.unavailable),
            }
        )
        return
    for line in found.unavailable:
        output.hint(f"unavailable: {line}; using {found.served_by} instead")
    output.say(f"{name}: served by {found.served_by}, cached in {found.folder}")


def models(json: AsJson = False) -> None:
    """List the models with their options.

    Example: tastespace models
    """
    import dataclasses

    from tastespace import models as registry
    from tastespace.config import describe_type

    found: dict[str, dict[str, Any]] = {}
    for name in registry.names():
        cls = registry.get(name)
        found[name] = {
            "about": cls.about,
            "pick": cls.pick,
            "trained": "by gradient" if cls.learns_by_gradient() else "in closed form",
            "options": {
                field.name: {
                    "default": field.default,
                    "takes": describe_type(cls.Config, field.name),
                    "usual": list(field.metadata["usual"]) if field.metadata.get("usual") else None,
                    "about": field.metadata.get("doc", ""),
                }
                for field in dataclasses.fields(cls.Config)
            },
        }
    if json:
        output.as_json(found)
        return
    for name, entry in found.items():
        output.say(f"{name}: {entry['about']}")
        output.say(f"    {entry['pick']}")
        for option, about in entry["options"].items():
            usual = f", usual {about['usual'][0]:g} to {about['usual'][1]:g}" if about["usual"] else ""
            output.say(f"    --set {option}={about['default']}  {about['about']}{usual}")


def info(bundle: Bundle, json: AsJson = False) -> None:
    """Show what a saved model is, and how it did when it was trained.

    Example: tastespace info models/films
    """
    from tastespace.serving.manifest import read_baselines, read_manifest

    manifest = read_manifest(bundle)
    if json:
        try:
            output.as_json({"bundle": str(bundle), **{key: manifest.get(key) for key in _DESCRIPTION}})
        except ValueError as error:
            raise BundleError(f"{bundle} is damaged: its manifest holds numbers that are not finite") from error
        return
    data, counts, metrics = manifest.get("data"), manifest["counts"], manifest.get("metrics")
    name = data.get("name") if isinstance(data, dict) else None
    sizes = ", ".join(f"{counts[noun]:,} {noun}" for noun in ("users", "items", "rows") if _is_number(counts.get(noun)))
    protocol = _plain(manifest["split"].get("protocol"))
    output.say(f"{_plain(manifest['model'])}, trained on {_plain(name)} ({sizes}), protocol {protocol}")
    for metric, value in metrics.items() if isinstance(metrics, dict) else ():
        if _is_number(value):
            output.say(f"  {_plain(metric):14} {value:.4f}")
    output.baselines(read_baselines(manifest))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(value: Any) -> str:
    """Show a text of a manifest as it is, if a terminal shows it too."""
    return value if isinstance(value, str) and value.isprintable() else shown(value)


def doctor(json: AsJson = False) -> None:
    """Show what is installed and where data are cached.

    Example: tastespace doctor
    """
    import importlib.metadata
    import importlib.util
    import os
    import platform

    import tastespace
    from tastespace.data.sources import SOURCES, cache_folder
    from tastespace.training.memory import free_memory

    packages: dict[str, str | None] = {}
    for package in (
        "torch",
        "numpy",
        "scipy",
        "duckdb",
        "faiss-cpu",
        "safetensors",
        "typer",
        "rich",
        "pandas",
        "polars",
        "pyarrow",
        "matplotlib",
    ):
        try:
            packages[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            packages[package] = None
    free = free_memory()
    report = {
        "tastespace": tastespace.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "free_memory_bytes": free,
        "packages": packages,
        "cache": str(cache_folder()),
        "data": {name: (cache_folder() / name).is_dir() for name in SOURCES},
    }
    if json:
        output.as_json(report)
        return
    output.say(
        f"tastespace {report['tastespace']}, Python {report['python']}, {report['system']}, {report['cores']} cores"
    )
    if free is not None:
        output.say(f"free memory: {free / 2**30:.1f} GiB")
    needed = {"torch", "numpy", "scipy", "duckdb", "faiss-cpu", "safetensors", "typer", "rich"}
    for package, version in packages.items():
        missing = "missing: pip install tastespace" if package in needed else "not installed (only to read its frames)"
        output.say(f"  {package:12} {version or missing}")
    output.say(f"data sets are cached in {report['cache']} (set TASTESPACE_CACHE to move them)")
    for name, source in SOURCES.items():
        state = "cached" if (cache_folder() / name).is_dir() else f"not fetched: tastespace fetch {name}"
        output.say(f"  {name:16} {state} ({source.about})")
