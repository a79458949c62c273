"""A real `huleedu up` on a home of its own, with default settings, for benchmarks."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.framework import peak_mb_of

_HULEEDU = [sys.executable, "-m", "huleedu_dagster.cli.app"]
_INTAKE = "huleedu_dagster.intake"


@dataclass(frozen=True, slots=True)
class Running:
    """A running installation.

    Attributes:
        home: Its folder.
        url: Address of its intake.
        pid: The supervisor.
    """

    home: Path
    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """User and system time of all its processes up to now, ended ones included."""
        seconds = 0.0
        for process in self._processes():
            # Of one that ends meanwhile the time is its parent's from then on.
            with suppress(psutil.NoSuchProcess):
                seconds += sum(process.cpu_times()[:4])
        return seconds

    def intake_peak_mb(self) -> float:
        """Most memory that the process of the intake ever held, MB."""
        return peak_mb_of(self._intake())

    def token(self) -> str:
        """A token that may register, upload and read."""
        scopes = [it for scope in ("register", "upload", "read") for it in ("--scope", scope)]
        command = [*_HULEEDU, "tokens", "create", "--name", "bench", "--home", str(self.home)]
        done = subprocess.run([*command, *scopes], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def _intake(self) -> int:
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                if _INTAKE in process.cmdline():
                    return int(process.pid)
        raise RuntimeError("the intake does not run")

    def _processes(self) -> list[psutil.Process]:
        supervisor = psutil.Process(self.pid)
        return [supervisor, *supervisor.children(recursive=True)]


@contextmanager
def running(home: Path) -> Iterator[Running]:
    """Start `huleedu up` and end it.

    Raises:
        RuntimeError: It ended by itself.
    """
    port, intake_port = free_port(), free_port()
    command = [*_HULEEDU, "up", "--home", str(home)]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--intake-port", str(intake_port)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        if not any("Intake over HTTP" in line for line in process.stdout):
            raise RuntimeError("`huleedu up` ended by itself")
        yield Running(home, f"http://127.0.0.1:{intake_port}", process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            for left in (*psutil.Process(process.pid).children(recursive=True), process):
                left.kill()
            process.communicate()
            raise


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
