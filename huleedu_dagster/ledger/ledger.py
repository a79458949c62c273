"""The ledger: one database with the facts about batches, in transactions.

`Ledger.write()` opens a transaction in which everything asked of the yielded `Transaction` happens
together or not at all; `Ledger.read()` gives a consistent view.
"""

import copy
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from huleedu_dagster.domain.actions import SYSTEM, Actor
from huleedu_dagster.domain.clock import Clock, utc_now
from huleedu_dagster.ledger.actions import ActionRows
from huleedu_dagster.ledger.audit import AuditRows
from huleedu_dagster.ledger.batches import BatchRows
from huleedu_dagster.ledger.connections import connection_name, pool_options
from huleedu_dagster.ledger.essays import EssayRows
from huleedu_dagster.ledger.failures import FailureRows
from huleedu_dagster.ledger.idempotency import IdempotencyRows
from huleedu_dagster.ledger.inbox import InboxRows
from huleedu_dagster.ledger.metrics import MetricRows
from huleedu_dagster.ledger.outbox import OutboxRows
from huleedu_dagster.ledger.outcomes import OutcomeRows
from huleedu_dagster.ledger.progress import ProgressRows
from huleedu_dagster.ledger.relays import RelayRows
from huleedu_dagster.ledger.results import ResultRows
from huleedu_dagster.ledger.tokens import TokenRows
from huleedu_dagster.ledger.traces import TraceRows
from huleedu_dagster.settings import Settings

_BUSY_TIMEOUT_MS = 30_000
_CONNECTIONS = 10
_KEPT_OPEN = 5


class Transaction:
    """The ledger inside one transaction.

    Attributes:
        now: The same for all that happens in it.
        actor: Who does what happens in it.
        correlation_id: Of the request in which they do, if it is one.
    """

    def __init__(
        self,
        connection: sa.Connection,
        now: datetime,
        actor: Actor = SYSTEM,
        correlation_id: str | None = None,
    ) -> None:
        self.connection = connection
        self.now = now
        self.actor = actor
        self.correlation_id = correlation_id

    @cached_property
    def batches(self) -> BatchRows:
        """Registered batches."""
        return BatchRows(self.connection, self.now)

    @cached_property
    def essays(self) -> EssayRows:
        """Uploads, slots and versions."""
        return EssayRows(self.connection, self.now)

    @cached_property
    def outcomes(self) -> OutcomeRows:
        """What each stage made of each essay."""
        return OutcomeRows(self.connection, self.now)

    @cached_property
    def outbox(self) -> OutboxRows:
        """Events."""
        return OutboxRows(self.connection, self.now)

    @cached_property
    def failures(self) -> FailureRows:
        """Attempts and dead letters."""
        return FailureRows(self.connection, self.now)

    @cached_property
    def results(self) -> ResultRows:
        """Waivers, manifests, reports and releases."""
        return ResultRows(self.connection, self.now)

    @cached_property
    def inbox(self) -> InboxRows:
        """Files of the inbox folder that were seen."""
        return InboxRows(self.connection, self.now)

    @cached_property
    def audit(self) -> AuditRows:
        """Totals of a day."""
        return AuditRows(self.connection, self.now)

    @cached_property
    def tokens(self) -> TokenRows:
        """API tokens."""
        return TokenRows(self.connection, self.now)

    @cached_property
    def idempotency(self) -> IdempotencyRows:
        """Idempotency keys and the first answers under them."""
        return IdempotencyRows(self.connection, self.now)

    @cached_property
    def relays(self) -> RelayRows:
        """How far relays have come in the outbox."""
        return RelayRows(self.connection, self.now)

    @cached_property
    def progress(self) -> ProgressRows:
        """Whether a batch changed, told cheaply."""
        return ProgressRows(self.connection, self.now)

    @cached_property
    def metrics(self) -> MetricRows:
        """What metrics are told from."""
        return MetricRows(self.connection, self.now)

    @cached_property
    def traces(self) -> TraceRows:
        """What one request led to."""
        return TraceRows(self.connection, self.now)

    @cached_property
    def actions(self) -> ActionRows:
        """Who did what."""
        return ActionRows(self.connection, self.now, self.actor, self.correlation_id)


