"""Make the pictures of the pages in docs/: `huleedu up` on a temporary home, in a real Chromium.

The demo is in the home already. The sample class is handed in through the page, as a teacher does
it; one picture shows files on their way, one the batch with its results, one its report, one an
essay with a suggestion open. Dagster's pages show the lineage of the assets and, when smaller
classes came through the inbox, the plots of the report over all of them, and the outcomes of one.
The audit is that of a week with faults, which the tests make up too.

    python -m scripts.screenshots [FOLDER]

Needs Chromium or Chrome on the PATH (Debian: `apt-get install chromium`), or Playwright's own
(`playwright install chromium`). Takes two minutes. Look at the pictures before they are committed.
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
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, Playwright, Route, expect, sync_playwright

from huleedu_dagster.domain.ids import ContentType
from huleedu_dagster.ledger.audit_facts import Days
from huleedu_dagster.reports.audit import audit_forms
from tests.support.week import Week
from tests.support.workshop import Workshop

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_OPTIONS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
MOST_BYTES = 250_000
CLASSES = {
    "class-7a": (0, 2, 4),
    "class-7b": (1, 3, 6, 7, 8),
    "class-7c": (0, 5, 8, 10),
    "class-8a": (1, 2, 3, 4, 5, 6, 7, 9),
    "class-8b": (4, 6, 8, 10, 11, 3),
    "class-8c": (0, 1, 7, 11),
}
"""Which of the sample class's files are in each of the other classes."""
_LINEAGE = "/assets/validation_result?view=lineage&lineageScope=neighbors&lineageDepth=5"
_PLOTS = "/assets/batch_report"
_OUTCOMES = "/assets/batch_manifest?view=partitions&partition=class-8a"
_SETTINGS = {
    "HULEEDU_SENSOR_INTERVAL_SECONDS": "1",
    # What Dagster's pages show as a link; the port that is free here would say nothing.
    "HULEEDU_INTAKE_URL": "http://127.0.0.1:8000",
}
_WEEK_SEED = 7
_WEEK_BATCHES = 14
_WIDTH = 1200
_HEIGHT = 900
_MARGIN = 24
_SECONDS = 120
_CLASSES_SECONDS = 300
_MS = _SECONDS * 1000
_LOOKS = 20
_LOOK_MS = 500


def main(arguments: list[str]) -> int:
    """Make the pictures; 1 if the pages did not come up or a picture is too large."""
    folder = Path(arguments[0]).resolve() if arguments else FOLDER
    samples = sorted((ROOT / "samples").iterdir())
    with tempfile.TemporaryDirectory() as scratch:
        site = _Site(Path(scratch) / "home", _free_port(), _free_port())
        site.demo()
        audit = _audit_page(Path(scratch) / "week")
        with site.serving() as is_up, sync_playwright() as playwright:
            if not is_up:
                print("the pages did not come up", file=sys.stderr)
                return 1
            made = _take_all(playwright, site, samples, audit, folder)
    for picture in made:
        print(f"{picture.name}: {picture.stat().st_size} bytes")
    return int(any(it.stat().st_size > MOST_BYTES for it in made))


def _take_all(
    playwright: Playwright, site: "_Site", samples: list[Path], audit: str, folder: Path
) -> list[Path]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    browser = playwright.chromium.launch(executable_path=found, args=list(BROWSER_OPTIONS))
    page = browser.new_page(
        color_scheme="light",
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="Europe/Stockholm",
        viewport={"width": _WIDTH, "height": _HEIGHT},
    )
    page.set_default_timeout(_MS)
    expect.set_options(timeout=_MS)
    page.goto(site.intake_url)
    made = [
        _hand_in(page, samples, folder / "page-hand-in.png"),
        _batch(page, folder / "page-batch.png"),
        _report(page, folder / "page-report.png"),
        _essay(page, folder / "page-essay.png"),
        _audit(page, audit, folder / "page-audit.png"),
        _lineage(page, site.dagster_url, folder / "lineage.png"),
    ]
    _wait_for_classes(page, site, samples)
    made += [
        _plots(page, site.dagster_url, folder / "dagster-asset.png"),
        _outcomes(page, site.dagster_url, folder / "dagster-partition.png"),
    ]
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
    shown = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT})
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
    # Parts of a page may be as high as the window, and it was enlarged for the picture before.
    page.set_viewport_size({"width": _WIDTH, "height": _HEIGHT})
    bottom = page.locator(last).evaluate("it => it.getBoundingClientRect().bottom + scrollY")
    page.set_viewport_size({"width": _WIDTH, "height": int(bottom) + _MARGIN})
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=picture)
    return picture


