"""One at a time on Dagster's Postgres database: whoever runs sensors, on whichever machine.

A lock in the home folder knows of one machine. A second daemon launches runs twice, and whoever
takes an installation over fails the runs it finds unfinished.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from huleedu_dagster.ledger.connections import connection_name
from huleedu_dagster.orchestration.databases import let_be_idle, single_connection, unusable
from huleedu_dagster.orchestration.probes import HEARTBEAT_SECONDS, WORKING_LOCK, heartbeats_on
from huleedu_dagster.settings import Settings

DAEMON = "daemon"
# Of a machine without power the server would believe for two hours that it has the lock.
_NOTICE_THE_END = (
    "SELECT set_config('tcp_keepalives_idle', '30', false), "
    "set_config('tcp_keepalives_interval', '10', false), "
    "set_config('tcp_keepalives_count', '3', false)"
)


@contextmanager
def alone(settings: Settings, *, kept: bool = False) -> Iterator[str | None]:
    """Be the only one that runs sensors on Dagster's database, until the block ends.

    Gives who is it already, for people, or `None`. The lock is the server's: it ends with this
    process. Without a Postgres database the lock of the home folder is enough.

    Args:
        settings: The installation.
        kept: Whether a program that this process becomes in the block has the lock, too.

    Raises:
        DatabaseError: The database cannot be reached.
    """
    if not settings.dagster_database_url:
        yield None
        return
    engine = single_connection(settings.dagster_database_url, "lock")
    try:
        connection = engine.connect()
        connection.exec_driver_sql(_NOTICE_THE_END)
        let_be_idle(connection)
        other = _other(connection)
    except SQLAlchemyError as error:
        raise unusable("Dagster's database", error) from error
    if kept:
        # Nobody will use the connection again; that it is open holds the lock.
        driver: Any = connection.connection.driver_connection
        os.set_inheritable(driver.fileno(), True)
    # What is raised in the block is none of this database's errors.
    try:
        yield other
    finally:
        connection.close()


def _other(connection: sa.Connection) -> str | None:
    if not connection.execute(sa.select(sa.func.pg_try_advisory_lock(WORKING_LOCK))).scalar():
        return "`huleedu up`, `huleedu run` or a daemon, maybe of another machine,"
    return "a daemon, maybe of another machine," if _has_daemon(connection) else None


def _has_daemon(connection: sa.Connection) -> bool:
    """Whether a daemon is connected and alive; the server may not know yet that one is gone."""
    query = sa.text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = :name"
    )
    name = connection_name("dagster", DAEMON)
    if connection.execute(query, {"name": name}).scalar_one() == 0:
        return False
    beats = heartbeats_on(connection).values()
    return bool(beats) and time.time() - max(beats) < HEARTBEAT_SECONDS
