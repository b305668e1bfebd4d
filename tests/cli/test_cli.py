"""The command as a whole: help, version, start-up."""

import subprocess
import sys
from pathlib import Path

import pytest

from tastespace.cli import app
from tastespace.data.protocols import names
from tests.cli.conftest import run

pytestmark = pytest.mark.usefixtures("cache")


def test_help_lists_every_command_and_shows_an_example_in_each() -> None:
    listed = run("--help").output
    for command in app.registered_commands:
        name = str(command.name)
        assert name in listed
        assert "Example: tastespace " + name in run(name, "--help").output


def test_help_and_import_load_neither_torch_nor_duckdb() -> None:
    code = "import sys, tastespace.cli; assert not {'torch', 'duckdb', 'scipy', 'numpy', 'faiss'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_version() -> None:
    assert run("--version").output.startswith("tastespace ")


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_the_help_names_every_protocol(command: str) -> None:
    told = "".join(run(command, "--help").output.replace("│", " ").split())  # names break at their hyphens
    for name in names():
        assert name in told, name


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["recommend", "{bundle}", "--user", "u999"], 4, "no user 'u999'"),
        (["recommend", "{bundle}", "--user", "u3", "--k", "61"], 2, "catalogue has only 60 items"),
        (["recommend", "{bundle}", "--user", "u3", "--k", "0"], 2, "k is 0"),
        (["recommend", "{bundle}", "--feature", "age"], 2, "--feature 'age' is not of the form NAME=VALUE"),
        (["recommend", "{bundle}", "--feature", "age=3"], 2, "trained without any"),
        (["recommend", "{bundle}", "--history", "two"], 4, "'two' is no item id: ids here are whole numbers"),
        (["recommend", "{bundle}", "--history", " , "], 2, "--history names no item"),
        (["compare", "--data", "{log}", "--models", ","], 2, "--models names no model"),
        (["compare", "--data", "{log}", "--models", "ncf", "--set", "ncf.dim=2"], 2, "NCFConfig.dim is 2, but it must"),
        (["train", "--data", "{log}", "--out", "{tmp}/m", "--set", "device=tpu"], 2, "device 'tpu' cannot be used"),
        (["recommend", "{tmp}/nothing", "--user", "1"], 5, "no bundle at"),
        (["similar-items", "{bundle}", "999"], 4, "no item 999; nearest: 59"),
        (["similar-users", "{bundle}", "nobody"], 4, "no user 'nobody'"),
        (["train", "--data", "ml-100", "--out", "{tmp}/m"], 2, "did you mean 'ml-100k'"),
        (["train", "--data", "{tmp}/none.csv", "--out", "{tmp}/m"], 3, "there is no file"),
        (["train", "--out", "{tmp}/m"], 2, "name the data with --data"),
        (["train", "--data", "{log}", "--model", "mff", "--out", "{tmp}/m"], 2, "did you mean 'mf'"),
        (["train", "--data", "{log}", "--out", "{tmp}/m", "--set", "dims=3"], 2, "did you mean 'dim'"),
        (["train", "--data", "{log}", "--out", "{tmp}/m", "--set", "dim"], 2, "FIELD=VALUE"),
        (["train", "--data", "{log}", "--out", "{bundle}"], 5, "holds a model already"),
        (["train", "--data", "{log}", "--out", "{tmp}/m", "--protocol", "artcle"], 2, "did you mean 'article'"),
        (["train", "--data", "{log}", "--out", "{tmp}/m", "--resume"], 9, "no checkpoint at"),
        (["train", "--data", "{log}", "--out", "{tmp}/m", "--duplicates", "some"], 2, "duplicates is 'some'"),
        (["train", "--data", "{log}", "--out", "{tmp}/m", "--format", "xml"], 2, "format is 'xml'"),
        (["train", "--data", "{log}", "--out", "{tmp}/m", "--item-column", "itm"], 3, "did you mean 'item'"),
        (["evaluate", "{bundle}", "--data", "{log}"], 2, "--protocol article"),
        (["compare", "--data", "{log}", "--models", "mf,eas"], 2, "no model 'eas'; did you mean 'ease'"),
        (["compare", "--data", "{log}", "--seeds", "0"], 2, "seeds is 0"),
        (["compare", "--data", "{log}", "--k", "61"], 2, "k is 61, but the catalogue has only 60 items"),
        (["evaluate", "{bundle}", "--data", "{log}", "--protocol", "article", "--k", "99"], 2, "k is 99, but"),
        (["compare"], 2, "name the data"),
        (["compare", "--data", "{log}", "--protocol", "article,artcle"], 2, "did you mean 'article'"),
        (["compare", "--data", "{log}", "--set", "epochs=2"], 2, "does not say of which model"),
        (["compare", "--data", "{log}", "--set", "mff.epochs=2"], 2, "did you mean 'mf'"),
        (["compare", "--data", "{log}", "--set", "mf.epoch=2"], 2, "did you mean 'epochs'"),
        (["compare", "--data", "{log}", "found.json"], 2, "'found.json' is not expected here"),
        (["compare", "--data", "{log}", "--json", "{tmp}"], 2, "cannot be written"),
        (["compare", "--data", "{log}", "--json", "{log}/x.json"], 2, "cannot be written"),
        (["fetch", "ml-1m"], 2, "no public data set 'ml-1m'"),
        (["fetch", "ml-100k", "--from", "{tmp}/none.zip"], 3, "no file or folder"),
    ],
)
def test_anything_wrong_is_one_sentence_and_a_code(
    words: list[str], code: int, message: str, bundle: Path, log_file: Path, tmp_path: Path
) -> None:
    done = run(*(word.format(bundle=bundle, log=log_file, tmp=tmp_path) for word in words))
    assert done.exit_code == code, done.output
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr
    assert "Traceback" not in done.output
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


BAD_LOGS = {
    "missing column": ("who,item\na,1\n", "no column with a usual name for the user (its columns: 'who', 'item')"),
    "unparsable row": ("user,item,rating\na,1,5\nb,2,lots\n", "line 3, has 'lots' in column 'rating'"),
    "not a number": ("user,item,rating\na,1,nan\n", "line 2, has 'nan' in column 'rating'"),
    "negative time": ("user,item,timestamp\na,1,-5\n", "line 2, has a time before 1970"),
    "empty": ("", "is empty"),
    "header alone": ("user,item\n", "has a header, but no rows"),
    "one row": ("user,item\na,1\n", "protocol article leaves no positive row to test on"),
    "repeats": ("user,item\na,1\na,1\nb,2\n", "repeats a (user, item) pair in 1 rows"),
    "too few cells": ("user,item\na,1\nb\n", "line 3, has 1 columns, but the header has 2"),
}


@pytest.mark.parametrize("name", BAD_LOGS)
def test_a_bad_log_is_one_sentence(name: str, tmp_path: Path) -> None:
    text, message = BAD_LOGS[name]
    (tmp_path / "log.csv").write_text(text)
    done = run("compare", "--data", tmp_path / "log.csv")
    assert done.exit_code == 3, done.output
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
