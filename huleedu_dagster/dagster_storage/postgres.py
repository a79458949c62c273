"""Dagster's Postgres storages: connections of one pool, events in batches; all else is stock.

Stock opens a connection for every event. Here all three storages of a process share one pool, and
events of assets are written many in a transaction (see `batching`). Named in `dagster.yaml`; the
stock class can be named there instead, over the same tables.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.run_storage import PostgresRunStorage
from dagster_postgres.schedule_storage import PostgresScheduleStorage
from dagster_postgres.storage import DagsterPostgresStorage
from dagster_postgres.utils import (
    create_pg_engine,
    get_token_provider_from_config,
    pg_url_from_config,
)

from huleedu_dagster.dagster_storage.batching import BatchingEventLog, Collected, Collector

if TYPE_CHECKING:
    from dagster_postgres.auth import PgTokenProvider

_KEPT_OPEN = 2
_MOST_OPEN = 10
_RECYCLE_SECONDS = 1800
_ORDER_LOCK = 0x6875_6C65
"""Key of an advisory lock, with which ids become visible in their order, as readers expect."""


class _Pooled:
    """Gives a stock storage the engine of the process's pool."""

    _engine: sa.Engine

    def share(self, engine: sa.Engine) -> None:
        """Use an engine in place of stock's, which pools nothing."""
        self._engine.dispose()
        self._engine = engine

    def optimize_for_webserver(
        self, statement_timeout: int, pool_recycle: int, max_overflow: int
    ) -> None:
        """Use an engine as the web server wants it."""
        shared = self._engine
        super().optimize_for_webserver(  # type: ignore[misc]
            statement_timeout, pool_recycle, max_overflow
        )
        shared.dispose()

    def dispose(self) -> None:
        """Close what is open."""
        super().dispose()  # type: ignore[misc]
        self._engine.dispose()


class PooledPostgresRunStorage(_Pooled, PostgresRunStorage):
    """Stock run storage on a pool."""


class PooledPostgresScheduleStorage(_Pooled, PostgresScheduleStorage):
    """Stock schedule storage on a pool."""


class PooledPostgresEventLogStorage(_Pooled, BatchingEventLog, PostgresEventLogStorage):
    """Stock event log on a pool, with batches."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.collector = Collector(self._write)
        self._tables: set[str] = set()
        super().__init__(*arguments, **options)

    @contextmanager
    def _connect(self) -> Iterator[sa.Connection]:
        with self.collector.reading(), super()._connect() as connection:
            yield connection

    def _write(self, events: Sequence[Collected]) -> None:
        insert = SqlEventLogStorageTable.insert().returning(
            SqlEventLogStorageTable.c.id, sort_by_parameter_order=True
        )
        with self.index_transaction() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ORDER_LOCK)))
            ids = connection.execute(insert, [it.row for it in events]).scalars().all()
            self._write_index(connection, events, ids)

    def has_table(self, table_name: str) -> bool:
        """Whether there is a table; what was there once is not asked for again."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def dispose(self) -> None:
        """Store what waits and close what is open."""
        self.collector.flush()
        super().dispose()


class PooledPostgresStorage(DagsterPostgresStorage):
    """All three storages in one database.

    Args:
        postgres_url: Where it is.
        should_autocreate_tables: Whether missing tables are made.
        inst_data: How `dagster.yaml` names this class.
        token_provider: Makes passwords that expire.
    """

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
        token_provider: "PgTokenProvider | None" = None,
    ) -> None:
        self.postgres_url = postgres_url
        self.should_autocreate_tables = should_autocreate_tables
        self._inst_data = inst_data
        engine = create_pg_engine(
            postgres_url,
            token_provider,
            isolation_level="AUTOCOMMIT",
            pool_size=_KEPT_OPEN,
            max_overflow=_MOST_OPEN - _KEPT_OPEN,
            pool_pre_ping=True,
            pool_recycle=_RECYCLE_SECONDS,
        )
        how = (postgres_url, should_autocreate_tables)
        self._run_storage = PooledPostgresRunStorage(*how, token_provider=token_provider)
        self._event_log_storage = PooledPostgresEventLogStorage(*how, token_provider=token_provider)
        self._schedule_storage = PooledPostgresScheduleStorage(*how, token_provider=token_provider)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage.share(engine)
        # Past the stock initialiser, which would make the stock storages.
        super(DagsterPostgresStorage, self).__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "PooledPostgresStorage":
        """Make the storage that `dagster.yaml` describes."""
        return cls(
            inst_data=inst_data,
            postgres_url=pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            token_provider=get_token_provider_from_config(config_value),
        )
