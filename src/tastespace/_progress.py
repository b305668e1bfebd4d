"""Progress on anything longer than a second: a line on standard error, silent when that is not a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Ticker(Protocol):
    """Callback with which a long job reports its progress."""

    def __call__(self, done: float, note: str = "") -> None: ...


@contextmanager
def track(title: str, total: float, *, enabled: bool | None = None) -> Iterator[Ticker]:
    """A progress bar for `total` units of work; the block calls the ticker with the units done so far.

    `enabled=None` shows it only where standard error is a terminal.
    """
    show = sys.stderr.isatty() if enabled is None else enabled
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not show, transient=True) as bar:
        task = bar.add_task(title, total=total, note="")

        def tick(done: float, note: str = "") -> None:
            bar.update(task, completed=done, note=note)

        yield tick
