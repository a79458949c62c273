"""Printing with a browser that does not do as it should."""

import os
import subprocess
from pathlib import Path

import psutil
import pytest

from huleedu_dagster.reports import printing
from huleedu_dagster.reports.printing import PrintingError, pdf_of
from tests.support.sandboxes import wait_until


def test_a_browser_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, note = tmp_path / "chromium", tmp_path / "pids"
    program.write_text(
        f"#!/bin/sh\nsleep 600 &\necho $! $$ > {note}.new\nmv {note}.new {note}\nwait\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    wait = subprocess.Popen.wait

    def impatient(it: "subprocess.Popen[bytes]", timeout: float | None = None) -> int:
        if timeout is None:
            return wait(it)
        wait_until(note.exists)
        return wait(it, 0)

    monkeypatch.setattr(subprocess.Popen, "wait", impatient)
    with pytest.raises(PrintingError, match="--html"):
        pdf_of("<p>x</p>")
    pids = [int(it) for it in note.read_text().split()]
    wait_until(lambda: not any(_runs(it) for it in pids))


def test_a_long_page_may_take_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, ready = tmp_path / "chromium", tmp_path / "ready"
    program.write_text(
        '#!/bin/sh\nfor it in "$@"; do case "$it" in --print-to-pdf=*) out="${it#*=}"; esac; done\n'
        f'while [ ! -e {ready} ]; do sleep 0.1; done\nsleep 1\necho done > "$out"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(printing, "_SECONDS", 0.1)
    with pytest.raises(PrintingError):
        pdf_of("<p>short</p>")
    ready.touch()
    assert pdf_of("x" * 1_000_000) == b"done\n"


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
