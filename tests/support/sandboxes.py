"""Looks at the processes of guarded extractors from outside."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from huleedu_dagster.extraction.sandbox import SandboxedExtractor
from tests.support.waiting import wait_for

_MODULE = b"huleedu_dagster.extraction.sandbox_server"


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: It did not come about in time.
    """
    wait_for(true, seconds)


def sandbox_processes(owner: int | None = None) -> frozenset[int]:
    """Fork servers and workers that a process started, by default this one."""
    wanted = str(owner or os.getpid()).encode()
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if _MODULE in words and words[words.index(_MODULE) + 1] == wanted:
                found.add(int(entry.name))
    return frozenset(found)


def sandbox_processes_under(name: str, value: str) -> frozenset[int]:
    """Fork servers and workers, whoever started them, with this variable in their environment."""
    wanted = f"{name}={value}".encode()
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                is_sandbox = _MODULE in (entry / "cmdline").read_bytes().split(b"\0")
                if is_sandbox and wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
    return frozenset(found)


def kill_each_worker(extractor: SandboxedExtractor, signal_number: int, *, times: int) -> None:
    """Kill that many workers of an extractor, each when it is at work."""
    killed: set[int] = set()
    for _ in range(times):
        wait_until(lambda: bool(extractor.worker_pids - killed))
        (pid,) = extractor.worker_pids - killed
        wait_until(lambda pid=pid: cpu_ticks(pid) >= 2)  # type: ignore[misc]
        os.kill(pid, signal_number)
        killed.add(pid)


def cpu_ticks(pid: int) -> int:
    """Processor time that a process has used, in ticks of mostly 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
