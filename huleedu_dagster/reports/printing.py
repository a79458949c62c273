"""Prints a page to PDF with the Chromium of this machine, if there is one."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""Programs that can print, the first found is used."""

_OPTIONS = (
    "--headless",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-extensions",
    "--no-first-run",
    "--no-pdf-header-footer",
    "--generate-pdf-document-outline",
    # The page needs nothing from anywhere.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
_SECONDS = 120.0
_SECONDS_PER_MB = 60.0


class PrintingError(OSError):
    """The page cannot be printed; the message says what to do instead."""


def pdf_of(html: str) -> bytes:
    """Print a self-contained page; the browser may take the longer the longer the page is.

    Args:
        html: The page.

    Raises:
        PrintingError: There is no Chromium, or it does not print.
    """
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise PrintingError(
            "there is no Chromium on this machine to make a PDF with; install it, or write the "
            "page with --html and print it from any browser"
        )
    with tempfile.TemporaryDirectory(prefix="huleedu-print-") as folder:
        page, printed = Path(folder) / "page.html", Path(folder) / "page.pdf"
        patience = _SECONDS + _SECONDS_PER_MB * page.write_bytes(html.encode()) / 1e6
        # Chromium does not run as root within its sandbox.
        unconfined = ("--no-sandbox",) if os.geteuid() == 0 else ()
        profile = f"--user-data-dir={folder}/profile"
        target = (f"--print-to-pdf={printed}", page.as_uri())
        _run([program, *_OPTIONS, *unconfined, profile, *target], patience)
        if not printed.is_file():
            raise PrintingError(_FAILED)
        return printed.read_bytes()


_FAILED = "Chromium did not print the page; write it with --html and print it from any browser"


def _run(command: list[str], seconds: float) -> None:
    """Run a browser in a group of its own, which ends with it."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as browser:
        try:
            browser.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise PrintingError(_FAILED) from error
        finally:
            _end(browser.pid)


def _end(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        # All of it has ended.
        return
