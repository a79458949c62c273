"""Dagster's database on Postgres: its own, its tables made by one process, and whether it is ready.

Two processes that make Dagster's tables at once leave them with two schema versions; the ledger and
Dagster both keep their version in a table of the same name. So the tables are made under a lock,
and never in a database that holds others.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from huleedu_dagster.ledger.connections import connection_name
from huleedu_dagster.settings import Settings

if TYPE_CHECKING:
    from alembic.config import Config
    from dagster import DagsterInstance

# fmt: off
DAGSTER_TABLES = frozenset({
    "asset_check_executions", "asset_daemon_asset_evaluations", "asset_event_tags", "asset_keys",
    "backfill_tags", "bulk_actions", "concurrency_limits", "concurrency_slots",
    "daemon_heartbeats", "dynamic_partitions", "event_logs", "instance_info", "instigators",
    "job_ticks", "jobs", "kvs", "pending_steps", "run_tags", "runs", "secondary_indexes",
    "snapshots",
})
# fmt: on
"""The tables of Dagster's three storages: by name, since to ask Dagster is to import it."""
LEDGER_TABLES = frozenset({"batches", "stage_outcomes", "outbox"})
_VERSION_TABLE = "alembic_version"
_MAKING_LOCK = 0x6875_6C66
"""Key of the advisory lock of the one process that makes Dagster's tables."""
_CONNECT_SECONDS = 10
_BE_IDLE = (
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'"
)
_APART = (
    "give Dagster a database of its own (`CREATE DATABASE dagster;`) and name it in "
    "HULEEDU_DAGSTER_DATABASE_URL"
)


class DatabaseError(Exception):
    """A database cannot be used as it is; the message is one sentence for an operator."""


class UnreachableError(DatabaseError):
    """A database does not answer, or lets nobody in."""


class SharedDatabaseError(DatabaseError):
    """Dagster's tables and others would share a database."""


class NotSetUpError(DatabaseError):
    """The tables are not there yet, or of another version."""


def check_names(settings: Settings) -> None:
    """Look whether ledger and Dagster are given the same database, without asking a server.

    Raises:
        SharedDatabaseError: They are.
        DatabaseError: A URL cannot be understood.
    """
    ledger = _place(settings.resolved_ledger_url, "HULEEDU_LEDGER_URL")
    if not settings.dagster_database_url:
        return
    dagster = _place(settings.dagster_database_url, "HULEEDU_DAGSTER_DATABASE_URL")
    if dagster[0] != "postgresql":
        raise DatabaseError("HULEEDU_DAGSTER_DATABASE_URL names no Postgres database")
    if ledger == dagster:
        raise SharedDatabaseError(f"the ledger and Dagster are given the same database; {_APART}")


def check_content(settings: Settings) -> None:
    """Look into the databases whether one holds the other's tables.

    Raises:
        SharedDatabaseError: One does.
        UnreachableError: One cannot be reached.
    """
    check_names(settings)
    if not settings.dagster_database_url:
        return
    with connected(settings.dagster_database_url, "Dagster's database") as connection:
        _refuse_others(_tables(connection))
        ours = _identity(connection)
    if sa.make_url(settings.resolved_ledger_url).get_backend_name() != "postgresql":
        return
    with connected(settings.resolved_ledger_url, "the ledger's database") as connection:
        # Under another name it may still be the same one.
        if _identity(connection) == ours or _tables(connection) & DAGSTER_TABLES:
            raise SharedDatabaseError(f"the ledger's database is Dagster's; {_APART}")


def make_tables(settings: Settings, make: Callable[[], "DagsterInstance"]) -> bool:
    """Make Dagster's tables where one is missing; one process at a time.

    Args:
        settings: The installation.
        make: Opens an instance on them; its storages make nothing.

    Returns:
        Whether something was missing.

    Raises:
        SharedDatabaseError: The database holds other tables.
        DatabaseError: It cannot be reached.
    """
    check_names(settings)
    with connected(settings.dagster_database_url, "Dagster's database") as connection:
        if _are_there(connection):
            return False
        check_content(settings)
        _take_lock(connection)
        if _are_there(connection):
            return False
        _make(connection, make)
        return True


