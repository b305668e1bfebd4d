"""Errors to one sentence and an exit code: the only place where that happens."""

import functools
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import typer

from tastespace.errors import (
    BundleError,
    DataError,
    FetchError,
    LeakError,
    MemoryLimitError,
    OptionError,
    TastespaceError,
    TrainingError,
    UnknownIdError,
)

F = TypeVar("F", bound=Callable[..., Any])

EXIT_CODES: dict[type[BaseException], int] = {
    OptionError: 2,
    DataError: 3,
    UnknownIdError: 4,
    BundleError: 5,
    FetchError: 6,
    LeakError: 7,
    MemoryLimitError: 8,
    TrainingError: 9,
    TastespaceError: 1,
    OSError: 1,
    MemoryError: 8,
    KeyboardInterrupt: 130,
}


def guarded(command: F) -> F:
    """The command, ending with one sentence on standard error and an exit code instead of a traceback."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left: nothing more to say
            raise typer.Exit(0) from None
        except tuple(EXIT_CODES) as error:
            typer.echo(f"Error: {_sentence(error)}", err=True)
            raise typer.Exit(_code(error)) from None

    return run  # type: ignore[return-value]


def _code(error: BaseException) -> int:
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)


def _sentence(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return str(error) or "interrupted; nothing was left half-written"
    if isinstance(error, MemoryError):
        return "this machine has not enough free memory for that"
    if isinstance(error, OSError):
        return f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}"
    return str(error)
