"""Runs the migrations; Alembic is imported only when there is something to do."""

from pathlib import Path

import sqlalchemy as sa

HEAD = "0005"
"""The newest revision; a test holds it equal to what Alembic finds."""


class UnknownRevisionError(Exception):
    """A database is at a revision that this program does not know; the message is a sentence."""


def current_revision(engine: sa.Engine) -> str | None:
    """The revision a database is at, `None` when it was never migrated."""
    if not sa.inspect(engine).has_table("alembic_version"):
        return None
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return None if found is None else str(found)


def upgrade(engine: sa.Engine, revision: str = "head") -> None:
    """Bring a database up to a revision; harmless when it is there.

    Two processes may do this at once: the write lock lets one wait for the other.

    Raises:
        UnknownRevisionError: It is at a revision of a newer version, or of another program.
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
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, revision)
            except CommandError:
                raise UnknownRevisionError(
                    "the ledger's database is not this program's: it is Dagster's, or that of a "
                    "newer huleedu_dagster; see HULEEDU_LEDGER_URL"
                ) from None