def _make(connection: sa.Connection, make: Callable[[], "DagsterInstance"]) -> None:
    """Make what is missing, whatever is there already.

    Dagster itself looks at one table of each storage, and makes none of the others if it is there.
    """
    from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
    from dagster._core.storage.runs.schema import RunStorageSqlMetadata
    from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata
    from dagster._core.storage.sql import stamp_alembic_rev

    storages = (RunStorageSqlMetadata, SqlEventLogStorageMetadata, ScheduleStorageSqlMetadata)
    for tables in storages:
        tables.create_all(connection)
    stamped = _is_stamped(connection)
    instance = make()
    try:
        if stamped:
            # Maybe an older Dagster's, whose other tables lack columns.
            instance.upgrade()
        # As Dagster does it after making tables: what is new needs no migration of its rows.
        instance.run_storage.migrate()
        instance.run_storage.optimize()
        instance.event_log_storage.reindex_events()
        instance.event_log_storage.reindex_assets()
        if instance.schedule_storage:
            instance.schedule_storage.migrate()
            instance.schedule_storage.optimize()
    finally:
        instance.dispose()
    # At last: whoever is killed before leaves them incomplete for all who look.
    if not stamped:
        stamp_alembic_rev(_alembic(), connection)


@contextmanager
def making(settings: Settings) -> Iterator[None]:
    """Be the only process that makes or migrates Dagster's tables on Postgres, in the block.

    Raises:
        DatabaseError: The database cannot be reached.
    """
    if not settings.dagster_database_url:
        yield
        return
    with connected(settings.dagster_database_url, "Dagster's database") as connection:
        _take_lock(connection)
        yield


def _take_lock(connection: sa.Connection) -> None:
    """Wait for those who make or migrate tables; the lock ends with the connection."""
    let_be_idle(connection)
    connection.execute(sa.select(sa.func.pg_advisory_lock(_MAKING_LOCK)))


def check_ready(settings: Settings) -> None:
    """Look whether the databases are as `huleedu set-up` leaves them.

    Raises:
        NotSetUpError: They are not.
        SharedDatabaseError: Dagster's database holds the ledger's tables.
        DatabaseError: One cannot be reached.
    """
    from huleedu_dagster.ledger.ledger import Ledger
    from huleedu_dagster.ledger.migrations.runner import HEAD

    check_names(settings)
    ledger = Ledger.of(settings)
    try:
        revision = ledger.schema_revision() if _exists(settings) else None
    except SQLAlchemyError as error:
        raise unusable("the ledger", error) from error
    finally:
        ledger.close()
    if revision != HEAD:
        found = f"the ledger is at revision {revision or 'none'}, this program works with {HEAD}"
        raise NotSetUpError(f"{found}; run `huleedu set-up` first")
    if not has_dagster_tables(settings):
        raise NotSetUpError("Dagster's tables are not there; run `huleedu set-up` first")


def has_dagster_tables(settings: Settings) -> bool:
    """Whether Dagster's tables are there, all of them.

    Raises:
        SharedDatabaseError: The database holds the ledger's tables.
        DatabaseError: It cannot be reached.
    """
    if not settings.dagster_database_url:
        return (settings.dagster_folder / "storage" / "history" / "runs.db").exists()
    with connected(settings.dagster_database_url, "Dagster's database") as connection:
        return _are_there(connection)


def dagster_revisions(settings: Settings) -> tuple[str | None, str | None]:
    """The revision of Dagster's tables, `None` without tables, and the newest one.

    Raises:
        DatabaseError: The database cannot be reached.
    """
    from dagster._core.storage.sql import check_alembic_revision

    with connected(settings.dagster_database_url, "Dagster's database") as connection:
        if not _are_there(connection):
            return None, None
        found, newest = check_alembic_revision(_alembic(), connection)
    return found, str(newest)


def _alembic() -> "Config":
    from dagster_postgres import run_storage
    from dagster_postgres.utils import pg_alembic_config

    return pg_alembic_config(str(run_storage.__file__))


@dataclass(frozen=True, slots=True)
class Connections:
    """Connections to a Postgres server.

    Attributes:
        here: Those to the database that was asked, by the name each was opened under.
        total: Those to all its databases.
        most: How many it takes.
    """

    here: dict[str, int]
    total: int
    most: int


