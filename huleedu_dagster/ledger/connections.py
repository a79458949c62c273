"""How many connections a process holds to a Postgres server, and under which name."""

import os
from typing import Any

_MAX_NAME = 63
"""Postgres cuts longer names off, with a notice."""


def connection_name(store: str, part: str | None = None) -> str:
    """The `application_name` of a connection: what it is for, and of which part of the system.

    Args:
        store: `ledger` or `dagster`.
        part: The part; this process's own if `None`.
    """
    if part is None:
        # The variable is libpq's own; `up` and `serve` set it.
        part = os.environ.get("PGAPPNAME", "")
    return f"huleedu {store} {part}".strip()[:_MAX_NAME]


def pool_options(connections: int, *, kept: int) -> dict[str, Any]:
    """Options of an engine with an upper bound; whoever needs one more connection waits.

    Args:
        connections: Connections at the same time, at most.
        kept: Connections that stay open when they are not used, at most.
    """
    kept = min(connections, kept)
    return {"pool_size": kept, "max_overflow": connections - kept}
