"""Ledgers for tests, and what they hold."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from huleedu_dagster.domain.actions import Action
from huleedu_dagster.domain.clock import Clock, utc_now
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.ledger.metrics import Duplicate, Metric
from huleedu_dagster.ledger.tables import metadata
from tests.support.postgres import postgres_database

DATABASES = ("postgres", "sqlite")
"""Every database that a ledger may be in."""

Rows = dict[str, list[dict[str, Any]]]


@cache
def _empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        ledger = Ledger(f"sqlite:///{path}")
        ledger.migrate()
        ledger.close()
        return path.read_bytes()


def new_ledger(path: Path, *, clock: Clock = utc_now) -> Ledger:
    """A migrated SQLite ledger at `path`; the schema is copied, which is quicker."""
    path.write_bytes(_empty_database())
    return Ledger(f"sqlite:///{path}", clock=clock)


@contextmanager
def database(kind: str, folder: Path, *, migrated: bool = True) -> Iterator[str]:
    """The URL of a database of its own until the block ends.

    Args:
        kind: One of `DATABASES`.
        folder: Where SQLite's file is put.
        migrated: Whether it has the ledger's tables already.
    """
    if kind == "postgres":
        with postgres_database(migrated=migrated) as url:
            yield url
        return
    path = folder / "ledger.db"
    if migrated:
        path.write_bytes(_empty_database())
    yield f"sqlite:///{path}"


def all_rows(ledger: Ledger) -> Rows:
    """Every row of every table, by table."""
    with ledger.read() as tx:
        return {
            name: [
                dict(row)
                for row in tx.connection.execute(
                    sa.select(table).order_by(*table.primary_key.columns)
                ).mappings()
            ]
            for name, table in metadata.tables.items()
        }


def facts(ledger: Ledger) -> Rows:
    """Every row but those that tell that something came again as it is.

    What is handed in again changes none of these; that it was handed in again is told by one row of
    the journal and one sum alone.
    """
    found = all_rows(ledger)
    found["actions"] = [it for it in found["actions"] if it["action"] != Action.UNCHANGED]
    sums = found["metric_sums"]
    found["metric_sums"] = [it for it in sums if it["metric"] != Metric.SUPPRESSED]
    return found


def deeds(ledger: Ledger, batch_id: str | None = None) -> list[tuple[str, str, int]]:
    """Who did what, to how many, of one batch or of all, the first first."""
    return [
        (f"{it['actor_kind']}:{it['actor_id']}", it["action"], it["amount"])
        for it in all_rows(ledger)["actions"]
        if batch_id in (None, it["batch_id"])
    ]


def suppressed(ledger: Ledger, kind: Duplicate = Duplicate.FILE) -> float:
    """How many files, or requests, came again as they are, as metrics tell."""
    with ledger.read() as tx:
        found = [it for it in tx.metrics.sums() if it.metric is Metric.SUPPRESSED]
    return sum(it.total for it in found if it.label == kind)


def row_counts(ledger: Ledger) -> dict[str, int]:
    """Number of rows of every table."""
    return {name: len(rows) for name, rows in all_rows(ledger).items()}


def events(ledger: Ledger, name: str = "", batch_id: str | None = None) -> list[dict[str, Any]]:
    """Payloads of the recorded events whose type holds `name`, the first first."""
    with ledger.read() as tx:
        found = [envelope for _, envelope in tx.outbox.envelopes(batch_id)]
    return [envelope["data"] for envelope in found if name in envelope["event_type"]]


def event_types(ledger: Ledger) -> list[str]:
    """Types of the recorded events, the first first."""
    with ledger.read() as tx:
        return [envelope["event_type"] for _, envelope in tx.outbox.envelopes()]


def from_ledger(ledger: Ledger, question: Callable[[Any], Any]) -> Any:
    """What `question` finds in a read transaction."""
    with ledger.read() as tx:
        return question(tx)
