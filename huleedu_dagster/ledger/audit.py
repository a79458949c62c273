"""Totals of a day, counted by the database, and where that day's reports are stored."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from huleedu_dagster.domain.ids import ContentType
from huleedu_dagster.domain.outcomes import Stage, StageOutcome
from huleedu_dagster.ledger.rows import Rows
from huleedu_dagster.ledger.tables import (
    audit_reports,
    batches,
    dead_letters,
    outbox,
    releases,
    stage_outcomes,
    uploads,
    waivers,
)


class AuditRows(Rows):
    """What happened on one day, in UTC."""

    def totals(self, day: date) -> dict[str, int]:
        """Counts of the day by name, rejections by code as `rejected_CODE`."""
        return {
            "registered": self._count(batches.c.registered_at, day),
            "received": self._count(uploads.c.received_at, day),
            "duplicates": self._duplicates(day),
            "dead_letters": self._count(dead_letters.c.created_at, day),
            "completed": self._count(releases.c.released_at, day, releases.c.revision == 1),
            "released": self._count(releases.c.released_at, day),
            "timed_out": self._count(
                outbox.c.event_timestamp, day, outbox.c.event_type.like("%.readiness.timed_out.%")
            ),
            "waived": self._count(waivers.c.waived_at, day),
            "accepted": self._count(
                stage_outcomes.c.recorded_at,
                day,
                stage_outcomes.c.stage == Stage.SPELLCHECK_RESULT,
                stage_outcomes.c.outcome == StageOutcome.ACCEPTED,
            ),
            **self._rejections(day),
        }

    def batches_touched(self, day: date) -> list[str]:
        """Ids of the batches that received or recorded anything that day."""
        start, end = _bounds(day)
        seen = sa.union(
            sa.select(uploads.c.batch_id).where(uploads.c.received_at.between(start, end)),
            sa.select(stage_outcomes.c.batch_id).where(
                stage_outcomes.c.recorded_at.between(start, end)
            ),
            sa.select(outbox.c.batch_id).where(outbox.c.event_timestamp.between(start, end)),
            sa.select(dead_letters.c.batch_id).where(dead_letters.c.created_at.between(start, end)),
        )
        return sorted(self.connection.execute(seen).scalars())

    def record(self, day: date, kind: ContentType, blob_key: str, totals: dict[str, int]) -> None:
        """Note where a day's report is stored; the latest one counts."""
        cell = {"day": day.isoformat(), "kind": kind}
        values: dict[str, Any] = {"blob_key": blob_key, "totals": totals, "recorded_at": self.now}
        if not self.insert_new(audit_reports, {**cell, **values}):
            self.connection.execute(
                sa.update(audit_reports)
                .where(audit_reports.c.day == cell["day"], audit_reports.c.kind == kind)
                .values(**values)
            )

    def recorded_blob(self, day: date, kind: ContentType) -> str | None:
        """Where a day's report is stored, `None` if it was not made."""
        query = sa.select(audit_reports.c.blob_key).where(
            audit_reports.c.day == day.isoformat(), audit_reports.c.kind == kind
        )
        return self.connection.execute(query).scalar_one_or_none()

    def _count(self, moment: sa.Column[Any], day: date, *where: sa.ColumnElement[bool]) -> int:
        start, end = _bounds(day)
        query = (
            sa.select(sa.func.count())
            .select_from(moment.table)
            .where(moment.between(start, end), *where)
        )
        return self.connection.execute(query).scalar_one()

    def _duplicates(self, day: date) -> int:
        start, end = _bounds(day)
        other = uploads.alias()
        twin = sa.exists().where(
            other.c.batch_id == uploads.c.batch_id,
            other.c.sha256 == uploads.c.sha256,
            other.c.path != uploads.c.path,
        )
        query = (
            sa.select(sa.func.count())
            .select_from(uploads)
            .where(uploads.c.received_at.between(start, end), twin)
        )
        return self.connection.execute(query).scalar_one()

    def _rejections(self, day: date) -> dict[str, int]:
        start, end = _bounds(day)
        table = stage_outcomes.c
        query = (
            sa.select(table.code, sa.func.count())
            .where(table.recorded_at.between(start, end), table.outcome == StageOutcome.REJECTED)
            .group_by(table.code)
            .order_by(table.code)
        )
        return {f"rejected_{code}": count for code, count in self.connection.execute(query)}


def _bounds(day: date) -> tuple[datetime, datetime]:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return start, start + timedelta(days=1) - timedelta(microseconds=1)
