"""Is a part of an installation well: asked often, so without importing Dagster."""

import json
import math
import socket
import time
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any

from huleedu_dagster.orchestration.graphql import WebServerError, health
from huleedu_dagster.orchestration.locations import LOCATION
from huleedu_dagster.settings import Settings

if TYPE_CHECKING:
    import sqlalchemy as sa

HEARTBEAT_SECONDS = 90
"""Age in seconds at which a heartbeat is too old; Dagster writes one every 30 s."""
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
        UnhealthyError: One is too old or missing, or the database cannot be asked.
    """
    beats = _heartbeats(settings)
    missing = [it for it in WATCHED_DAEMONS if it not in beats]
    if missing:
        raise UnhealthyError(f"the daemon has no heartbeat yet ({', '.join(missing)})")
    age = time.time() - min(beats[it] for it in WATCHED_DAEMONS)
    if age > HEARTBEAT_SECONDS:
        raise UnhealthyError(f"the daemon's last heartbeat was {age:.0f} s ago")
    return f"the daemon's last heartbeat was {max(age, 0):.0f} s ago"


def heartbeat_age(settings: Settings) -> float:
    """Age of the oldest of the heartbeats that are watched, seconds; infinite if one is missing.

    Raises:
        UnhealthyError: The database cannot be asked.
    """
    beats = _heartbeats(settings)
    oldest = min(beats.get(it, -math.inf) for it in WATCHED_DAEMONS)
    return max(time.time() - oldest, 0.0)


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


def _heartbeats(settings: Settings) -> dict[str, float]:
    import sqlalchemy as sa
    from sqlalchemy.exc import SQLAlchemyError

    from huleedu_dagster.ledger.connections import connection_name

    url = settings.dagster_database_url
    options: dict[str, Any] = {"application_name": connection_name("health"), "connect_timeout": 5}
    if not url:
        file = settings.dagster_folder / "storage" / "history" / "runs.db"
        url, options = f"sqlite:///file:{file}?mode=ro&uri=true", {}
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool, connect_args=options)
    try:
        with engine.connect() as connection:
            return heartbeats_on(connection)
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
