"""Download files over HTTP, and the files in a package's wheel, with limits of time and size."""

import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from tastespace._progress import Ticker, track
from tastespace.data.movielens import members_of
from tastespace.errors import FetchError

_UNREACHABLE_AFTER = 3.0  # seconds
_MAX_BYTES = 64 * 2**20
_CHUNK = 1 << 16


class _Body:
    """The body of an HTTP answer on its way into a file: `pooch` writes here, and reports progress here."""

    def __init__(self, url: str, answered: threading.Event) -> None:
        self._name, self._answered = url.rsplit("/", 1)[1], answered
        self._total = 0
        self.started = False
        self.size = 0
        self.file: IO[bytes]
        self.tick: Ticker | None = None

    @property
    def total(self) -> int:
        """Bytes that the host announced; 0 where it did not."""
        return self._total

    @total.setter
    def total(self, total: int) -> None:
        self._total, self.started = total, True
        self._answered.set()

    def write(self, chunk: bytes) -> None:
        """Write a chunk; `FetchError` beyond the size limit."""
        self.size += len(chunk)
        if self.size > _MAX_BYTES:
            raise FetchError("the answer is over 64 MiB, which the data set is not")
        self.file.write(chunk)

    def flush(self) -> None:
        """Do nothing: the file is closed before it is read."""

    def update(self, _: int) -> None:
        """Do nothing: `size` is exact, and `pooch` counts whole chunks."""

    def reset(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def download(url: str) -> bytes:
    """Return the body at `url`; a host that does not answer within three seconds counts as unreachable."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    answered, done = threading.Event(), threading.Event()
    body = _Body(url, answered)
    responses: list[Any] = []
    fetch = pooch.HTTPDownloader(
        progressbar=body,
        chunk_size=_CHUNK,
        timeout=_UNREACHABLE_AFTER,
        hooks={"response": lambda response, *_, **__: responses.append(response)},
    )
    failure: list[Exception] = []

    def write(url: str, file: str, pooch: Any) -> None:
        with open(file, "wb") as body.file:
            fetch(url, body, pooch)

    def retrieve(folder: str) -> None:
        try:
            pooch.retrieve(url, known_hash=None, path=folder, fname="body", downloader=write)
        except Exception as error:
            failure.append(error)  # raised below, in the caller's thread
        finally:
            for response in responses:  # pooch leaves one open that breaks off
                response.close()
            answered.set()
            done.set()

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        # a thread, since looking a name up has no time limit of its own
        threading.Thread(target=retrieve, args=(folder,), daemon=True).start()
        if not answered.wait(_UNREACHABLE_AFTER):
            raise FetchError("no answer within 3 seconds")
        with track(f"fetching {url.rsplit('/', 1)[1]} (bytes)", total=body.total or 1) as tick:
            while not done.wait(0.1):
                tick(body.size)
            tick(body.size)
        if not failure:
            return Path(folder, "body").read_bytes()
    error = failure[0]
    if isinstance(error, FetchError):
        raise error
    if body.started:
        raise FetchError(f"the download broke off after {body.size} bytes ({_reason(error)})") from error
    raise FetchError(_reason(error)) from error


def _reason(error: Exception) -> str:
    """Return the innermost reason of a failed request, without the addresses of objects."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP {response.status_code} {response.reason}"
    inner: BaseException | None = error
    while inner is not None:
        error_text = str(inner)
        causes = (getattr(inner, "reason", None), *reversed(inner.args))
        inner = next((cause for cause in causes if isinstance(cause, BaseException)), None)
    return re.sub(r"^.*?\): ", "", error_text)[:160]


def download_package(requirement: str) -> Mapping[str, bytes]:
    """Return the files in a package's wheel by bare name; nothing of the package is installed or imported."""
    with tempfile.TemporaryDirectory() as folder:
        for timeout in ("3", "30"):
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
            command += ["--disable-pip-version-check", "--retries", "0", "--timeout", timeout]
            ran = subprocess.run(  # noqa: S603
                [*command, "--dest", folder, requirement], capture_output=True, text=True, check=False
            )
            if ran.returncode == 0 or "Read timed out" not in ran.stderr:
                break  # retry with a longer timeout only where the host answers, but slowly
        wheels = list(Path(folder).glob("*.whl"))
        if ran.returncode != 0 or not wheels:
            lines = [re.sub(r"https?://\S+", "…", line) for line in ran.stderr.strip().splitlines() if "ERROR" in line]
            raise FetchError(f"pip could not download it ({(lines or ['no package registry reachable'])[-1][:160]})")
        return members_of(wheels[0])
