"""The processes of the sandbox as the process sees them that uses them: workers, fork server."""

import fcntl
import os
import re
import socket
import subprocess
import time
from contextlib import suppress

from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.port import Extraction
from huleedu_dagster.extraction.sandbox_limits import SandboxLimits
from huleedu_dagster.extraction.sandbox_server import command
from huleedu_dagster.extraction.sandbox_wire import (
    MalformedError,
    Wire,
    answer_of,
    most_answer_bytes,
    receive_number,
)

_START_SECONDS = 60.0
_END_SECONDS = 10.0
_FIRST_FREE_DESCRIPTOR = 3
# By glibc's standard a worker gives its memory back after every file and takes it for the next:
# a hundred page faults for each PDF. Bytes; what is larger than the second still goes back.
_KEPT_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "16777216", "MALLOC_MMAP_THRESHOLD_": "1048576"}
# How programs and libraries are found, languages, times and memory; what coverage of tests needs;
# and the home folders, which tell whose process it is.
_NEEDED = re.compile(
    r"PATH|(?:HULEEDU_|DAGSTER_)?HOME|TMPDIR|VIRTUAL_ENV|PYTHON[A-Z0-9_]*|(?:LD|DYLD)_[A-Z_]+"
    r"|LANG|LANGUAGE|LC_[A-Z]+|TZ|MALLOC_[A-Z_]+|GLIBC_TUNABLES|COVERAGE_[A-Z_]+|COV_CORE_[A-Z]+"
)


class WorkerDiedError(Exception):
    """A worker ended, or sent what no worker sends.

    Attributes:
        exit_code: Its exit code, a negated signal number, or None when nobody knows.
    """

    def __init__(self, exit_code: int | None) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class WorkerTimeoutError(Exception):
    """A worker used up the time on the wall clock and was killed."""


class _ServerGoneError(OSError):
    """The fork server ended or does not answer."""


class Worker:
    """One process that reads files, one at a time; it may still be under way to its first.

    Attributes:
        pid: Its process id; 0 until `await_ready`.
        tasks: Files it was given.
        usable: Whether it may be given another.
    """

    def __init__(self, channel: socket.socket, life: socket.socket) -> None:
        """Take over the near ends of its sockets."""
        self.pid = 0
        self.tasks = 0
        self.usable = True
        self._wire = Wire(channel)
        self._life = life

    def await_ready(self) -> None:
        """Wait until it can be given a file.

        Raises:
            OSError: It cannot be made, or its limits cannot be put in place.
        """
        deadline = time.monotonic() + _START_SECONDS
        try:
            self.pid = self._pid(deadline)
            try:
                self._wire.receive(0, deadline)
            except (EOFError, OSError, MalformedError) as error:
                code = self.end()
                raise OSError(f"a worker could not be prepared (exit code {code})") from error
        except BaseException:
            self.dismiss()
            raise

    def ask(self, request: bytes, limits: ExtractionLimits, seconds: float) -> Extraction:
        """Let it read one file.

        Raises:
            WorkerDiedError: It ended instead.
            WorkerTimeoutError: It took longer than `seconds`.
        """
        self.tasks += 1
        deadline = time.monotonic() + seconds
        try:
            self._wire.send(request, deadline)
            found = answer_of(*self._wire.receive(most_answer_bytes(limits), deadline))
        except TimeoutError as error:
            self.end()
            raise WorkerTimeoutError from error
        except (EOFError, OSError, MalformedError) as error:
            raise WorkerDiedError(self.end()) from error
        if found.transient:
            # What ran out of memory once does not get the next file.
            self.usable = False
        return found

    @property
    def is_waiting(self) -> bool:
        """Whether it lives and does nothing, as far as can be told without asking."""
        return self._wire.is_quiet

    def end(self) -> int | None:
        """Kill it, wait until it is gone, and give its exit code if anybody knows it."""
        try:
            self._kill()
            return receive_number(self._life, time.monotonic() + _END_SECONDS)
        except (EOFError, OSError):
            return None
        finally:
            self.forget()

    def dismiss(self) -> None:
        """Kill it and do not wait."""
        with suppress(OSError):
            self._kill()
        self.forget()

    def forget(self) -> None:
        """Let go of its sockets and nothing else."""
        self.usable = False
        self._wire.close()
        self._life.close()

    def _pid(self, deadline: float) -> int:
        try:
            pid = receive_number(self._life, deadline)
        except (EOFError, OSError) as error:
            raise _ServerGoneError("the fork server does not answer") from error
        if pid < 0:
            raise BlockingIOError(-pid, os.strerror(-pid))
        return pid

    def _kill(self) -> None:
        # Closing would not reach the server while a forked copy of this process lives.
        self._life.shutdown(socket.SHUT_WR)


class ForkServer:
    """The process that makes workers; started when needed."""

    def __init__(self, limits: ExtractionLimits, sandbox: SandboxLimits) -> None:
        """Start nothing yet."""
        self._limits = limits
        self._sandbox = sandbox
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def spawn(self) -> Worker:
        """Make a worker that is ready.

        Raises:
            OSError: It cannot be made.
        """
        try:
            return self._spawn()
        except _ServerGoneError:
            # Killed from outside while nobody looked; a second time is no accident.
            self.close()
            return self._spawn()

    def begin(self) -> Worker:
        """Ask for a worker, which `await_ready` waits for.

        Raises:
            OSError: The server cannot be started or is gone.
        """
        control = self._running()
        channel, its_channel = _pair()
        life, its_life = _pair()
        worker = Worker(channel, life)
        try:
            with its_channel, its_life:
                control.settimeout(_START_SECONDS)
                socket.send_fds(control, [b"w"], [its_channel.fileno(), its_life.fileno()])
        except OSError as error:
            worker.forget()
            raise _ServerGoneError("the fork server does not answer") from error
        return worker

    def close(self) -> None:
        """End it and every worker, and wait until they are gone."""
        control, process = self._control, self._process
        self._control = self._process = None
        if control is not None:
            with suppress(OSError):
                control.shutdown(socket.SHUT_RDWR)
            control.close()
        if process is not None:
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def forget(self) -> None:
        """Let go of it without ending it: it belongs to the process this one was forked from."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            # Nobody's child here: there is nothing to wait for and nothing to warn of.
            self._process.returncode = 0
        self._control = self._process = None

    def _spawn(self) -> Worker:
        worker = self.begin()
        worker.await_ready()
        return worker

    def _running(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._control is None:
            ours, theirs = _pair()
            with theirs:
                try:
                    self._process = subprocess.Popen(
                        command(self._limits, self._sandbox),
                        stdin=theirs.fileno(),
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        env=_environment(),
                        # A signal to the terminal's group is for the parent to act on.
                        start_new_session=True,
                    )
                except BaseException:
                    ours.close()
                    raise
            self._control = ours
        return self._control


def _environment() -> dict[str, str]:
    """What a reader needs to start and no more: a file that takes it over finds no password."""
    told = {name: it for name, it in os.environ.items() if _NEEDED.fullmatch(name)}
    return {**_KEPT_MEMORY, **told}


def _pair() -> tuple[socket.socket, socket.socket]:
    one, other = socket.socketpair()
    return _above_standard(one), _above_standard(other)


def _above_standard(end: socket.socket) -> socket.socket:
    """Keep off the numbers of standard streams, which are free when those are closed."""
    if end.fileno() >= _FIRST_FREE_DESCRIPTOR:
        return end
    with end:
        number = fcntl.fcntl(end.fileno(), fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE_DESCRIPTOR)
    return socket.socket(fileno=number)
