"""Dagster's Postgres storages: connections of one pool, events in batches; all else is stock.

Stock opens a connection for every event. Here all three storages of a process share one pool, and
events of assets are written many in a transaction (see `batching`). Named in `dagster.yaml`; the
stock class can be named there instead, over the same tables.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from dagster import Field, IntSource
from dagster._config.config_schema import UserConfigSchema
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.run_storage import PostgresRunStorage
from dagster_postgres.schedule_storage import PostgresScheduleStorage
from dagster_postgres.storage import DagsterPostgresStorage
from dagster_postgres.utils import (
    create_pg_engine,
    get_token_provider_from_config,
    pg_config,
    pg_url_from_config,
    set_pg_statement_timeout,
)

from huleedu_dagster.dagster_storage.batching import BatchingEventLog, Collected
from huleedu_dagster.dagster_storage.forking import begin_again_in_children
from huleedu_dagster.dagster_storage.gate import Gate
from huleedu_dagster.ledger.connections import connection_name, pool_options

if TYPE_CHECKING:
    from dagster_postgres.auth import PgTokenProvider

_KEPT_OPEN = 2
_MOST_OPEN = 10
_RECYCLE_SECONDS = 1800
_ORDER_LOCK = 0x6875_6C65
"""Key of an advisory lock, with which ids become visible in their order, as readers expect."""


@cache
def _statement_limit(milliseconds: int) -> Callable[[Any, object], None]:
    """What a new connection is told; the same function for all storages of a process."""

    def tell(connection: Any, _record: object) -> None:
        set_pg_statement_timeout(connection, milliseconds)

    return tell


def _speak_utc(connection: Any, _record: object) -> None:
    # The server writes when a run was made, in the zone of the connection, and Dagster reads it as
    # UTC: west of Greenwich its monitoring takes new runs for hours old, and fails them.
    with connection.cursor() as cursor:
        cursor.execute("SET TIME ZONE 'UTC'")
    connection.commit()


class _Pooled:
    """Gives a stock storage the engine of the process's pool."""

    _engine: sa.Engine
    _gate: Gate | None = None
    """None while stock makes its tables."""

    def share(self, engine: sa.Engine, gate: Gate) -> None:
        """Use an engine in place of stock's, which pools nothing."""
        self._engine.dispose()
        self._engine = engine
        self._gate = gate
        begin_again_in_children(self)

    def begin_again(self) -> None:
        """Leave the connections to the process that this one was forked from."""
        self._engine.dispose(close=False)

    @contextmanager
    def _gated(self, connecting: AbstractContextManager[sa.Connection]) -> Iterator[sa.Connection]:
        with self._gate.passed() if self._gate else nullcontext(), connecting as connection:
            yield connection

    def optimize_for_webserver(
        self, statement_timeout: int, pool_recycle: int, max_overflow: int
    ) -> None:
        """Cut statements off as the web server wants it; the pool stays the process's one.

        Stock makes a pool for each storage, of 21 connections unless the web server is told else.
        """
        limit = _statement_limit(statement_timeout)
        if not sa.event.contains(self._engine, "connect", limit):
            sa.event.listen(self._engine, "connect", limit)
            # Those that are open do not know it.
            self._engine.dispose()

    def dispose(self) -> None:
        """Close what is open."""
        super().dispose()  # type: ignore[misc]
        self._engine.dispose()


class PooledPostgresRunStorage(_Pooled, PostgresRunStorage):
    """Stock run storage on a pool."""

    def connect(self) -> AbstractContextManager[sa.Connection]:
        """A connection of the pool."""
        return self._gated(super().connect())


class PooledPostgresScheduleStorage(_Pooled, PostgresScheduleStorage):
    """Stock schedule storage on a pool."""

    def connect(self, run_id: str | None = None) -> AbstractContextManager[sa.Connection]:
        """A connection of the pool."""
        return self._gated(super().connect(run_id))


class PooledPostgresEventLogStorage(_Pooled, BatchingEventLog, PostgresEventLogStorage):
    """Stock event log on a pool, with batches."""

    @contextmanager
    def _connect(self) -> Iterator[sa.Connection]:
        with self.collector.reading(), self._gated(super()._connect()) as connection:
            yield connection

    def _write(self, events: Sequence[Collected]) -> None:
        insert = SqlEventLogStorageTable.insert().returning(
            SqlEventLogStorageTable.c.id, sort_by_parameter_order=True
        )
        with self.index_transaction() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ORDER_LOCK)))
            ids = connection.execute(insert, [it.row for it in events]).scalars().all()
            self._write_index(connection, events, ids)

    def dispose(self) -> None:
        """Store what waits and close what is open."""
        self.collector.close()
        super().dispose()


class PooledPostgresStorage(DagsterPostgresStorage):
    """All three storages in one database.

    Args:
        postgres_url: Where it is.
        should_autocreate_tables: Whether missing tables are made.
        inst_data: How `dagster.yaml` names this class.
        token_provider: Makes passwords that expire.
        connections: Connections of this process, at most; whoever needs one more waits.
    """

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
        token_provider: "PgTokenProvider | None" = None,
        connections: int = _MOST_OPEN,
    ) -> None:
        self.postgres_url = postgres_url
        self.should_autocreate_tables = should_autocreate_tables
        self._inst_data = inst_data
        engine = create_pg_engine(
            postgres_url,
            token_provider,
            isolation_level="AUTOCOMMIT",
            **pool_options(connections, kept=_KEPT_OPEN),
            connect_args={"application_name": connection_name("dagster")},
            pool_pre_ping=True,
            pool_recycle=_RECYCLE_SECONDS,
        )
        sa.event.listen(engine, "connect", _speak_utc)
        gate = Gate(connections)
        how = (postgres_url, should_autocreate_tables)
        self._run_storage = PooledPostgresRunStorage(*how, token_provider=token_provider)
        self._event_log_storage = PooledPostgresEventLogStorage(*how, token_provider=token_provider)
        self._schedule_storage = PooledPostgresScheduleStorage(*how, token_provider=token_provider)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage.share(engine, gate)
        # Past the stock initialiser, which would make the stock storages.
        super(DagsterPostgresStorage, self).__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """What `dagster.yaml` may say: what stock takes, and a bound."""
        bound = Field(IntSource, is_required=False, default_value=_MOST_OPEN)
        return {**cast("dict[str, Any]", pg_config()), "connections": bound}

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
            connections=config_value.get("connections", _MOST_OPEN),
        )
