"""Collects Dagster's materialization and planned events and stores many in one transaction.

Of the eight events of an essay each costs stock several transactions. Here they wait in memory
until there are many of them, until somebody reads, until an event of another kind comes, or for a
second; so a step or a run is never reported done before its events are stored, and no reader of
this process misses one. A killed process loses what waited; the ledger still calls those essays
due, and the next attempt emits them without computing.
"""

import logging
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from dagster import AssetKey, DagsterEventType, DagsterInstance
from dagster._core.events import FAILURE_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

_MOST = 200
_LONGEST_SECONDS = 1.0
_COLLECTED = frozenset(
    {DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_MATERIALIZATION_PLANNED}
)

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
    def asset(self) -> AssetKey:
        """The asset that it is about."""
        key = self.event.get_dagster_event().asset_key
        assert key is not None, "only events of assets are collected"
        return key


class Collector:
    """Holds events until they are written; the order in which they came is kept.

    Args:
        write: Stores events; called by one thread at a time.
    """

    def __init__(self, write: Callable[[Sequence[Collected]], None]) -> None:
        self._write = write
        self._waiting: list[Collected] = []
        self._failures: dict[str, Exception] = {}
        self._timer: threading.Timer | None = None
        self._lock = threading.RLock()
        self._open = threading.local()

    def add(self, collected: Collected) -> None:
        """Take an event.

        Raises:
            Exception: What kept earlier events of its run from being stored.
        """
        with self._lock:
            self._raise_failure(collected.event.run_id)
            self._waiting.append(collected)
            if len(self._waiting) >= _MOST:
                self.flush()
                self._raise_failure(collected.event.run_id)
            elif self._timer is None:
                # Not a daemon: the end of a program that closes nothing waits for it.
                self._timer = threading.Timer(_LONGEST_SECONDS, self.flush)
                self._timer.start()

    def flush(self) -> None:
        """Write what waits; a failure is kept for the runs that it concerns."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if not waiting:
                return
            try:
                self._write(waiting)
            except Exception as error:
                _log.error("%s events not stored: %s", len(waiting), type(error).__name__)
                self._failures.update({it.event.run_id: error for it in waiting})

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

    def _raise_failure(self, run_id: str) -> None:
        if (failure := self._failures.pop(run_id, None)) is not None:
            raise failure


class BatchingEventLog(SqlEventLogStorage):
    """Mixed into a stock event log; tables, queries and all other events are stock's.

    The storage wraps each connection it opens in `collector.reading()`.
    """

    collector: Collector

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event of Dagster, or keep it until many are stored together.

        Raises:
            Exception: What kept this event, or earlier ones of its run, from being stored.
        """
        if _is_collected(event):
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
        for collected, group in groupby(events, _is_collected):
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
        self._store_asset_event_tags(connection, [it.event for it in events], ids)
        last = {
            (it.asset.to_string(), it.event.dagster_event_type): (number, it.event)
            for number, it in zip(ids, events, strict=True)
        }
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


def _is_collected(event: EventLogEntry) -> bool:
    # Without a run there is no other event that would follow.
    return (
        bool(event.run_id)
        and event.dagster_event is not None
        and event.dagster_event.event_type in _COLLECTED
        and event.dagster_event.asset_key is not None
    )
