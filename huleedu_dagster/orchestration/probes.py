"""Is a part of an installation well: asked often, so without importing Dagster."""

import json
import math
import socket
import time
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from huleedu_dagster.orchestration.graphql import WebServerError, health
from huleedu_dagster.orchestration.locations import LOCATION
from huleedu_dagster.settings import Settings

if TYPE_CHECKING:
    import sqlalchemy as sa

HEARTBEAT_SECONDS = 90
"""Age in seconds at which a heartbeat is too old; Dagster writes one every 30 s."""
WORKING_LOCK = 0x6875_6C67
"""Key of the advisory lock on Dagster's database of `up`, of `run` and of the daemon."""
WATCHED_DAEMONS = ("SENSOR", "SCHEDULER", "BACKFILL", "QUEUED_RUN_COORDINATOR", "MONITORING")
_TIMEOUT_SECONDS = 5.0
_LIST_REPOSITORIES = "/api.DagsterApi/ListRepositories"
_LISTED = b"ListRepositoriesResponse"
_READY = 200
WORKER_NAME = "huleedu"
"""How the names of workers begin, before their process id and host."""
_PING_SECONDS = 2.0


class UnhealthyError(Exception):
    """A part is not well; the message is one sentence."""


def code_server(host: str, port: int) -> str:
    """Ask the code server for its definitions.

    Returns:
        What is well.

    Raises:
        UnhealthyError: It does not answer, or has no definitions.
    """
    import grpc  # type: ignore[import-untyped]

    with grpc.insecure_channel(f"{host}:{port}") as channel:
        # An empty message, and a reply of one string: neither needs Dagster's generated code.
        ask = channel.unary_unary(_LIST_REPOSITORIES)
        try:
            answer = bytes(ask(b"", timeout=_TIMEOUT_SECONDS))
        except grpc.RpcError as error:
            found = f"the code-server does not answer on {host}:{port} ({error.code().name})"
            raise UnhealthyError(found) from error
    if _LISTED not in answer:
        raise UnhealthyError("the code-server answers and has no definitions")
    return "the code-server answers with its definitions"


def web_server(host: str, port: int) -> str:
    """Ask the web server whether the code location is loaded.

    Returns:
        What is well.

    Raises:
        UnhealthyError: It does not answer, or the location is not loaded.
    """
    try:
        found = health(f"http://{host}:{port}", timeout=_TIMEOUT_SECONDS)
    except WebServerError as error:
        raise UnhealthyError(f"{error} on {host}:{port}") from error
    if LOCATION not in found.loaded:
        raise UnhealthyError("the web server answers and has not loaded the definitions")
    return "the web server answers and has loaded the definitions"


def daemon(settings: Settings) -> str:
    """Look for the daemon's heartbeats in Dagster's database.

    Returns:
        What is well.

    Raises:
        UnhealthyError: One is missing, too old, from before the daemon's start or from a time that
            is to come, or the database cannot be asked.
    """
    beats, since = _heartbeats(settings)
    # Those of the daemon that was there before say nothing of this one.
    missing = [it for it in WATCHED_DAEMONS if beats.get(it, -math.inf) < since]
    if missing:
        raise UnhealthyError(f"the daemon has no heartbeat yet ({', '.join(missing)})")
    ages = [time.time() - beats[it] for it in WATCHED_DAEMONS]
    if min(ages) < -HEARTBEAT_SECONDS:
        raise UnhealthyError(
            f"the daemon's last heartbeat is {-min(ages):.0f} s ahead of this clock; set the clocks"
        )
    if max(ages) > HEARTBEAT_SECONDS:
        raise UnhealthyError(f"the daemon's last heartbeat was {max(ages):.0f} s ago")
    return f"the daemon's last heartbeat was {max(*ages, 0):.0f} s ago"


