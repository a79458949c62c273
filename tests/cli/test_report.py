"""`huleedu report` and `huleedu check-bag`, as people run them."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from huleedu_dagster.settings import Settings
from tests.support.workshop import Workshop

ESSAY = b"This essay is about teh sea and the ships on it."


class Shell:
    """Runs `huleedu` on one home folder, in which a batch was worked on.

    Attributes:
        path: Where programs are found; that of this process, if left as it is.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = os.environ["PATH"]

    def __call__(self, *arguments: str | Path, code: int = 0) -> tuple[str, str]:
        """Run a command that ends with `code`; returns what it printed, and where errors go."""
        command = [sys.executable, "-m", "huleedu_dagster.cli.app", *map(str, arguments)]
        environment = {**os.environ, "HULEEDU_HOME": str(self.home), "PATH": self.path}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout, done.stderr


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """The command line on a home with a batch of one essay."""
    home = tmp_path / "home"
    monkeypatch.setenv("HULEEDU_HOME", str(home))
    settings = Settings()
    settings.make_home()
    shop = Workshop(home)
    shop.register(expected=1)
    shop.receive("Anna/essay.txt", ESSAY)
    shop.process_pending()
    shop.release()
    shop.ledger.close()
    return Shell(home)


def test_a_report_is_written_as_a_page_and_with_its_essays(shell: Shell, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    printed, _ = shell("report", "class-a", "--html", page)
    assert printed == f"{page}\n"
    short = page.read_text(encoding="utf-8")
    assert "Anna/essay.txt" in short
    assert "<mark" not in short
    shell("report", "class-a", "--html", page, "--essays")
    assert '<mark class="certain">teh</mark>' in page.read_text(encoding="utf-8")
    assert list(tmp_path.glob(".*.new")) == []


def test_a_bag_is_written_and_checked_and_its_damage_told(shell: Shell, tmp_path: Path) -> None:
    bag = tmp_path / "class-a.zip"
    shell("report", "class-a", "--bag", bag)
    printed, _ = shell("check-bag", bag)
    assert printed == "All 10 files are as they were packed\n"
    data = bag.read_bytes()
    bag.write_bytes(data[: len(data) // 2])
    _, told = shell("check-bag", bag, code=1)
    assert told == (
        "huleedu: the zip is damaged or not whole; take it from another copy, or write it again\n"
    )


def test_what_cannot_be_written_leaves_what_was_there(shell: Shell, tmp_path: Path) -> None:
    bag = tmp_path / "class-a.zip"
    bag.write_bytes(b"an older one")
    (blob,) = (it for it in (shell.home / "blobs" / "raw_upload_blob").rglob("*") if it.is_file())
    blob.chmod(stat.S_IRUSR | stat.S_IWUSR)
    blob.write_bytes(b"other")
    _, told = shell("report", "class-a", "--bag", bag, code=1)
    assert told.startswith("huleedu: ")
    assert "Traceback" not in told
    assert bag.read_bytes() == b"an older one"
    assert sorted(it.name for it in tmp_path.iterdir()) == ["class-a.zip", "home"]


def test_a_report_of_nothing_says_what_is_wrong(shell: Shell, tmp_path: Path) -> None:
    _, told = shell("report", "class-a", code=2)
    assert "--html FILE, --pdf FILE or --bag FILE.zip" in told
    _, told = shell("report", "class-x", "--html", tmp_path / "x.html", code=2)
    assert told == "huleedu: no batch class-x is registered\n"
    _, told = shell("report", "class-a", "--html", tmp_path / "no" / "x.html", code=1)
    assert told.startswith("huleedu: ")


def test_without_chromium_a_pdf_has_a_next_step(shell: Shell, tmp_path: Path) -> None:
    shell.path = str(tmp_path)
    _, told = shell("report", "class-a", "--pdf", tmp_path / "report.pdf", code=1)
    assert re.fullmatch(r"huleedu: there is no Chromium .* --html and print it .*\n", told)
    assert not (tmp_path / "report.pdf").exists()


def test_a_browser_that_prints_nothing_is_told(shell: Shell, tmp_path: Path) -> None:
    fake = tmp_path / "bin" / "chromium"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\nexit 0\n")
    fake.chmod(0o755)
    shell.path = f"{fake.parent}:{shell.path}"
    _, told = shell("report", "class-a", "--pdf", tmp_path / "report.pdf", code=1)
    assert told.startswith("huleedu: Chromium did not print the page; ")
