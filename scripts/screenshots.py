"""Make the pictures of the pages in docs/: `huleedu up` on a temporary home, in a real Chromium.

The sample class is handed in through the page, as a teacher does it; one picture shows files on
their way, one the batch with its results, one its report, one an essay with a suggestion open.

    python -m scripts.screenshots [FOLDER]

Needs Chromium or Chrome on the PATH (Debian: `apt-get install chromium`), or Playwright's own
(`playwright install chromium`). Look at the pictures before they are committed.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, Playwright, Route, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_OPTIONS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
MOST_BYTES = 200_000
_WIDTH = 1200
_MARGIN = 24
_SECONDS = 120
_MS = _SECONDS * 1000


def main(arguments: list[str]) -> int:
    """Make the pictures; 1 if the pages did not come up or a picture is too large."""
    folder = Path(arguments[0]).resolve() if arguments else FOLDER
    samples = sorted((ROOT / "samples").iterdir())
    with tempfile.TemporaryDirectory() as home, _serving(Path(home) / "home") as url:
        if not url:
            print("the pages did not come up", file=sys.stderr)
            return 1
        with sync_playwright() as playwright:
            made = _take_all(playwright, url, samples, folder)
    for picture in made:
        print(f"{picture.name}: {picture.stat().st_size} bytes")
    return int(any(it.stat().st_size > MOST_BYTES for it in made))


def _take_all(
    playwright: Playwright, url: str, samples: list[Path], folder: Path
) -> tuple[Path, ...]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    browser = playwright.chromium.launch(executable_path=found, args=list(BROWSER_OPTIONS))
    page = browser.new_page(
        color_scheme="light",
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="Europe/Stockholm",
        viewport={"width": _WIDTH, "height": 900},
    )
    page.set_default_timeout(_MS)
    expect.set_options(timeout=_MS)
    page.goto(url)
    made = (
        _hand_in(page, samples, folder / "page-hand-in.png"),
        _batch(page, folder / "page-batch.png"),
        _report(page, folder / "page-report.png"),
        _essay(page, folder / "page-essay.png"),
    )
    browser.close()
    return made


def _hand_in(page: Page, samples: list[Path], picture: Path) -> Path:
    """Ten files are kept and two on their way when the picture is taken."""
    held: list[Route] = []

    def hold_the_second(route: Route) -> None:
        if held or page.locator("li.kept").count() == 0:
            route.continue_()
        else:
            held.append(route)

    page.route("**/v1/files/batch", hold_the_second)
    page.get_by_label("Class").fill("9B")
    page.get_by_label("Course").fill("English 6")
    page.get_by_label("Essays expected").fill(str(len(samples)))
    page.locator("[data-files]").set_input_files(samples)
    page.get_by_role("button", name=re.compile("^Hand in")).click()
    expect(page.locator("li.kept")).to_have_count(10)
    expect(page.locator("li.sending")).to_have_count(len(samples) - 10)
    _take(page, "form.hand-in-form", picture)
    held[0].continue_()
    expect(page.locator("li.kept")).to_have_count(len(samples))
    return picture


def _batch(page: Page, picture: Path) -> Path:
    page.get_by_role("link", name="Watch the batch").click()
    expect(page.locator(".status-line .badge")).to_have_text("Ready")
    page.evaluate("document.activeElement.blur()")
    return _take(page, "#essays", picture)


def _report(page: Page, picture: Path) -> Path:
    """The report as it is downloaded, to the end of its charts."""
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the report").click()
    browser = page.context.browser
    assert browser is not None
    shown = browser.new_page(viewport={"width": _WIDTH, "height": 900})
    shown.set_content(download.value.path().read_text(encoding="utf-8"))
    _take(shown, "section:has(#class-title)", picture)
    shown.close()
    return picture


def _essay(page: Page, picture: Path) -> Path:
    page.get_by_role("link", name="01-anna-lindqvist.docx").click()
    page.locator("mark.likely").first.focus()
    return _take(page, ".reading", picture)


def _take(page: Page, last: str, picture: Path) -> Path:
    """A picture of the page from its top to the end of an element."""
    bottom = page.locator(last).evaluate("it => it.getBoundingClientRect().bottom + scrollY")
    page.set_viewport_size({"width": _WIDTH, "height": int(bottom) + _MARGIN})
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=picture)
    return picture


@contextmanager
def _serving(home: Path) -> Iterator[str]:
    """Run `huleedu up`; gives the address of the pages, or nothing when they did not come up."""
    port, intake_port = _free_port(), _free_port()
    command = [sys.executable, "-m", "huleedu_dagster.cli.app", "up", "--home", str(home)]
    server = subprocess.Popen(
        [*command, "--port", str(port), "--intake-port", str(intake_port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "HULEEDU_SENSOR_INTERVAL_SECONDS": "1"},
    )
    url = f"http://127.0.0.1:{intake_port}"
    try:
        assert server.stdout is not None
        is_up = any(url in line for line in server.stdout)
        # What it says from now on must not fill the pipe.
        threading.Thread(target=server.stdout.read, daemon=True).start()
        yield url if is_up else ""
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
