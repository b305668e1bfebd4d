"""Errors of the command line: one sentence, an exit code, and silence for a reader that left."""

import subprocess
import sys

import pytest
import typer

from tastespace.cli.errors import guarded


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (MemoryError(), 8, "this machine has not enough free memory for that"),
        (OSError(28, "No space left on device", "x.csv"), 1, "No space left on device (x.csv)"),
        (OSError(28, "No space left on device"), 1, "No space left on device"),
        (OSError("odd"), 1, "odd"),
        (KeyboardInterrupt(), 130, "interrupted; nothing was left half-written"),
        (KeyboardInterrupt("interrupted; resume"), 130, "interrupted; resume"),
    ],
)
def test_errors_of_the_machine_are_a_sentence_too(
    error: BaseException, code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    @guarded
    def command() -> None:
        raise error

    with pytest.raises(typer.Exit) as ended:
        command()
    assert ended.value.exit_code == code
    assert capsys.readouterr().err == f"Error: {sentence}\n"


def test_a_reader_that_left_is_no_error() -> None:
    words = [sys.executable, "-m", "tastespace", "models"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (0, "")


def test_every_error_has_an_exit_code_of_its_own() -> None:
    from tastespace import errors
    from tastespace.cli.errors import _code

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert {_code(kind("x")) for kind in kinds} == {1, 2, 3, 4, 5, 6, 7, 8, 9}
