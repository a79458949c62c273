"""The fork server: a small process that has imported the readers and makes workers out of itself.

Run as `python -m huleedu_dagster.extraction.sandbox_server PARENT LIMITS` with a socket for
standard input. A program of its own instead of the one in `multiprocessing`: that one is shared
with Dagster's executors, imports the caller's main module, and is refused to daemonic processes,
which the children of Celery are.

Each message on the socket brings two descriptors: the channel of a new worker, and its life line.
The life line tells the worker's process id (or a negated errno) and later its exit code; when
the other side closes it, the worker is killed. The server and all workers end with the parent.
"""

import gc
import json
import os
import pkgutil
import selectors
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from typing import NoReturn

from huleedu_dagster.extraction import readers
from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.sandbox_limits import SandboxLimits
from huleedu_dagster.extraction.sandbox_wire import send_number
from huleedu_dagster.extraction.sandbox_worker import work

_LOADED_WHEN_NEEDED = (
    "huleedu_dagster.extraction.opc",
    "olefile",
    # Of the names in an archive, and of RTF.
    "encodings.cp437",
    "encodings.cp1252",
)
_PARENT_CHECK_SECONDS = 0.5


def command(limits: ExtractionLimits, sandbox: SandboxLimits) -> list[str]:
    """The command line that starts a fork server as a child of this process.

    Raises:
        OSError: This process does not know its interpreter.
    """
    if not sys.executable:
        raise OSError("the interpreter to start workers with is unknown")
    told = json.dumps({"limits": asdict(limits), "sandbox": asdict(sandbox)})
    # -P: files in the current folder cannot stand in for modules.
    return [sys.executable, "-P", "-m", __name__, str(os.getpid()), told]


def main(arguments: Sequence[str]) -> None:
    """Serve until the parent closes the socket or dies."""
    parent, told = int(arguments[0]), json.loads(arguments[1])
    limits, sandbox = ExtractionLimits(**told["limits"]), SandboxLimits(**told["sandbox"])
    control = socket.socket(fileno=os.dup(0))
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor is wanted
        os.dup2(nothing.fileno(), 0)
    _default_signals()
    _preload()
    me = os.getpid()
    server = _Server(control, parent, lambda channel: work(channel, me, limits, sandbox))
    server.run()


def _default_signals() -> None:
    """Undo what the parent ignored or blocked: both survive the start of a program."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGTERM, signal.SIGPROF, signal.SIGABRT):
        signal.signal(number, signal.SIG_DFL)


def _preload() -> None:
    names = [f"{readers.__name__}.{it.name}" for it in pkgutil.iter_modules(readers.__path__)]
    for name in (*names, *_LOADED_WHEN_NEEDED):
        # A module that cannot be imported is reported by the first file that needs it.
        with suppress(Exception):
            import_module(name)
    # Workers share these objects' memory for as long as no collection touches it.
    gc.collect()
    gc.freeze()


class _Server:
    def __init__(
        self, control: socket.socket, parent: int, become_worker: Callable[[int], NoReturn]
    ) -> None:
        self._control = control
        self._parent = parent
        self._become_worker = become_worker
        self._lives: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(self._control, selectors.EVENT_READ, self._fork)
        self._selector.register(wake_read, selectors.EVENT_READ, lambda: self._reap(wake_read))
        try:
            # A copy of the parent may hold the socket open, so its death is looked for as well.
            while os.getppid() == self._parent:
                for key, _ in self._selector.select(_PARENT_CHECK_SECONDS):
                    key.data()
        except EOFError:
            pass
        finally:
            self._end()

    def _fork(self) -> None:
        message, descriptors, _, _ = socket.recv_fds(self._control, 1, 2)
        if not message:
            raise EOFError
        channel, line = descriptors
        life = socket.socket(fileno=line)
        try:
            pid = os.fork()
        except OSError as error:
            with suppress(OSError), life:
                send_number(life, -(error.errno or 1))
            os.close(channel)
            return
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._become_worker(channel)
        os.close(channel)
        self._lives[pid] = life
        self._selector.register(life, selectors.EVENT_READ, lambda: self._kill(pid))
        with suppress(OSError):
            send_number(life, pid)

    def _kill(self, pid: int) -> None:
        # Not yet waited for, so the number is still this worker's.
        if pid in self._lives:
            self._selector.unregister(self._lives[pid])
            os.kill(pid, signal.SIGKILL)

    def _reap(self, wake: int) -> None:
        with suppress(BlockingIOError):
            os.read(wake, 4_096)
        for pid in list(self._lives):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                self._tell(pid, status)

    def _tell(self, pid: int, status: int) -> None:
        life = self._lives.pop(pid)
        with suppress(KeyError):
            self._selector.unregister(life)
        with suppress(OSError), life:
            send_number(life, os.waitstatus_to_exitcode(status))

    def _end(self) -> None:
        for pid in self._lives:
            os.kill(pid, signal.SIGKILL)
        for pid in list(self._lives):
            self._tell(pid, os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main(sys.argv[1:])
