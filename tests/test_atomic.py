import os
import subprocess
import sys
from pathlib import Path

import pytest

from tastespace._atomic import fresh_folder, write_text


def _filled(folder: Path, text: str) -> None:
    with fresh_folder(folder) as fresh:
        (fresh / "a.txt").write_text(text)


def test_the_folder_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model"
    with fresh_folder(target) as fresh:
        (fresh / "a.txt").write_text("new")
        assert not target.exists()
    assert (target / "a.txt").read_text() == "new"


def test_an_old_folder_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "old.txt").write_text("old")
    _filled(target, "new")
    assert [file.name for file in target.iterdir()] == ["a.txt"]


def _broken_off(folder: Path, error: BaseException) -> None:
    with fresh_folder(folder) as fresh:
        (fresh / "a.txt").write_text("half")
        raise error


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_after_an_error_the_old_folder_is_untouched_and_nothing_new_stays(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "model"
    _filled(target, "old")
    with pytest.raises(type(error)):
        _broken_off(target, error)
    assert (target / "a.txt").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_two_processes_may_write_one_folder_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tastespace._atomic import fresh_folder\n"
        "for n in range(200):\n"
        "    with fresh_folder(Path(sys.argv[1])) as fresh:\n"
        "        for name in 'ab': (fresh / name).write_text(f'{sys.argv[2]} {n}')\n"
    )
    target = tmp_path / "cache"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(target), name]) for name in ("first", "second")]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert (target / "a").read_text() == (target / "b").read_text()
    assert (target / "a").read_text() in ("first 199", "second 199")
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_exchange_puts_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "model"
    _filled(target, "old")
    rename, renamed = os.rename, []

    def rename_once(source: Path, to: Path) -> None:
        renamed.append(to)
        if to == target and renamed.count(target) == 1:
            raise OSError("disk full")
        rename(source, to)

    monkeypatch.setattr(os, "rename", rename_once)
    with pytest.raises(OSError, match="disk full"):
        _filled(target, "new")
    assert (target / "a.txt").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_nothing_else_stays_beside_the_folder(tmp_path: Path) -> None:
    _filled(tmp_path / "model", "one")
    _filled(tmp_path / "model", "two")
    assert list(tmp_path.iterdir()) == [tmp_path / "model"]


def test_others_may_read_the_folder(tmp_path: Path) -> None:
    _filled(tmp_path / "model", "x")
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o755


def test_a_parent_that_is_a_file_raises_the_systems_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"), fresh_folder(tmp_path / "file" / "model"):
        pass


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "found.json"
    for text in ("old", "naïve"):
        write_text(target, text)
        assert target.read_bytes() == text.encode()
    assert list(target.parent.iterdir()) == [target]


def test_a_file_that_cannot_be_exchanged_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "found.json"
    write_text(target, "old")

    def refuse(*_: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="no"):
        write_text(target, "new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
