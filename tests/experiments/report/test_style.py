"""Layout of the report page in a browser: no width scrolls sideways, and narrow ones show rows as cards."""

import re
import shutil
import subprocess
from html import escape
from pathlib import Path

import pytest

from tastespace.experiments.report.page import render
from tests.experiments.report.examples import document, row

WIDTHS = (390, 1024, 1300, 1440)
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# Frames have the widths (a headless window is at least 500 wide), so that the page itself stays as it was written.
MEASURE = """
addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, root = page.documentElement;
    page.querySelectorAll("details").forEach(part => part.open = true);
    const wide = [...page.querySelectorAll(".scroll, pre")].filter(part => part.scrollWidth > part.clientWidth);
    const cards = getComputedStyle(page.querySelector("tbody tr")).display === "grid";
    return [frame.offsetWidth, root.scrollWidth, root.clientWidth, wide.length, cards ? 1 : 0].join(" ");
  });
  document.body.innerHTML = "<pre>measured " + found.join(",") + "</pre>";
});
"""


@pytest.mark.skipif(BROWSER is None, reason="chromium is not installed, so the page cannot be laid out")
def test_no_width_scrolls_sideways(tmp_path: Path) -> None:
    assert BROWSER is not None
    rows = [row(f"model_{n}", 0.9 - n / 50, train_seconds=1234.0, parameters=123_456_789) for n in range(8)]
    long = "a protocol of a name that is long"
    page = render([document(*rows, protocol=protocol) for protocol in ("article", "at-time", "new-users", long)])
    frames = "".join(
        f'<iframe style="width:{width}px;height:900px;border:0" srcdoc="{escape(page)}"></iframe>' for width in WIDTHS
    )
    host = tmp_path / "host.html"
    host.write_text(f"<!DOCTYPE html><body>{frames}<script>{MEASURE}</script></body>", encoding="utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*command, "--dump-dom", host.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    measured = re.search(r"<pre>measured ([\d ,]+)</pre>", done.stdout)
    assert measured is not None, done.stdout[-500:]
    found = [tuple(map(int, one.split())) for one in measured[1].split(",")]
    assert [width for width, *_ in found] == list(WIDTHS)
    for width, needed, shown, wide_parts, cards in found:
        assert needed <= shown <= width, f"the page is {needed} wide at {width}"
        assert wide_parts == 0, f"{wide_parts} tables or code blocks scroll at {width}"
        assert cards == (width < 1008)