def connections(url: str) -> Connections:
    """Count the connections to a database, but for the one that asks.

    Raises:
        DatabaseError: It cannot be reached.
    """
    query = (
        "SELECT datname = current_database(), application_name, count(*) FROM pg_stat_activity "
        "WHERE datname IS NOT NULL AND pid <> pg_backend_pid() GROUP BY 1, 2"
    )
    with connected(url, "the database") as connection:
        rows = connection.exec_driver_sql(query).all()
        most = int(connection.exec_driver_sql("SHOW max_connections").scalar_one())
    here = {str(name or "others"): int(count) for ours, name, count in rows if ours}
    return Connections(here, sum(int(count) for *_, count in rows), most)


def _are_there(connection: sa.Connection) -> bool:
    found = _tables(connection)
    _refuse_others(found)
    return found >= DAGSTER_TABLES and _is_stamped(connection)


def _is_stamped(connection: sa.Connection) -> bool:
    """Whether the tables have a version."""
    if _VERSION_TABLE not in _tables(connection):
        return False
    query = f"SELECT count(*) FROM {_VERSION_TABLE}"  # noqa: S608 - a name of our own
    return bool(connection.exec_driver_sql(query).scalar_one())


def _refuse_others(found: frozenset[str]) -> None:
    if found & LEDGER_TABLES:
        raise SharedDatabaseError(f"Dagster's database holds a ledger; {_APART}")
    if _VERSION_TABLE in found and not found & DAGSTER_TABLES:
        raise SharedDatabaseError(f"Dagster's database holds another program's tables; {_APART}")


def _tables(connection: sa.Connection) -> frozenset[str]:
    return frozenset(sa.inspect(connection).get_table_names())


def _identity(connection: sa.Connection) -> tuple[object, ...]:
    """The server, by the moment it started, and the database."""
    query = (
        "SELECT pg_postmaster_start_time(), oid FROM pg_database WHERE datname = current_database()"
    )
    return tuple(connection.exec_driver_sql(query).one())


def _exists(settings: Settings) -> bool:
    url = sa.make_url(settings.resolved_ledger_url)
    if url.get_backend_name() != "sqlite" or not url.database:
        return True
    from pathlib import Path

    return Path(url.database).exists()


def _place(text: str, setting: str) -> tuple[object, ...]:
    """What a URL names, without how one gets in."""
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        # The text of the error is the URL, or what is taken for its port: with the password.
        raise DatabaseError(f"{setting} is not a URL of a database") from None
    if url.get_backend_name() != "postgresql":
        return (url.get_backend_name(), url.database)
    host = url.host or url.query.get("host") or ""
    port = str(url.port or url.query.get("port") or 5432)
    return ("postgresql", host, port, url.database or url.username)


@contextmanager
def connected(url: str, what: str) -> Iterator[sa.Connection]:
    """A connection of its own to a Postgres database, each statement a transaction.

    Args:
        url: Where it is.
        what: What it is, for people.

    Raises:
        UnreachableError: It cannot be reached.
        DatabaseError: A statement of the block fails.
    """
    engine = single_connection(url)
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise unusable(what, error) from error


def single_connection(url: str, purpose: str = "set-up") -> sa.Engine:
    """An engine that pools nothing, each statement a transaction.

    Args:
        url: Where the database is.
        purpose: What the server is told that its connections are for.
    """
    return sa.create_engine(
        url,
        poolclass=sa.pool.NullPool,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
        connect_args={
            "application_name": connection_name(purpose),
            "connect_timeout": _CONNECT_SECONDS,
        },
    )


def let_be_idle(connection: sa.Connection) -> None:
    """Have the server keep a session that asks nothing for long, and what is locked in it.

    Servers can be told to end such sessions; old ones cannot.
    """
    connection.exec_driver_sql(_BE_IDLE)


def is_of_dagster(error: Exception) -> bool:
    """Whether Dagster gave its database up, which it does after some tries."""
    # By name: to import the class is to import Dagster.
    kinds = {(it.__module__, it.__name__) for it in type(error).__mro__}
    return ("dagster_postgres.utils", "DagsterPostgresException") in kinds


def explained(error: Exception) -> str:
    """What went wrong, in the words of the database's server if they are its: no password."""
    reason = getattr(error, "orig", None) if isinstance(error, SQLAlchemyError) else error
    return str(reason or type(error).__name__).strip().partition("\n")[0]


def unusable(what: str, error: SQLAlchemyError) -> DatabaseError:
    """What to raise for an error of a database's driver, as one sentence."""
    kind = UnreachableError if isinstance(error, OperationalError) else DatabaseError
    return kind(f"{what} cannot be used: {explained(error)}")
