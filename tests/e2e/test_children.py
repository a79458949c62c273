"""Child processes of the server: ended with all they started, logs limited."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from huleedu_dagster.orchestration.children import Child, end_children, end_groups, members
from tests.e2e.site import wait_for

STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
print("here", flush=True)
time.sleep(600)
"""


@pytest.fixture
def start() -> Iterator[list[Child]]:
    started: list[Child] = []
    yield started
    end_children(started, patience=0)


def launch(started: list[Child], logs: Path, script: str) -> Child:
    program = [sys.executable, "-c", script]
    child = Child.start("a child", program, environment=dict(os.environ), logs=logs)
    started.append(child)
    return child


def wait_for_lines(child: Child, count: int) -> None:
    wait_for(lambda: child.log.read_text().count("here") == count, seconds=60, what="its lines")


def test_a_child_that_does_not_heed_sigterm_is_killed_with_its_own_children(
    start: list[Child], tmp_path: Path
) -> None:
    child = launch(start, tmp_path, STUBBORN)
    wait_for_lines(child, 2)
    assert len(members(child.process.pid)) == 2
    end_children([child], patience=0.5)
    assert members(child.process.pid) == []
    assert child.process.returncode == -signal.SIGKILL


def test_hurry_ends_the_patience(start: list[Child], tmp_path: Path) -> None:
    child = launch(start, tmp_path, STUBBORN)
    wait_for_lines(child, 2)
    end_children([child], patience=600, hurry=lambda: True)
    assert members(child.process.pid) == []


def test_a_group_that_is_gone_is_left_out(start: list[Child], tmp_path: Path) -> None:
    child = launch(start, tmp_path, "")
    child.process.wait()
    end_groups([child.process.pid], patience=600)
    assert members(child.process.pid) == []


def test_a_log_that_grew_too_large_begins_anew(start: list[Child], tmp_path: Path) -> None:
    child = launch(start, tmp_path, "import time\nprint('here', flush=True)\ntime.sleep(600)")
    wait_for_lines(child, 1)
    child.limit_log(max_bytes=100)
    assert child.log.read_text() == "here\n"
    child.limit_log(max_bytes=2)
    assert child.log.read_text() == ""
    # What was there until now is what people look for.
    kept = tmp_path / "a-child.log.1"
    assert kept.read_text() == "here\n"
    assert {it.stat().st_mode & 0o777 for it in (child.log, kept)} == {0o600}
    child.log.unlink()
    child.limit_log(max_bytes=2)
    assert not child.log.exists()


def test_the_log_of_the_last_start_is_kept(start: list[Child], tmp_path: Path) -> None:
    for line in ("here first", "here second"):
        launch(start, tmp_path, f"print({line!r})").process.wait()
    assert (tmp_path / "a-child.log").read_text() == "here second\n"
    assert (tmp_path / "a-child.log.1").read_text() == "here first\n"


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    script = (
        "import os, sys, time; from pathlib import Path\n"
        "from huleedu_dagster.orchestration.children import Child\n"
        "inner = 'import time; print(\"here\", flush=True); time.sleep(600)'\n"
        "child = Child.start('inner', [sys.executable, '-c', inner],\n"
        "    environment=dict(os.environ), logs=Path(sys.argv[1]))\n"
        "print(child.process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        group = int(parent.stdout.readline())
        log = tmp_path / "inner.log"
        wait_for(lambda: "here" in log.read_text(), seconds=60, what="its line")
        assert members(group) == [group]
        parent.kill()
    wait_for(lambda: members(group) == [], seconds=60, what="its end")