class Ledger:
    """The ledger of one installation.

    Args:
        url: SQLAlchemy URL of SQLite or Postgres.
        clock: Where the time comes from.
        connections: Connections to a Postgres server, at most; whoever needs one more waits.
    """

    def __init__(
        self, url: str, *, clock: Clock = utc_now, connections: int = _CONNECTIONS
    ) -> None:
        self.url = url
        self._clock = clock
        self._actor = SYSTEM
        self._correlation_id: str | None = None
        self._engine = _create_engine(url, connections)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The ledger of an installation; nothing is asked of it yet."""
        return cls(settings.resolved_ledger_url, connections=settings.ledger_connections)

    def acting(self, actor: Actor, correlation_id: str | None = None) -> Self:
        """The same ledger, with the same connections, for somebody who acts; else the system does.

        Args:
            actor: Who acts; it travels with the ledger, so that no rule has to hand it on.
            correlation_id: Of the request in which they do, if it is one.
        """
        acting = copy.copy(self)
        acting._actor = actor
        acting._correlation_id = correlation_id
        return acting

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction that commits when the block ends and rolls back when it raises.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The database cannot be reached or refuses.
        """
        with self._engine.connect() as raw:
            connection = raw.execution_options(huleedu_write=True)
            with connection.begin():
                transaction = self._transaction(connection)
                yield transaction
                transaction.outbox.write()
                transaction.metrics.write()
            if "actions" in vars(transaction):
                transaction.actions.log()

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A consistent view; nothing it is asked to write is kept.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The database cannot be reached.
        """
        with self._engine.connect() as raw:
            connection = raw.execution_options(**self._read_options())
            with connection.begin() as transaction:
                yield self._transaction(connection)
                transaction.rollback()

    def _transaction(self, connection: sa.Connection) -> Transaction:
        return Transaction(connection, self._clock(), self._actor, self._correlation_id)

    def _read_options(self) -> dict[str, Any]:
        # SQLite sees one state per transaction by itself; Postgres has to be asked.
        postgres = self._engine.dialect.name == "postgresql"
        isolation = {"isolation_level": "REPEATABLE READ"} if postgres else {}
        return {"huleedu_write": False, **isolation}

    def migrate(self) -> None:
        """Bring the schema up to date; harmless when it is.

        Raises:
            UnknownRevisionError: The database is another program's, or of a newer version.
            sqlalchemy.exc.SQLAlchemyError: The database cannot be reached or refuses.
        """
        from huleedu_dagster.ledger.migrations.runner import upgrade

        database = sa.make_url(self.url)
        if database.get_backend_name() == "sqlite" and database.database:
            # For nobody else's eyes, as the home folder is, and often it is that.
            Path(database.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        upgrade(self._engine)

    def schema_revision(self) -> str | None:
        """The revision the schema is at, `None` before the first migration."""
        from huleedu_dagster.ledger.migrations.runner import current_revision

        return current_revision(self._engine)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()


def _create_engine(url: str, connections: int) -> sa.Engine:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        engine = sa.create_engine(
            parsed,
            pool_pre_ping=True,
            **pool_options(connections, kept=_KEPT_OPEN),
            connect_args={"application_name": connection_name("ledger")},
            hide_parameters=True,
        )
        sa.event.listen(engine, "connect", _configure_postgres)
        return engine
    # Parameters are file names and word lists; an error's text ends in Dagster's ticks.
    engine = sa.create_engine(parsed, hide_parameters=True)
    sa.event.listen(engine, "connect", _configure_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_postgres(connection: object, _record: object) -> None:
    # As patient as with SQLite: a lock that a stuck process holds is an error, not a standstill.
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute(f"SET lock_timeout = {_BUSY_TIMEOUT_MS}")
    cursor.close()
    connection.commit()  # type: ignore[attr-defined]


def _configure_sqlite(connection: object, _record: object) -> None:
    # The driver's own transaction handling begins late and never IMMEDIATE: two writers that
    # both read first would then deadlock instead of waiting.
    connection.isolation_level = None  # type: ignore[attr-defined]
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    _use_wal(cursor)
    # A receipt promises durability, so every commit reaches the disk.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _use_wal(cursor: sqlite3.Cursor) -> None:
    # Changing the mode of a new file does not wait for the busy timeout.
    end = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get("huleedu_write", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
