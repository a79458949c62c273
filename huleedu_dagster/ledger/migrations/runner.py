"""Runs the migrations; Alembic is imported only when there is something to do."""

import time
from pathlib import Path

import sqlalchemy as sa

from huleedu_dagster.ledger.tables import metadata

_LOCK_MS = 300
"""Less than the second after which Postgres looks for a deadlock and ends somebody's work."""
_LOCK_SECONDS = 30.0
_PAUSE_SECONDS = 0.1
_LOCK_NOT_AVAILABLE = "55P03"

HEAD = "0007"
"""The newest revision; a test holds it equal to what Alembic finds."""


class UnknownRevisionError(Exception):
    """A database is at a revision that this program does not know; the message is a sentence."""


class TablesInUseError(Exception):
    """Others hold the tables all the time; the message is a sentence."""


def current_revision(engine: sa.Engine) -> str | None:
    """The revision a database is at, `None` when it was never migrated."""
    if not sa.inspect(engine).has_table("alembic_version"):
        return None
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return None if found is None else str(found)


def upgrade(engine: sa.Engine, revision: str = "head") -> None:
    """Bring a database up to a revision; harmless when it is there.

    Two processes may do this at once: the write lock lets one wait for the other. Others may be at
    work meanwhile: they wait, and what they hold is waited for.

    Raises:
        UnknownRevisionError: It is at a revision of a newer version, or of another program.
        TablesInUseError: Others held its tables for half a minute; nothing was changed.
        sqlalchemy.exc.SQLAlchemyError: The database cannot be reached or refuses.
    """
    if revision in ("head", HEAD) and current_revision(engine) == HEAD:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    with engine.connect() as raw:
        connection = raw.execution_options(huleedu_write=True)
        with connection.begin():
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7225193)")
                _lock_tables(connection)
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, revision)
            except CommandError:
                raise UnknownRevisionError(
                    "the ledger's database is not this program's: it is Dagster's, or that of a "
                    "newer huleedu_dagster; see HULEEDU_LEDGER_URL"
                ) from None


def _lock_tables(connection: sa.Connection) -> None:
    """Have all tables for oneself before one is changed.

    Whoever is at work may hold one of them and want another. Tried for a moment at a time, so that
    it is the migration that gives way.
    """
    there = sorted(set(sa.inspect(connection).get_table_names()) & set(metadata.tables))
    until = time.monotonic() + _LOCK_SECONDS
    while there:
        try:
            with connection.begin_nested():
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_LOCK_MS}")
                connection.exec_driver_sql(f"LOCK TABLE {', '.join(there)}")
            return
        except sa.exc.OperationalError as error:
            if getattr(error.orig, "pgcode", None) != _LOCK_NOT_AVAILABLE:
                raise
            if time.monotonic() > until:
                raise TablesInUseError(
                    "the ledger's tables are in use all the time and cannot be migrated; end what "
                    "works on it (`huleedu doctor` counts the connections) and try again"
                ) from None
            time.sleep(_PAUSE_SECONDS)
