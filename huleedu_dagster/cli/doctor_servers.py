"""What `huleedu doctor` looks at where there are servers: Dagster's database, broker, buckets."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from huleedu_dagster.cli.checks import Check, guarded
from huleedu_dagster.settings import Settings

if TYPE_CHECKING:
    from huleedu_dagster.orchestration.databases import Connections

_NEARLY_ALL = 0.8
"""Part of a server's connections above which the next process may get none."""
_BROKER_SECONDS = 5.0


def examine_servers(settings: Settings, *, up_is_here: bool) -> Iterator[Check]:
    """Look at the servers an installation is given; nothing is changed.

    Args:
        settings: The installation.
        up_is_here: Whether `huleedu up` works on this home, which has its daemon looked at anyway.
    """
    if settings.dagster_database_url:
        database = guarded("Dagster's database", lambda: _dagster(settings))
        yield database
        if database.ok and not up_is_here:
            yield _heartbeat(settings)
    yield from _connections(settings)
    if settings.broker_url:
        yield _broker(settings)
    if settings.inbox_bucket:
        yield guarded("inbox bucket", lambda: _inbox_bucket(settings))


def _dagster(settings: Settings) -> Check:
    from huleedu_dagster.orchestration.databases import (
        DatabaseError,
        check_content,
        dagster_revisions,
    )

    name = "Dagster's database"
    try:
        check_content(settings)
        found, newest = dagster_revisions(settings)
    except DatabaseError as error:
        return Check(name, ok=False, found=str(error))
    if found is None:
        return Check(name, ok=False, found="has no tables; `huleedu set-up` makes them")
    if found != newest:
        text = f"schema revision {found}, this Dagster works with {newest}"
        return Check(name, ok=False, found=f"{text}; `huleedu set-up` brings an older one there")
    return Check(name, ok=True, found=f"schema revision {found}")


def _heartbeat(settings: Settings) -> Check:
    from huleedu_dagster.orchestration.probes import UnhealthyError, daemon

    name = "daemon heartbeat"
    try:
        return Check(name, ok=True, found=daemon(settings))
    except UnhealthyError as error:
        advice = "without a daemon nothing is taken in or released; start it"
        return Check(name, ok=False, found=f"{error}; {advice}")


def _connections(settings: Settings) -> Iterator[Check]:
    from huleedu_dagster.orchestration.databases import DatabaseError, connections

    stores = {
        "connections to the ledger": settings.resolved_ledger_url,
        "connections to Dagster's database": settings.dagster_database_url,
    }
    for name, url in stores.items():
        if not url.startswith("postgresql"):
            continue
        try:
            yield _counted(name, connections(url))
        except DatabaseError as error:
            yield Check(name, ok=False, found=str(error))


def _counted(name: str, found: "Connections") -> Check:
    each = ", ".join(f"{who} {count}" for who, count in sorted(found.here.items()))
    text = f"{each or 'none'}; {found.total} of {found.most} on the server"
    if found.total < _NEARLY_ALL * found.most:
        return Check(name, ok=True, found=text)
    advice = (
        "raise its max_connections, or lower HULEEDU_LEDGER_CONNECTIONS and "
        "HULEEDU_DAGSTER_CONNECTIONS"
    )
    return Check(name, ok=False, found=f"{text}: {advice}")


def _broker(settings: Settings) -> Check:
    name = "broker"
    try:
        from redis import Redis
        from redis.exceptions import RedisError
    except ImportError:
        return Check(name, ok=False, found="no client for it; install `huleedu-dagster[scale]`")
    try:
        with Redis.from_url(settings.broker_url, socket_timeout=_BROKER_SECONDS) as client:
            client.ping()
    except (RedisError, ValueError, OSError) as error:
        # The text of an error may have the URL in it, and a password in that.
        found = f"does not answer ({type(error).__name__}); see HULEEDU_BROKER_URL"
        return Check(name, ok=False, found=found)
    return Check(name, ok=True, found="answers")


def _inbox_bucket(settings: Settings) -> Check:
    from huleedu_dagster.pipeline.inbox_bucket import not_taken_in

    name = "inbox bucket"
    bad = not_taken_in(settings)
    if bad:
        return Check(name, ok=False, found=f"not taken in: {', '.join(bad)}")
    found = f"bucket {settings.inbox_bucket} on {settings.s3_endpoint} can be listed"
    return Check(name, ok=True, found=found)
