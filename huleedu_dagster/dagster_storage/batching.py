"""Collects Dagster's materialization and planned events and stores many in one transaction.

Of the eight events of an essay each costs stock several transactions. Here they wait in memory
until there are many of them, until somebody reads, until an event of another kind comes, or for a
second; so a step or a run is never reported done before its events are stored, and no reader of
this process misses one. A killed process loses what waited; the ledger still calls those essays
due, and the next attempt emits them without computing.
"""

import logging
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from dagster import DagsterEventType, DagsterInstance
from dagster._core.events import FAILURE_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from huleedu_dagster.dagster_storage.forking import begin_again_in_children

_MOST = 200
_LONGEST_SECONDS = 1.0
_MATERIALIZED = DagsterEventType.ASSET_MATERIALIZATION.value
_COLLECTED = frozenset({_MATERIALIZED, DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Collected:
    """An event that is not stored yet.

    Attributes:
        row: Its row in the table of events, made when it came.
    """

    event: EventLogEntry
    row: dict[str, Any]

    @property
    def subject(self) -> tuple[str, str]:
        """The asset that it is about, and its kind."""
        return self.row["asset_key"], self.row["dagster_event_type"]


class Collector:
    """Holds events until they are written; the order in which they came is kept.

    Args:
        write: Stores events; called by one thread at a time.
    """

    def __init__(self, write: Callable[[Sequence[Collected]], None]) -> None:
        self._write = write
        self.begin_again()
        begin_again_in_children(self)

    def begin_again(self) -> None:
        """Hold nothing. In a forked process: what waits there is the parent's to write."""
        self._waiting: list[Collected] = []
        self._due = 0.0
        self._failures: dict[str, Exception] = {}
        self._clock: threading.Thread | None = None
        self._closed = threading.Event()
        self._lock = threading.RLock()
        self._open = threading.local()

    def add(self, collected: Collected) -> None:
        """Take an event.

        Raises:
            Exception: What kept earlier events of its run from being stored.
        """
        with self._lock:
            self._raise_failure(collected.event.run_id)
            if not self._waiting:
                self._due = time.monotonic() + _LONGEST_SECONDS
            self._waiting.append(collected)
            if len(self._waiting) >= _MOST:
                self.flush()
                self._raise_failure(collected.event.run_id)
            elif self._clock is None:
                # Not a daemon: the end of a program that closes nothing waits for it.
                self._clock = threading.Thread(target=self._flush_in_time, args=(self._closed,))
                self._clock.start()

    def flush(self) -> None:
        """Write what waits; a failure is kept for the runs that it concerns."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            if not waiting:
                return
            try:
                self._write(waiting)
            except Exception as error:
                _log.error("%s events not stored: %s", len(waiting), type(error).__name__)
                self._failures.update({it.event.run_id: error for it in waiting})

    def close(self) -> None:
        """Write what waits, and keep no program from its end."""
        with self._lock:
            self.flush()
            self._closed.set()
            self._closed, self._clock = threading.Event(), None

    def settle(self, run_id: str) -> None:
        """Write what waits.

        Raises:
            Exception: What kept events of this run from being stored.
        """
        with self._lock:
            self.flush()
            self._raise_failure(run_id)

    def forget_failure(self, run_id: str) -> None:
        """Write what waits; the run is about to be reported as failed anyway."""
        with self._lock:
            self.flush()
            self._failures.pop(run_id, None)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Write what waits, unless this thread has a connection open: it may hold locks."""
        depth = getattr(self._open, "depth", 0)
        if depth == 0:
            self.flush()
        self._open.depth = depth + 1
        try:
            yield
        finally:
            self._open.depth = depth

    def _flush_in_time(self, closed: threading.Event) -> None:
        # One thread for many batches: to start one for each costs more than to store an event.
        while True:
            with self._lock:
                if closed.is_set():
                    return
                rest = self._due - time.monotonic()
                if not self._waiting or rest <= 0:
                    self._clock = None
                    self.flush()
                    return
            closed.wait(rest)

    def _raise_failure(self, run_id: str) -> None:
        if (failure := self._failures.pop(run_id, None)) is not None:
            raise failure


class BatchingEventLog(SqlEventLogStorage):
    """Mixed into a stock event log; tables, queries and all other events are stock's.

    The storage wraps each connection it opens in `collector.reading()`.
    """

    collector: Collector

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.collector = Collector(self._write)
        self._tables: set[str] = set()
        super().__init__(*arguments, **options)  # type: ignore[no-untyped-call]

    def has_table(self, table_name: str) -> bool:
        """Whether there is a table; what was there once is not asked for again."""
        if table_name not in self._tables and super().has_table(table_name):  # type: ignore[safe-super]
            self._tables.add(table_name)
        return table_name in self._tables

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event of Dagster, or keep it until many are stored together.

        Raises:
            Exception: What kept this event, or earlier ones of its run, from being stored.
        """
        if is_collected(event):
            self.collector.add(Collected(event, self._event_to_row(event)))
            return
        if event.dagster_event is not None:
            # Messages do not raise: Dagster would swallow it, and the run would end well.
            if event.dagster_event.event_type in FAILURE_EVENTS:
                self.collector.forget_failure(event.run_id)
            else:
                self.collector.settle(event.run_id)
        super().store_event(event)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events that Dagster batched (`DAGSTER_EVENT_BATCH_SIZE`), in their order.

        Raises:
            Exception: What kept one from being stored.
        """
        for collected, group in groupby(events, is_collected):
            if collected:
                together = [Collected(it, self._event_to_row(it)) for it in group]
                self.collector.settle(together[0].event.run_id)
                self._write(together)
            else:
                # Stock's own batches leave all rows of assets but the last behind.
                for event in group:
                    self.store_event(event)

    @abstractmethod
    def _write(self, events: Sequence[Collected]) -> None:
        """Store events; all of them are about assets."""

    def _write_index(
        self, connection: sa.Connection, events: Sequence[Collected], ids: Sequence[int]
    ) -> None:
        """Write what stock derives from events: their tags, and the rows of their assets."""
        numbered = list(zip(ids, events, strict=True))
        tagged = [it for it in numbered if it[1].row["dagster_event_type"] == _MATERIALIZED]
        self._store_asset_event_tags(
            connection, [it.event for _, it in tagged], [number for number, _ in tagged]
        )
        last = {it.subject: (number, it.event) for number, it in numbered}
        # In their order, the last event of each kind leaves the row as all of them would.
        for number, event in sorted(last.values(), key=lambda it: it[0]):
            self._store_asset_event(connection, event, number)


def store_collected(instance: DagsterInstance, run_id: str) -> None:
    """Return when all events of a run that came up to now are stored.

    Raises:
        Exception: What kept one from being stored.
    """
    storage = instance.event_log_storage
    if isinstance(storage, BatchingEventLog):
        storage.collector.settle(run_id)


def is_collected(event: EventLogEntry) -> bool:
    """Whether an event waits until many are stored together."""
    # Without a run there is no other event that would follow.
    return (
        bool(event.run_id)
        and event.dagster_event is not None
        and event.dagster_event.event_type_value in _COLLECTED
    )
