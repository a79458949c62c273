"""Sums that metrics are told from, those of what is there already, and outcomes of essays."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# As they were in this revision; later ones may differ.
STAGE_MS = (5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000)
COMPLETION_MS = tuple(
    it * 1_000
    for it in (10, 30, 60, 300, 900, 3_600, 14_400, 43_200, 86_400, 259_200, 604_800, 1_209_600)
)
TIMED_OUT = "huleedu.batch.readiness.timed_out.v1"

Key = tuple[str, str, int]


def upgrade() -> None:

    op.create_table(
        "metric_sums",
        sa.Column("metric", sa.String(length=32), nullable=False),
        sa.Column("label", sa.String(length=32), nullable=False),
        sa.Column("bound_ms", sa.BigInteger(), nullable=False),
        sa.Column("observations", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("metric", "label", "bound_ms", name=op.f("pk_metric_sums")),
    )
    op.add_column("essays", sa.Column("outcome", sa.String(length=16), nullable=True))
    op.create_index(
        "ix_batches_timed_out",
        "batches",
        ["batch_id"],
        unique=False,
        sqlite_where=sa.text("closed_by IN ('deadline', 'timeout')"),
        postgresql_where=sa.text("closed_by IN ('deadline', 'timeout')"),
    )
    _fill_outcomes()
    op.create_index(
        op.f("ix_essays_outcome_pending"), "essays", ["outcome", "pending"], unique=False
    )
    _fill_sums()


def _fill_outcomes() -> None:
    current = (
        "SELECT 1 FROM current_outcomes c JOIN stage_outcomes s ON s.outcome_id = c.outcome_id "
        "WHERE c.batch_id = essays.batch_id AND c.slot = essays.slot "
        "AND s.upload_id = essays.upload_id"
    )
    op.execute(
        f"UPDATE essays SET outcome = CASE WHEN EXISTS ({current} AND s.outcome <> 'accepted') "
        "THEN 'rejected' ELSE 'accepted' END WHERE NOT pending "
        f"AND EXISTS ({current} AND c.stage = 'spellcheck_result')"
    )


def _fill_sums() -> None:
    numbers: Counter[Key] = Counter()
    totals: defaultdict[Key, float] = defaultdict(float)

    def add(key: Key, number: int, total: float) -> None:
        numbers[key] += number
        totals[key] += total

    connection = op.get_bind()
    for stage, ms, number in connection.execute(
        sa.text(
            "SELECT stage, duration_ms, count(*) FROM stage_outcomes "
        "WHERE outcome <> 'not_reached' GROUP BY stage, duration_ms"
        )
    ):
        add(("stage_duration", stage, _bound(STAGE_MS, ms)), number, number * ms / 1000)
    for code, number in connection.execute(
        sa.text(
            "SELECT code, count(*) FROM stage_outcomes "
            "WHERE outcome = 'rejected' AND code IS NOT NULL GROUP BY code"
        )
    ):
        add(("rejected", code, 0), number, number)
    for status, number, size in connection.execute(
        sa.text("SELECT status, count(*), sum(size) FROM uploads GROUP BY status")
    ):
        add(("received", status, 0), number, number)
        add(("stored_bytes", "", 0), number, float(size))
    for label, begun, ended in _ends(connection):
        ms = max((ended - begun).total_seconds() * 1000, 0)
        add(("batch_completion", label, _bound(COMPLETION_MS, ms)), 1, ms / 1000)
    sums = sa.table(
        "metric_sums", *map(sa.column, ("metric", "label", "bound_ms", "observations", "total"))
    )
    for (metric, label, bound), number in numbers.items():
        key = (metric, label, bound)
        connection.execute(
            sa.insert(sums).values(
                metric=metric, label=label, bound_ms=bound, observations=number, total=totals[key]
            )
        )


def _ends(connection: sa.Connection) -> Iterable[tuple[str, Any, Any]]:
    """Of each batch that came to an end: how, when it was registered, and when."""
    moment = sa.DateTime()
    batches = sa.table("batches", sa.column("batch_id"), sa.column("registered_at", moment))
    releases = sa.table(
        "releases", sa.column("batch_id"), sa.column("revision"), sa.column("released_at", moment)
    )
    outbox = sa.table(
        "outbox",
        sa.column("batch_id"),
        sa.column("event_type"),
        sa.column("event_timestamp", moment),
    )
    ready = sa.select(sa.literal("ready"), batches.c.registered_at, releases.c.released_at).where(
        releases.c.batch_id == batches.c.batch_id, releases.c.revision == 1
    )
    incomplete = sa.select(
        sa.literal("incomplete"), batches.c.registered_at, outbox.c.event_timestamp
    ).where(outbox.c.batch_id == batches.c.batch_id, outbox.c.event_type == TIMED_OUT)
    for query in (ready, incomplete):
        yield from ((row[0], row[1], row[2]) for row in connection.execute(query))


def _bound(bounds: Iterable[int], ms: float) -> int:
    return next((it for it in bounds if ms <= it), -1)
