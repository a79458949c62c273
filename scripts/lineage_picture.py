"""Make docs/lineage.png: Dagster's own pages, after the sample class, in a headless Chromium.

The sample class is processed in a temporary home, `huleedu up` serves it on a free port, and the
browser takes one picture of the lineage of an asset that reaches all others of essays and batches.

    python -m scripts.lineage_picture [PICTURE]

Needs Chromium or Chrome on the PATH (Debian: `apt-get install chromium`). Look at the picture
before it is committed.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "lineage.png"
PAGE = "/assets/validation_result?view=lineage&lineageScope=neighbors&lineageDepth=5"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1280,640",
    "--force-device-scale-factor=1.5",
    # The page draws its graph after the data came: give its clock time to go on.
    "--virtual-time-budget=20000",
)
_SECONDS = 120


def main(arguments: list[str]) -> int:
    """Make the picture; 1 if there is no browser or the pages did not come up."""
    picture = Path(arguments[0]).resolve() if arguments else PICTURE
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"no browser found: one of {', '.join(BROWSERS)} is needed", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        _huleedu("demo", home).check_returncode()
        url = f"http://127.0.0.1:{_free_port()}"
        with _serving(home, url.rpartition(":")[2]) as server:
            try:
                if not _is_up(server, url):
                    print("the pages did not come up", file=sys.stderr)
                    return 1
                _take(browser, f"{url}{PAGE}", picture, Path(folder) / "browser")
            finally:
                server.send_signal(signal.SIGINT)
                server.communicate(timeout=_SECONDS)
    print(f"{picture.name}: {picture.stat().st_size} bytes")
    return 0


def _huleedu(command: str, home: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*_program(command), "--home", str(home)], capture_output=True, text=True, check=False
    )


def _serving(home: Path, port: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*_program("up"), "--home", str(home), "--port", port, "--intake-port", str(_free_port())],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _program(command: str) -> list[str]:
    return [sys.executable, "-m", "huleedu_dagster.cli.app", command]


def _is_up(server: "subprocess.Popen[str]", url: str) -> bool:
    assert server.stdout is not None
    return any(url in line for line in server.stdout)


def _take(browser: str, url: str, picture: Path, profile: Path) -> None:
    options = [*BROWSER_OPTIONS, f"--user-data-dir={profile}", f"--screenshot={picture}"]
    subprocess.run(
        [browser, *options, url],
        check=True,
        capture_output=True,
        timeout=_SECONDS,
        env={**os.environ, "NO_PROXY": "*"},
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
