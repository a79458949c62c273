"""Lends the workers of one process to its threads, replaces them and ends them."""

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.sandbox_limits import SandboxLimits
from huleedu_dagster.extraction.sandbox_processes import ForkServer, Worker


class WorkerPool:
    """Lends workers to threads. Nothing is started before the first loan.

    A copy of it in a forked process starts anew, with workers of its own.
    """

    def __init__(self, limits: ExtractionLimits, sandbox: SandboxLimits) -> None:
        """Start nothing yet."""
        self._limits = limits
        self._sandbox = sandbox
        self._begin()
        this = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _begin_again(this()))

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(self._sandbox.workers)
        self._server = ForkServer(self._limits, self._sandbox)
        self._workers: set[Worker] = set()
        self._idle: list[Worker] = []
        self._next: Worker | None = None
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
                worker.usable = False
                raise
            finally:
                self._give_back(worker)

    @property
    def pids(self) -> frozenset[int]:
        """Process ids of the workers that are lent or were; without the next."""
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
            if self._next is not None:
                self._next.forget()

    def forget(self) -> None:
        """In a forked process: let go of what belongs to the process it was forked from."""
        for worker in (*self._workers, self._next):
            if worker is not None:
                worker.forget()
        self._server.forget()
        self._begin()

    def _take(self, *, fresh: bool) -> Worker:
        with self._lock:
            if self._closed:
                raise OSError("the extractor is closed")
            worker = self._waiting(fresh=fresh) or self._made()
            self._workers.add(worker)
            if worker.tasks + 1 == self._sandbox.recycle_tasks and self._next is None:
                # Made while this one reads its last file. Who needs it hears if that fails.
                with suppress(OSError):
                    self._next = self._server.begin()
            return worker

    def _waiting(self, *, fresh: bool) -> Worker | None:
        while self._idle and not fresh:
            worker = self._idle.pop()
            if worker.is_waiting:
                return worker
            self._drop(worker)
        if self._idle and len(self._workers) >= self._sandbox.workers:
            self._drop(self._idle.pop(0))
        return None

    def _made(self) -> Worker:
        worker, self._next = self._next, None
        if worker is not None:
            with suppress(OSError):
                worker.await_ready()
                return worker
        return self._server.spawn()

    def _give_back(self, worker: Worker) -> None:
        with self._lock:
            used_up = worker.tasks >= self._sandbox.recycle_tasks
            if self._closed or used_up or not worker.usable:
                self._drop(worker)
            else:
                self._idle.append(worker)

    def _drop(self, worker: Worker) -> None:
        self._workers.discard(worker)
        worker.dismiss()


def _begin_again(pool: WorkerPool | None) -> None:
    if pool is not None:
        pool.forget()
