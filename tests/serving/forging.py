"""Forged manifests."""

import json
from pathlib import Path


def forge(path: Path, **changes: object) -> None:
    """Change entries of a bundle's manifest."""
    manifest = json.loads((path / "manifest.json").read_text())
    manifest.update(changes)
    (path / "manifest.json").write_text(json.dumps(manifest))