def heartbeat_age(settings: Settings) -> float:
    """Age of the oldest of the heartbeats that are watched, seconds.

    Infinite if one is missing, or so far ahead of this clock that its age cannot be known.

    Raises:
        UnhealthyError: The database cannot be asked.
    """
    beats, _ = _heartbeats(settings)
    ages = [time.time() - beats.get(it, -math.inf) for it in WATCHED_DAEMONS]
    return math.inf if min(ages) < -HEARTBEAT_SECONDS else max(*ages, 0.0)


def intake(host: str, port: int) -> str:
    """Ask the intake whether it can take something in.

    Returns:
        What is well.

    Raises:
        UnhealthyError: It does not answer, or cannot.
    """
    connection = HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    try:
        # By this name, since the intake answers to few.
        connection.request("GET", "/readyz", headers={"Host": f"localhost:{port}"})
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        raise UnhealthyError(f"the intake does not answer on {host}:{port}") from error
    finally:
        connection.close()
    if status != _READY:
        raise UnhealthyError(f"the intake answers with {status}")
    return "the intake is ready"


def worker(settings: Settings) -> str:
    """Ask the workers of this host, over the broker.

    Returns:
        What is well.

    Raises:
        UnhealthyError: None answers, or the broker does not.
    """
    if not settings.broker_url:
        raise UnhealthyError("HULEEDU_BROKER_URL is not set")
    try:
        from celery import Celery
        from kombu.exceptions import KombuError
        from redis.exceptions import RedisError
    except ImportError as error:
        raise UnhealthyError(f"{error.name} is not installed") from error

    # Not the workers' own application, which brings Dagster.
    app = Celery("health", broker=settings.broker_url, set_as_current=False)
    app.conf.broker_transport_options = {"socket_connect_timeout": _TIMEOUT_SECONDS}
    pattern = f"{WORKER_NAME}-*@{socket.gethostname()}"
    try:
        with app:
            inspector = app.control.inspect(timeout=_PING_SECONDS, pattern=pattern, matcher="glob")
            found = inspector.ping() or {}
    except (KombuError, RedisError, OSError) as error:
        raise UnhealthyError("the broker does not answer") from error
    if not found:
        raise UnhealthyError("no worker on this host answers")
    return "the worker answers"


def _heartbeats(settings: Settings) -> tuple[dict[str, float], float]:
    """The last heartbeats, and since when the daemon is there, if that can be known."""
    import sqlalchemy as sa
    from sqlalchemy.exc import SQLAlchemyError

    from huleedu_dagster.ledger.connections import connection_name

    url = settings.dagster_database_url
    options: dict[str, Any] = {"application_name": connection_name("health"), "connect_timeout": 5}
    if not url:
        file = quote(str(settings.dagster_folder / "storage" / "history" / "runs.db"))
        url, options = f"sqlite:///file:{file}?mode=ro&uri=true", {}
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool, connect_args=options)
    try:
        with engine.connect() as connection:
            return heartbeats_on(connection), _working_since(connection)
    except SQLAlchemyError as error:
        raise UnhealthyError("Dagster's database cannot be asked for heartbeats") from error


def heartbeats_on(connection: "sa.Connection") -> dict[str, float]:
    """Last heartbeat of each daemon, in seconds since 1970, in Dagster's database.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: It cannot be asked.
    """
    # Not the column with the time: it is in the time zone of whatever session wrote it.
    rows = connection.exec_driver_sql("SELECT daemon_type, body FROM daemon_heartbeats").all()
    return {str(kind): float(json.loads(body)["timestamp"]) for kind, body in rows}


def _working_since(connection: "sa.Connection") -> float:
    """When whoever runs sensors took the lock, in seconds since 1970; 0 if nobody has it.

    Who has it took it before the first heartbeat. The daemon of Dagster's chart takes none.
    """
    if connection.dialect.name != "postgresql":
        return 0.0
    import sqlalchemy as sa

    query = sa.text(
        "SELECT extract(epoch FROM max(backend_start)) FROM pg_stat_activity JOIN pg_locks "
        "USING (pid) WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND classid = 0 "
        "AND objid = :key "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return float(connection.execute(query, {"key": WORKING_LOCK}).scalar() or 0)