def _audit_page(folder: Path) -> str:
    """The audit of a week that is made up: batches with faults, on a clock of their own."""
    folder.mkdir()
    shop = Workshop(folder)
    week = Week(shop, seed=_WEEK_SEED, batches=_WEEK_BATCHES, token="0" * 32)
    week.live()
    _, forms = audit_forms(shop.ledger, Days(week.days[0], week.days[-1]))
    shop.ledger.close()
    return forms[ContentType.AUDIT_REPORT_HTML].decode()


def _audit(page: Page, content: str, picture: Path) -> Path:
    """The audit to the end of its first table."""
    browser = page.context.browser
    assert browser is not None
    shown = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT})
    shown.set_content(content)
    _take(shown, "section:has(#times-title)", picture)
    shown.close()
    return picture


def _lineage(page: Page, url: str, picture: Path) -> Path:
    """The lineage of an asset that reaches all others of essays and batches."""
    page.set_viewport_size({"width": 1600, "height": 800})
    page.goto(f"{url}{_LINEAGE}")
    page.get_by_text("batch_release").first.wait_for()
    return _take_settled(page, picture)


def _wait_for_classes(page: Page, site: "_Site", samples: list[Path]) -> None:
    """Hand in the smaller classes, and wait until every class is released."""
    for batch_id, numbers in CLASSES.items():
        site.hand_in(batch_id, [samples[it] for it in numbers])
    for _ in range(_CLASSES_SECONDS):
        batches = page.request.get(f"{site.intake_url}/v1/batches").json()
        status = {it["batch_id"]: it["status"] for it in batches}
        if status.keys() >= CLASSES.keys() and set(status.values()) == {"ready"}:
            return
        page.wait_for_timeout(1000)
    raise RuntimeError(f"not released within {_CLASSES_SECONDS} s: {status}")


def _plots(page: Page, url: str, picture: Path) -> Path:
    """An asset of all classes: what it is, and its numbers plotted."""
    page.set_viewport_size({"width": 1280, "height": 1456})
    page.goto(f"{url}{_PLOTS}")
    page.get_by_text("Plots", exact=True).click()
    page.locator("canvas").first.wait_for()
    return _take_settled(page, picture)


def _outcomes(page: Page, url: str, picture: Path) -> Path:
    """One class: outcomes by code, numbers, and the link to its page."""
    page.set_viewport_size({"width": 1440, "height": 960})
    page.goto(f"{url}{_OUTCOMES}")
    page.get_by_text("misspellings_per_100_words").wait_for()
    return _take_settled(page, picture)


def _take_settled(page: Page, picture: Path) -> Path:
    """A picture of what is in view, once it has stopped changing."""
    # Dagster's pages draw when their data came, and again; nothing on them says that was all.
    before, alike = b"", 0
    for _ in range(_LOOKS):
        page.wait_for_timeout(_LOOK_MS)
        shown = page.screenshot(path=picture)
        alike = alike + 1 if shown == before else 0
        before = shown
        if alike == 3:
            break
    return picture


@dataclass(frozen=True, slots=True)
class _Site:
    """A home, and where its pages are to be."""

    home: Path
    port: int
    intake_port: int

    @property
    def dagster_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def intake_url(self) -> str:
        return f"http://127.0.0.1:{self.intake_port}"

    def demo(self) -> None:
        """Process the demo, with its checks."""
        program = self._huleedu("demo")
        told, _ = program.communicate(timeout=_SECONDS)
        if program.returncode:
            raise RuntimeError(f"`huleedu demo` failed: {told}")

    def hand_in(self, batch_id: str, files: list[Path]) -> None:
        """Put a class into the inbox."""
        folder = self.home / "inbox" / batch_id
        folder.mkdir()
        for it in files:
            shutil.copyfile(it, folder / it.name)
        (folder / ".complete").touch()

    @contextmanager
    def serving(self) -> Iterator[bool]:
        """Run `huleedu up`; tells whether the pages came up."""
        ports = ("--port", str(self.port), "--intake-port", str(self.intake_port))
        server = self._huleedu("up", *ports)
        try:
            assert server.stdout is not None
            is_up = any(self.intake_url in line for line in server.stdout)
            # What it says from now on must not fill the pipe.
            threading.Thread(target=server.stdout.read, daemon=True).start()
            yield is_up
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=_SECONDS)

    def _huleedu(self, *arguments: str) -> "subprocess.Popen[str]":
        program = [sys.executable, "-m", "huleedu_dagster.cli.app", *arguments]
        return subprocess.Popen(
            [*program, "--home", str(self.home)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **_SETTINGS},
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
