"""Dagster's SQLite storages: open connections, cheaper commits, events in batches; else stock.

Stock makes a new engine for every event and migrates a new database for every run. Here engines
stay open, events of assets are written many in a transaction (see `batching`), commits do not wait
for the disk (`synchronous=NORMAL`: a power cut may lose the last events of Dagster, never a fact of
the ledger; a backfill emits them again without computing), and the database of a run is a copy of
an empty, migrated one. Named in `dagster.yaml`; the stock classes can be named there instead.
"""

import fcntl
import os
import shutil
import threading
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import dagster
import sqlalchemy as sa
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.schema import AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
)
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite_storage import (
    DagsterSqliteStorage,
    _event_logs_directory,
    _runs_directory,
    _schedule_directory,
)
from dagster._serdes import ConfigurableClassData
from sqlalchemy.dialects import sqlite

from huleedu_dagster.dagster_storage.batching import BatchingEventLog, Collected, is_collected
from huleedu_dagster.dagster_storage.forking import begin_again_in_children

_BUSY_TIMEOUT_SECONDS = 30
_MOST_OPEN = 32
_TEMPLATE = f"empty-run-{dagster.__version__}.template"
_LOCK = "creation.lock"


class _Engines:
    """A few open engines; the one not used for longest is closed first."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, sa.Engine] = OrderedDict()
        self._of_parent: list[sa.Pool] = []
        self._lock = threading.RLock()
        begin_again_in_children(self)

    def begin_again(self) -> None:
        """Leave the connections to the process that this one was forked from."""
        self._lock = threading.RLock()
        for engine in self._open.values():
            # SQLite's locks suffer if a child so much as closes what its parent opened.
            self._of_parent.append(engine.pool)
            engine.dispose(close=False)

    def get(self, url: str) -> sa.Engine:
        with self._lock:
            if url not in self._open:
                self._open[url] = _create_engine(url)
                while len(self._open) > _MOST_OPEN:
                    self._open.popitem(last=False)[1].dispose()
            self._open.move_to_end(url)
            return self._open[url]

    def close(self) -> None:
        with self._lock:
            while self._open:
                self._open.popitem()[1].dispose()


def _create_engine(url: str) -> sa.Engine:
    engine = sa.create_engine(
        url,
        poolclass=sa.pool.QueuePool,
        pool_size=2,
        connect_args={"timeout": _BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
    )
    sa.event.listen(engine, "connect", _lighten_commits)
    return engine


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from making the same databases at the same time.

    Two that do leave them with two schema versions, and unusable.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@cache
def _put_asset_row(names: tuple[str, ...]) -> sa.Insert:
    """Writes some columns of the row of an asset, which may be there or not."""
    insert = sqlite.insert(AssetKeyTable)
    written = {name: insert.excluded[name] for name in names}
    return insert.on_conflict_do_update(index_elements=[AssetKeyTable.c.asset_key], set_=written)


def _lighten_commits(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous=NORMAL").close()


class PooledSqliteEventLogStorage(BatchingEventLog, SqliteEventLogStorage):
    """Stock event log with open engines, batches and run databases copied from a template."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines = _Engines()
        self._has_index_columns = False
        super().__init__(base_dir, inst_data)
        begin_again_in_children(self)

    def begin_again(self) -> None:
        """In a forked process: nobody holds the lock."""
        self._db_lock = threading.Lock()

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        with self.collector.reading(), self._db_lock:
            if shard not in self._initialized_dbs:
                self._initialize(shard)
                self._initialized_dbs.add(shard)
            engine = self._engines.get(self.conn_string_for_shard(shard))
            with engine.connect() as connection, connection.begin():
                yield connection

    def _initialize(self, shard: str) -> None:
        path = Path(self.path_for_shard(shard))
        if shard == INDEX_SHARD_NAME or path.exists():
            with _alone(Path(self._base_dir)):
                self._initdb(self._engines.get(self.conn_string_for_shard(shard)))
            return
        # Several threads of a process may do this at the same time.
        copy = path.with_suffix(f".{uuid.uuid4()}.new")
        shutil.copyfile(self._template(), copy)
        try:
            # A link never overwrites the database that another process made meanwhile.
            os.link(copy, path)
        except FileExistsError:
            pass
        finally:
            copy.unlink()

    def _template(self) -> Path:
        template = Path(self._base_dir) / _TEMPLATE
        if not template.exists():
            shard = f"template-{uuid.uuid4()}"
            engine = sa.create_engine(self.conn_string_for_shard(shard), poolclass=sa.pool.NullPool)
            self._initdb(engine)
            engine.dispose()
            Path(self.path_for_shard(shard)).replace(template)
        return template

    def store_event(self, event: EventLogEntry) -> None:
        """See `BatchingEventLog.store_event`."""
        super().store_event(event)
        if not is_collected(event):
            self._wake_watchers(event.run_id)

    def _wake_watchers(self, run_id: str) -> None:
        # They watch the file, which stock changes with every event, as it closes what it opened.
        # What is open writes into the log beside it.
        with suppress(FileNotFoundError):
            os.utime(self.path_for_shard(run_id))

    def _write(self, events: Sequence[Collected]) -> None:
        rows = [it.row for it in events]
        # As stock does it: into the run's own database, then into the one of all runs.
        for run_id, own in groupby(rows, lambda row: str(row["run_id"])):
            with self.run_connection(run_id) as connection:
                connection.execute(SqlEventLogStorageTable.insert(), list(own))
            self._wake_watchers(run_id)
        with self.index_transaction() as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
            # Nobody else writes during the transaction: the ids follow each other.
            last = connection.execute(sa.text("SELECT last_insert_rowid()")).scalar_one()
            self._write_index(connection, events, range(last - len(rows) + 1, last + 1))

    def _store_asset_event(
        self, connection: sa.Connection, event: EventLogEntry, event_id: int
    ) -> None:
        # Stock inserts, fails, and updates.
        key = event.get_dagster_event().asset_key
        recent = self._has_asset_key_index_cols_on_connection(connection)
        values = self._get_asset_entry_values(event, event_id, recent)
        if key is not None and values:
            row = {"asset_key": key.to_string(), **values}
            connection.execute(_put_asset_row(tuple(values)), row)

    def _has_asset_key_index_cols_on_connection(self, connection: sa.Connection) -> bool:
        # Columns do not go away.
        if not self._has_index_columns:
            self._has_index_columns = super()._has_asset_key_index_cols_on_connection(connection)
        return self._has_index_columns

    def wipe(self) -> None:
        """Remove all events, those that wait too."""
        self.collector.close()
        self._engines.close()
        super().wipe()

    def dispose(self) -> None:
        """Store what waits and close all engines."""
        self.collector.close()
        super().dispose()
        self._engines.close()


