"""A real Chromium: the system's, or Playwright's own, fetched if it is missing."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    Playwright,
    expect,
    sync_playwright,
)

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
_COPY = 1
_PATIENCE_MS = 60_000
DESKTOP = (1200, 900)
PHONE = (360, 740)


@dataclass(frozen=True, slots=True)
class Taste:
    """How somebody has set up their machine.

    Attributes:
        scheme: Light or dark pages.
        forced_colors: Whether the system's few colours take the place of a page's.
    """

    scheme: Literal["light", "dark"] = "light"
    forced_colors: Literal["none", "active"] = "none"


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser; what a test expects of its pages may take long on a busy machine."""
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_executable(playwright), args=list(_OPTIONS)
        )
        try:
            yield browser
        finally:
            browser.close()


class Tab:
    """A page of the site as a person has it open, and all that the browser complained about."""

    def __init__(
        self,
        browser: Browser,
        url: str,
        size: tuple[int, int] = DESKTOP,
        taste: Taste = Taste(),
    ) -> None:
        self._context = browser.new_context(
            base_url=url,
            viewport={"width": size[0], "height": size[1]},
            has_touch=size == PHONE,
            locale="en-GB",
            timezone_id="Europe/Stockholm",
            reduced_motion="reduce",
            color_scheme=taste.scheme,
            forced_colors=taste.forced_colors,
        )
        self._context.set_default_timeout(_PATIENCE_MS)
        self.page: Page = self._context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def close(self) -> None:
        """Close it."""
        self._context.close()

    def drop(self, place: Locator, paths: Sequence[Path]) -> None:
        """Drop files or folders of this machine, as a file manager does."""
        place.scroll_into_view_if_needed()
        box = place.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + 10
        data = {"items": [], "files": [str(it) for it in paths], "dragOperationsMask": _COPY}
        session = self._context.new_cdp_session(self.page)
        for kind in ("dragEnter", "dragOver", "drop"):
            session.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})
        session.detach()

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.page.evaluate(script))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


def _executable(playwright: Playwright) -> str:
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is not None:
        return found
    own = playwright.chromium.executable_path
    if not Path(own).exists():
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)
    return own
