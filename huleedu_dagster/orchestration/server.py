"""`huleedu up`: code server, web server, daemon and intake of one home, started and ended together.

The supervisor has the home to itself, heals what an earlier crash left, and is ready only when the
code is loaded, the pages answer and the daemon's heart beats. It holds no Dagster in memory.
"""

import errno
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Protocol

from huleedu_dagster.orchestration import programs
from huleedu_dagster.orchestration.child import python_module
from huleedu_dagster.orchestration.children import (
    Child,
    end_children,
    end_groups,
    environment_of,
    members,
    run_workers,
)
from huleedu_dagster.orchestration.graphql import Health, WebServerError, health
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.orchestration.locations import LOCATION
from huleedu_dagster.orchestration.record import ServerRecord
from huleedu_dagster.settings import Settings

HOST = programs.LOOPBACK
CODE_SERVER = "code server"
WEB_SERVER = "web server"
DAEMON = "daemon"
INTAKE = "intake"
_HEALER = "orphaned runs"
_SENSOR_DAEMON = "SENSOR"
_START_SECONDS = 120
_STOP_SECONDS = 10
_POLL_SECONDS = 0.2
_LOG_CHECK_SECONDS = 60


class ServerError(Exception):
    """The server cannot start or go on; the message is for an operator."""


class PortTakenError(ServerError):
    """Another program listens on the port that was asked for."""


class Listener(Protocol):
    """Is told how the start goes."""

    def ready(self, part: str, seconds: float) -> None:
        """A part is ready, so many seconds after the start."""
        ...

    def up(self, url: str, seconds: float) -> None:
        """All is ready; Dagster's pages are at `url`."""
        ...

    def stopping(self) -> None:
        """The end was asked for."""
        ...


class _StopAskedError(Exception):
    """Somebody wants the server to end."""


@dataclass(slots=True)
class _Stop:
    """How often the end was asked for. A plain number: a signal handler may take no lock."""

    times: int = 0

    def ask(self, _number: int, _frame: FrameType | None) -> None:
        self.times += 1

    def hurry(self) -> bool:
        return self.times > 1

    def pause(self) -> None:
        time.sleep(_POLL_SECONDS)
        if self.times:
            raise _StopAskedError


