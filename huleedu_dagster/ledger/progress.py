"""What tells cheaply whether a batch changed: for those who watch one and look often."""

from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from huleedu_dagster.ledger.records import DeadLetterState, UploadStatus
from huleedu_dagster.ledger.rows import Rows
from huleedu_dagster.ledger.tables import batches, dead_letters, essays, uploads, waivers

Progress = tuple[datetime | str | int | None, ...]

_BATCH = "of_batch"


class ProgressRows(Rows):
    """How far a batch is, in a few numbers."""

    def of_batch(self, batch_id: str) -> Progress:
        """Numbers that differ whenever anything differs that readers of a batch are told.

        Every change of a slot's current results raises its generation, so outcomes need not be
        looked at; uploads are only added or given a slot, dead letters only added or resolved.
        """
        found = self.connection.execute(_query(), {_BATCH: batch_id}).one_or_none()
        return tuple(found or ())


@cache
def _query() -> sa.Select[Any]:
    slots = _totals(
        essays,
        sa.func.sum(essays.c.generation),
        _number_where(essays.c.pending.is_(sa.true())),
        sa.func.count(essays.c.reprocess),
    )
    kept = _totals(uploads, _number_where(uploads.c.status == UploadStatus.ASSIGNED))
    letters = _totals(dead_letters, _number_where(dead_letters.c.state == DeadLetterState.OPEN))
    waived = _totals(waivers, sa.func.max(waivers.c.waived_at))
    # Each of these has exactly one row.
    together: sa.FromClause = batches
    for it in (slots, kept, letters, waived):
        together = together.join(it, sa.true())
    return (
        sa.select(
            batches.c.closed_at,
            batches.c.reported_fingerprint,
            *(column for it in (slots, kept, letters, waived) for column in it.c),
        )
        .select_from(together)
        .where(batches.c.batch_id == sa.bindparam(_BATCH))
    )


def _totals(table: sa.Table, *totals: sa.ColumnElement[Any]) -> sa.Subquery:
    columns = [it.label(f"{table.name}_{number}") for number, it in enumerate(totals, 1)]
    count = sa.func.count().label(f"{table.name}_0")
    return sa.select(count, *columns).where(table.c.batch_id == sa.bindparam(_BATCH)).subquery()


def _number_where(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
    return sa.func.sum(sa.case((condition, 1), else_=0))
