"""Lets few threads at a time use a pool, so that those that need a second connection get one."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from huleedu_dagster.dagster_storage.forking import begin_again_in_children


class Gate:
    """Keeps one connection of a pool for threads that have one.

    Dagster opens a second connection inside the first, when it asks for the first time whether a
    table is there. With a pool that ends somewhere, threads that have all a first one would wait
    for each other.

    Args:
        connections: Connections of the pool, at least 2.

    Raises:
        ValueError: There are fewer: every thread would wait for ever.
    """

    def __init__(self, connections: int) -> None:
        if connections < 2:
            raise ValueError(
                f"Dagster's storage needs 2 connections of a process, not {connections}; "
                "look at `connections` in dagster.yaml, or HULEEDU_DAGSTER_CONNECTIONS"
            )
        self._first = connections - 1
        self.begin_again()
        begin_again_in_children(self)

    def begin_again(self) -> None:
        """In a forked process: no thread is inside."""
        self._first_ones = threading.BoundedSemaphore(self._first)
        self._thread = threading.local()

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Wait until this thread may take a connection; at once if it has one."""
        if getattr(self._thread, "is_inside", False):
            yield
            return
        with self._first_ones:
            self._thread.is_inside = True
            try:
                yield
            finally:
                self._thread.is_inside = False
