"""Folders and files that appear whole or not at all."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def fresh_folder(target: Path) -> Iterator[Path]:
    """A new folder beside `target` to write into; it becomes `target` when the block ends without an error.

    An existing `target` is moved aside first and put back if the exchange fails; of several processes that write the
    same `target` at once, the last one's folder stays. On any error, Ctrl-C included,
    nothing of the new folder stays and the old one is untouched. Raises `OSError` where the disk refuses.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-new-", dir=target.parent))
    fresh.chmod(0o755)
    aside: Path | None = None
    try:
        yield fresh
        for file in fresh.iterdir():
            with open(file, "rb") as handle:
                os.fsync(handle.fileno())
        while fresh.exists():
            if target.exists():
                aside = aside or Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
                _move_aside(target, aside / "folder")
            try:
                os.rename(fresh, target)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # another process has just put its folder there
                    raise
    except BaseException:
        if aside is not None and not target.exists() and (aside / "folder").exists():
            os.rename(aside / "folder", target)
        raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)


def _move_aside(target: Path, aside: Path) -> None:
    shutil.rmtree(aside, ignore_errors=True)
    with suppress(FileNotFoundError):  # another process has moved it just now
        os.rename(target, aside)


def nearest_folder(path: Path) -> Path:
    """The nearest place above `path` that exists."""
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    return folder


def probe(folder: Path) -> None:
    """Raise `OSError` where no file can be written in `folder`, by trying; nothing stays."""
    with tempfile.NamedTemporaryFile(dir=folder):
        pass


@contextmanager
def written_beside(target: Path) -> Iterator[Path]:
    """A place beside `target` to write a file at, which becomes `target` when the block ends without an error.

    On any error, Ctrl-C included, nothing of it stays. Raises `OSError` where the disk refuses.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-new-", dir=target.parent))
    try:
        yield folder / target.name
        with open(folder / target.name, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(folder / target.name, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(target: Path, text: str) -> None:
    """Write a file of UTF-8 text beside its place and rename it. Raises `OSError` where the disk refuses."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}-new-", dir=target.parent)
    fresh = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.chmod(0o644)
        os.replace(fresh, target)
    finally:
        fresh.unlink(missing_ok=True)
