"""A server of the tests on ports of its own: starts, answers, ends with whoever started it.

It uses the standard library alone, so that `server_keeper` starts at once.
"""

import abc
import contextlib
import ctypes
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PORTS_OF_CONNECTIONS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_CHOICE = 12_000
_START_SECONDS = 60
_ATTEMPTS = 3
_PAUSE_SECONDS = 0.01


class ServerEndedError(Exception):
    """The server did not start; what it said."""


class LocalServer(abc.ABC):
    """A server on the data of a folder.

    Args:
        program: The server's program.
        folder: Its data, kept when it is killed.
    """

    PORTS = 1
    """How many ports it takes; it answers on the first."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: list[int] = []

    @property
    def port(self) -> int:
        """Where it answers."""
        return self._ports[0]

    def start(self) -> None:
        """Start it, on the same ports as before if it ran before; it answers on return.

        Raises:
            ServerEndedError: It ended, or did not answer within a minute.
        """
        if self._ports:
            self._start()
            return
        for attempt in range(_ATTEMPTS):
            self._ports = _free_ports(self.PORTS)
            try:
                self._start()
            except ServerEndedError:
                # Between choosing a port and using it, another process may take it.
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                return

    def kill(self) -> None:
        """End it at once, in the middle of whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @abc.abstractmethod
    def _command(self, data: Path) -> list[str | Path]:
        """The program and its arguments, once all that it reads is written."""

    @abc.abstractmethod
    def _answers(self) -> bool:
        """Whether it serves by now."""

    def _start(self) -> None:
        data = self._folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        command = self._command(data)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                preexec_fn=_end_with_the_parent,
            )
        until = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise ServerEndedError((self._folder / "log").read_text(errors="replace"))
            time.sleep(_PAUSE_SECONDS)


def _free_ports(count: int) -> list[int]:
    # Below those that connections are given: a server that starts again wants the same ones.
    first = int(_PORTS_OF_CONNECTIONS.read_text().split()[0])
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            it = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                it.bind(("127.0.0.1", first - 1 - secrets.randbelow(_CHOICE)))
                found.append(it.getsockname()[1])
    return found


def _end_with_the_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