class _Pooled:
    """Gives a stock storage an engine that stays open."""

    _conn_string: str
    _engines: _Engines | None = None

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """A connection in a transaction."""
        if self._engines is None:
            self._engines = _Engines()
        with self._engines.get(self._conn_string).connect() as connection, connection.begin():
            yield connection

    def dispose(self) -> None:
        """Close the engine."""
        if self._engines is not None:
            self._engines.close()


class PooledSqliteRunStorage(_Pooled, SqliteRunStorage):
    """Stock run storage with an open engine."""


class PooledSqliteScheduleStorage(_Pooled, SqliteScheduleStorage):
    """Stock schedule storage with an open engine."""


class PooledSqliteStorage(DagsterSqliteStorage):
    """All three storages in one folder, as stock lays them out."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self.base_dir = base_dir
        self._inst_data = inst_data
        with _alone(Path(base_dir)):
            self._run_storage = PooledSqliteRunStorage.from_local(_runs_directory(base_dir))
            self._event_log_storage = PooledSqliteEventLogStorage(_event_logs_directory(base_dir))
            self._schedule_storage = PooledSqliteScheduleStorage.from_local(
                _schedule_directory(base_dir)
            )
        # Past the stock initialiser, which would make the stock storages.
        super(DagsterSqliteStorage, self).__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "PooledSqliteStorage":
        """Make the storage that `dagster.yaml` describes."""
        return cls(inst_data=inst_data, **config_value)
