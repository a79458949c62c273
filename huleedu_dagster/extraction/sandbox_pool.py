"""The outside of the workers: starting, lending, replacing and ending them."""

import fcntl
import os
import socket
import subprocess
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.port import Extraction
from huleedu_dagster.extraction.sandbox_limits import SandboxLimits
from huleedu_dagster.extraction.sandbox_server import command
from huleedu_dagster.extraction.sandbox_wire import (
    READY,
    MalformedError,
    receive,
    receive_answer,
    receive_number,
    seconds_left,
)

_START_SECONDS = 60.0
_END_SECONDS = 10.0
_FIRST_FREE_DESCRIPTOR = 3


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
    """One process that reads files, one at a time.

    Attributes:
        pid: Its process id.
        tasks: Files it was given.
        usable: Whether it may be given another.
    """

    def __init__(self, pid: int, channel: socket.socket, life: socket.socket) -> None:
        self.pid = pid
        self.tasks = 0
        self.usable = True
        self._channel = channel
        self._life = life

    def ask(self, request: bytes, limits: ExtractionLimits, seconds: float) -> Extraction:
        """Let it read one file.

        Raises:
            WorkerDiedError: It ended instead.
            WorkerTimeoutError: It took longer than `seconds`.
        """
        self.tasks += 1
        deadline = time.monotonic() + seconds
        try:
            self._channel.settimeout(seconds_left(deadline))
            self._channel.sendall(request)
            found = receive_answer(self._channel, limits, deadline)
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
    def is_alive(self) -> bool:
        """Whether nothing was told of its end yet."""
        self._life.settimeout(0)
        try:
            self._life.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def end(self) -> int | None:
        """Kill it, wait until it is gone, and give its exit code if anybody knows it."""
        self.usable = False
        try:
            with suppress(OSError):
                # Closing would not reach the server while a forked copy of this process lives.
                self._life.shutdown(socket.SHUT_WR)
            return receive_number(self._life, time.monotonic() + _END_SECONDS)
        except (EOFError, OSError):
            return None
        finally:
            self.forget()

    def forget(self) -> None:
        """Let go of its sockets and nothing else."""
        self.usable = False
        self._channel.close()
        self._life.close()


class _ForkServer:
    """The process that makes workers, seen from the one that uses them; started when needed."""

    def __init__(self, limits: ExtractionLimits, sandbox: SandboxLimits) -> None:
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
        control = self._running()
        deadline = time.monotonic() + _START_SECONDS
        channel, its_channel = _pair()
        life, its_life = _pair()
        try:
            with its_channel, its_life:
                control.settimeout(_START_SECONDS)
                socket.send_fds(control, [b"w"], [its_channel.fileno(), its_life.fileno()])
            pid = receive_number(life, deadline)
            if pid < 0:
                raise BlockingIOError(-pid, os.strerror(-pid))
            worker = Worker(pid, channel, life)
            _await_ready(worker, channel, deadline)
        except BaseException as error:
            channel.close()
            life.close()
            if isinstance(error, EOFError | ConnectionError | TimeoutError):
                raise _ServerGoneError("the fork server does not answer") from error
            raise
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
                        # A signal to the terminal's group is for the parent to act on.
                        start_new_session=True,
                    )
                except BaseException:
                    ours.close()
                    raise
            self._control = ours
        return self._control


class WorkerPool:
    """Lends workers to threads. Nothing is started before the first loan.

    A copy of it in a forked process starts anew, with workers of its own.
    """

    def __init__(self, limits: ExtractionLimits, sandbox: SandboxLimits) -> None:
        self._limits = limits
        self._sandbox = sandbox
        self._begin()
        this = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _begin_again(this()))

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(self._sandbox.workers)
        self._server = _ForkServer(self._limits, self._sandbox)
        self._workers: set[Worker] = set()
        self._idle: list[Worker] = []
        self._closed = False

    @contextmanager
    def worker(self, *, fresh: bool) -> Iterator[Worker]:
        """A worker for one file, taken back afterwards.

        Args:
            fresh: It must not have read anything yet.

        Raises:
            OSError: None can be started, or the pool is closed.
        """
        with self._turns:
            worker = self._take(fresh=fresh)
            try:
                yield worker
            except BaseException:
                # It may still be at work for a caller that is no longer there.
                worker.end()
                raise
            finally:
                self._give_back(worker)

    @property
    def pids(self) -> frozenset[int]:
        """Process ids of the workers there are."""
        with self._lock:
            return frozenset(worker.pid for worker in self._workers)

    def close(self) -> None:
        """End all processes; who still waits for a worker is refused."""
        with self._lock:
            self._closed = True
            self._server.close()
            # The busy ones belong to the threads that wait for them.
            while self._idle:
                self._drop(self._idle.pop())

    def forget(self) -> None:
        """In a forked process: let go of what belongs to the process it was forked from."""
        for worker in self._workers:
            worker.forget()
        self._server.forget()
        self._begin()

    def _take(self, *, fresh: bool) -> Worker:
        with self._lock:
            if self._closed:
                raise OSError("the extractor is closed")
            while self._idle and not fresh:
                worker = self._idle.pop()
                if worker.is_alive:
                    return worker
                self._drop(worker)
            if self._idle and len(self._workers) >= self._sandbox.workers:
                self._drop(self._idle.pop(0))
            worker = self._server.spawn()
            self._workers.add(worker)
            return worker

    def _give_back(self, worker: Worker) -> None:
        with self._lock:
            used_up = worker.tasks >= self._sandbox.recycle_tasks
            if self._closed or used_up or not worker.usable:
                self._drop(worker)
            else:
                self._idle.append(worker)

    def _drop(self, worker: Worker) -> None:
        self._workers.discard(worker)
        worker.end()


def _begin_again(pool: WorkerPool | None) -> None:
    if pool is not None:
        pool.forget()


def _await_ready(worker: Worker, channel: socket.socket, deadline: float) -> None:
    try:
        receive(channel, len(READY), deadline)
    except (EOFError, OSError) as error:
        code = worker.end()
        raise OSError(f"a worker could not be prepared (exit code {code})") from error


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