@dataclass(slots=True)
class Server:
    """The processes of one home.

    Attributes:
        settings: The installation.
        port: Port of Dagster's pages on this machine.
        intake_port: Port of the intake, with the pages for teachers, on this machine.
        listener: Is told how the start goes.
    """

    settings: Settings
    port: int
    intake_port: int
    listener: Listener
    _stop: _Stop = field(default_factory=_Stop)
    _children: list[Child] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Address of Dagster's pages."""
        return f"http://{HOST}:{self.port}"

    @property
    def intake_url(self) -> str:
        """Address of the intake's pages."""
        return f"http://{HOST}:{self.intake_port}"

    def run(self) -> None:
        """Start all, and go on until SIGINT, SIGTERM or SIGHUP; nothing is left running.

        Raises:
            HomeInUseError: Another process works on this home.
            ServerError: A part cannot start, or ended by itself.
            OSError: The home cannot be written.
        """
        home = DagsterHome(self.settings)
        with home.exclusive("up"), _signals(self._stop):
            try:
                self._start(home)
                self._watch()
            except _StopAskedError:
                self.listener.stopping()
                self._finish_runs()
            finally:
                end_children(self._children, patience=_STOP_SECONDS, hurry=self._stop.hurry)
                ServerRecord.forget(self.settings)

    def _start(self, home: DagsterHome) -> None:
        started = time.time()
        home.prepare()
        self._logs.mkdir(parents=True, exist_ok=True)
        # First, since what is left over may hold the port.
        end_leftovers(self.settings)
        _check_port(self.port, "--port")
        _check_port(self.intake_port, "--intake-port")
        code_port = _free_port()
        workspace = programs.write_workspace(home.folder, HOST, code_port)
        # Alone: two processes that make Dagster's databases at once leave them unusable.
        self._heal()
        self._launch(CODE_SERVER, programs.code_server(HOST, code_port))
        self._await(CODE_SERVER, lambda: _listens(code_port))
        self._launch(WEB_SERVER, programs.web_server(HOST, self.port, workspace))
        self._launch(DAEMON, programs.daemon(workspace))
        self._launch(INTAKE, programs.intake(HOST, self.intake_port, embedded=True))
        waiting: dict[str, Callable[[Health], bool]] = {
            "code location": lambda it: LOCATION in it.loaded,
            WEB_SERVER: lambda _: True,
            "daemon heartbeat": lambda it: it.heartbeats.get(_SENSOR_DAEMON, 0.0) > started,
        }
        while waiting:
            found = self._health(started)
            for part in [it for it, is_ready in waiting.items() if found and is_ready(found)]:
                del waiting[part]
                self.listener.ready(part, time.time() - started)
            self._check_started(started, ", ".join(waiting))
        self._await(INTAKE, lambda: _listens(self.intake_port))
        self.listener.ready(INTAKE, time.time() - started)
        self.listener.up(self.url, time.time() - started)

    def _watch(self) -> None:
        looked = time.monotonic()
        while True:
            self._check_alive()
            if time.monotonic() - looked > _LOG_CHECK_SECONDS:
                looked = time.monotonic()
                for child in self._children:
                    child.limit_log()

    @property
    def _logs(self) -> Path:
        return self.settings.home / "logs"

    def _finish_runs(self) -> None:
        """Start no more runs and let those that run end: a run cut off counts as an attempt."""
        code_servers = [it for it in self._children if it.name == CODE_SERVER]
        others = [it for it in self._children if it not in code_servers]
        end_children(others, patience=_STOP_SECONDS, hurry=self._stop.hurry)
        self._children = code_servers
        until = time.monotonic() + _STOP_SECONDS
        while any(run_workers(it.process.pid) for it in code_servers):
            if self._stop.hurry() or time.monotonic() > until:
                return
            time.sleep(_POLL_SECONDS)

    def _launch(self, name: str, program: Sequence[str]) -> Child:
        environment = {
            **os.environ,
            # The server of a database shows which part a connection is of.
            "PGAPPNAME": name.replace(" ", "-"),
            **DagsterHome(self.settings).environment(),
            "HULEEDU_DAGSTER_URL": self.settings.dagster_url or self.url,
            "HULEEDU_INTAKE_URL": self.settings.intake_url or self.intake_url,
        }
        child = Child.start(name, program, environment=environment, logs=self._logs)
        self._children.append(child)
        ServerRecord(
            pid=os.getpid(),
            port=self.port,
            intake_port=self.intake_port,
            groups=tuple(it.process.pid for it in self._children),
        ).write(self.settings)
        return child

    def _heal(self) -> None:
        child = self._launch(_HEALER, python_module("huleedu_dagster.orchestration.orphans"))
        until = time.monotonic() + _START_SECONDS
        while child.process.poll() is None:
            self._stop.pause()
            if time.monotonic() > until:
                raise ServerError(f"Dagster's databases do not answer; see {self._log(child)}")
        self._children.remove(child)
        if child.process.returncode != 0:
            raise ServerError(f"Dagster's databases cannot be opened; see {self._log(child)}")

    def _await(self, name: str, is_ready: Callable[[], bool]) -> None:
        started = time.time()
        while not is_ready():
            self._check_started(started, name)

    def _health(self, started: float) -> Health | None:
        try:
            found = health(self.url)
        except WebServerError:
            return None
        # Right after the start the web server may not have reached the code server yet.
        if found.load_errors and time.time() - started > _START_SECONDS / 2:
            raise ServerError(f"the code cannot be loaded: {found.load_errors[0].strip()}")
        return found

    def _check_started(self, started: float, waiting: str) -> None:
        self._check_alive()
        if waiting and time.time() - started > _START_SECONDS:
            raise ServerError(
                f"not ready after {_START_SECONDS} s: {waiting}; see the files in "
                f"{self._logs.relative_to(self.settings.home)} of the home folder"
            )

    def _check_alive(self) -> None:
        self._stop.pause()
        for child in self._children:
            code = child.process.poll()
            if code is not None:
                how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
                raise ServerError(
                    f"the {child.name} {how}; see {self._log(child)} of the home folder. "
                    "Everything else was stopped; `huleedu up` starts it again"
                )

    def _log(self, child: Child) -> str:
        return child.log.relative_to(self.settings.home).as_posix()


def end_leftovers(settings: Settings) -> None:
    """End what an `up` that was killed left running; only for who has the home to itself."""
    record = ServerRecord.read(settings)
    if record is None:
        return
    ours = str(settings.dagster_folder)
    left = [
        group
        for group in record.groups
        # The number may belong to somebody else by now.
        if any(environment_of(pid).get("DAGSTER_HOME") == ours for pid in members(group))
    ]
    end_groups(left, patience=_STOP_SECONDS)
    ServerRecord.forget(settings)


def _check_port(port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTakenError(
                    f"port {port} is taken by another program; choose one with {option}"
                ) from None
            raise ServerError(f"port {port} cannot be used: {error.strerror}") from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def _signals(stop: _Stop) -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # Handlers, not what was there before: under `nohup` or in a script's background SIGINT may
    # be ignored, and children would inherit that.
    before = {number: signal.signal(number, stop.ask) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
