"""Free memory: the smaller of what the machine and its container leave, or what the system says of itself."""

import os
from pathlib import Path

import pytest

from tastespace.training.memory import free_memory

MEMINFO = "MemTotal: 16000 kB\nMemAvailable:    2000 kB\n"


def _files(monkeypatch: pytest.MonkeyPatch, **texts: str) -> None:
    """Make these, by name without a dot, the only files that can be read."""

    def read_text(path: Path) -> str:
        name = path.name.replace(".", "_")
        if name not in texts:
            raise FileNotFoundError(path)
        return texts[name]

    monkeypatch.setattr(Path, "read_text", read_text)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"meminfo": MEMINFO}, 2000 * 1024),
        ({"meminfo": MEMINFO, "memory_max": "max\n", "memory_current": "5\n"}, 2000 * 1024),
        ({"meminfo": MEMINFO, "memory_max": "1000\n", "memory_current": "400\n"}, 600),
        ({"memory_max": "1000\n", "memory_current": "400\n"}, 600),
        ({"meminfo": "MemTotal: 16000 kB\n", "memory_max": "1000\n", "memory_current": "400\n"}, 600),
        ({"meminfo": "MemAvailable: many kB\n", "memory_max": "1000\n", "memory_current": "400\n"}, 600),
    ],
)
def test_the_smallest_limit_counts(monkeypatch: pytest.MonkeyPatch, files: dict[str, str], expected: int) -> None:
    _files(monkeypatch, **files)
    assert free_memory() == expected


def test_without_files_the_memory_of_the_machine_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    _files(monkeypatch)
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 10, "SC_PAGE_SIZE": 4096}.__getitem__)
    assert free_memory() == 40_960


def test_a_system_that_does_not_say_is_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> int:
        raise ValueError(f"unrecognized configuration name {name}")

    _files(monkeypatch)
    monkeypatch.setattr(os, "sysconf", unknown)
    assert free_memory() is None
