"""Printing with a browser that does not do as it should."""

import os
import time
from pathlib import Path

import psutil
import pytest

from huleedu_dagster.reports import printing
from huleedu_dagster.reports.printing import PrintingError, pdf_of


def test_a_browser_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, note = tmp_path / "chromium", tmp_path / "pids"
    program.write_text(f"#!/bin/sh\nsleep 600 &\necho $! $$ > {note}\nwait\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(PrintingError, match="--html"):
        pdf_of("<p>x</p>", seconds=1)
    pids = [int(it) for it in note.read_text().split()]
    end = time.monotonic() + 10
    while any(_runs(it) for it in pids):
        assert time.monotonic() < end, "a process was left behind"


def test_a_long_page_may_take_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "chromium"
    program.write_text(
        '#!/bin/sh\nfor it in "$@"; do case "$it" in --print-to-pdf=*) out="${it#*=}"; esac; done\n'
        'sleep 1\necho done > "$out"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(printing, "_SECONDS", 0.1)
    with pytest.raises(PrintingError):
        pdf_of("<p>short</p>")
    assert pdf_of("x" * 1_000_000) == b"done\n"


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
