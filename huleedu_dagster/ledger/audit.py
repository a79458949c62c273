"""Totals of days, counted by the database, and where the reports of a day are stored."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from huleedu_dagster.domain.ids import ContentType
from huleedu_dagster.domain.outcomes import Code, Stage, StageOutcome
from huleedu_dagster.ledger.audit_facts import ONE, Days, Source, is_first, outcomes, received
from huleedu_dagster.ledger.audit_facts import sources as all_sources
from huleedu_dagster.ledger.audit_recount import recount
from huleedu_dagster.ledger.rows import Rows
from huleedu_dagster.ledger.tables import (
    audit_reports,
    batches,
    dead_letters,
    outbox,
    releases,
    stage_outcomes,
    uploads,
)

REJECTED_BY_CODE = "rejected_"
"""What the names of totals of one code begin with."""
_CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class Completed:
    """A batch that was released for the first time.

    Attributes:
        last_file_at: When the last file came before that; `None` of a batch without files.
    """

    batch_id: str
    registered_at: datetime
    last_file_at: datetime | None
    released_at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one version of an essay.

    Attributes:
        version: Which file under its name it was.
        code: Why it was rejected, `None` of an accepted one.
        words: Words of an accepted text.
        first: Whether it is the first outcome of this file; later ones come of reprocessing.
    """

    batch_id: str
    slot: str
    version: int
    received_at: datetime
    recorded_at: datetime
    code: Code | None
    words: int | None
    misspellings: int | None
    first: bool

    @property
    def seconds(self) -> float:
        """From the receipt of the file to this outcome."""
        return (self.recorded_at - self.received_at).total_seconds()


class AuditRows(Rows):
    """What happened on some days, in UTC."""

    def totals(self, first: date, last: date | None = None) -> dict[str, int]:
        """Counts by name, rejections by code as `rejected_CODE`; only codes that occurred.

        What happens after these days does not change them.

        Args:
            first: The day, or the first of several.
            last: The last one.
        """
        days = Days(first, last or first)
        found: dict[str, int] = {}
        for source in all_sources(days):
            row = self.connection.execute(source.query(days)).mappings().one()
            found |= {name: int(row[name] or 0) for name in source.facts}
        return {**found, **self._rejections(days)}

    def by_batch(self, days: Days) -> dict[str, dict[str, int]]:
        """The same counts for each batch that something was counted of, by id."""
        found: dict[str, dict[str, int]] = {}
        for source in all_sources(days):
            for group, counts in self._groups(source, days, source.batch):
                if group[0] is not None and any(counts.values()):
                    found.setdefault(group[0], {}).update(counts)
        return dict(sorted(found.items()))

    def by_hour(self, days: Days) -> dict[tuple[str, int], dict[str, int]]:
        """Counts of files and outcomes by day (ISO 8601) and hour; empty hours are left out."""
        found: dict[tuple[str, int], dict[str, int]] = {}
        for source in (received(days), outcomes()):
            hour = (sa.func.date(source.moment), sa.extract("hour", source.moment))
            for group, counts in self._groups(source, days, *hour):
                found.setdefault((str(group[0]), int(group[1])), {}).update(counts)
        return dict(sorted(found.items()))

    def completed(self, days: Days) -> list[Completed]:
        """Batches that were released for the first time, the first first."""
        last = (
            sa.select(sa.func.max(uploads.c.received_at))
            .where(uploads.c.batch_id == releases.c.batch_id)
            .where(uploads.c.received_at <= releases.c.released_at)
            .scalar_subquery()
        )
        query = (
            sa.select(releases.c.batch_id, batches.c.registered_at, last, releases.c.released_at)
            .join(batches, batches.c.batch_id == releases.c.batch_id)
            .where(days.hold(releases.c.released_at), releases.c.revision == 1)
            .order_by(releases.c.released_at, releases.c.batch_id)
        )
        return [Completed(*row) for row in self.connection.execute(query)]

    def outcomes(self, days: Days) -> Iterator[Outcome]:
        """Every outcome of an essay, in the order of their records; read piece by piece."""
        table = stage_outcomes.c
        details = (table.details[name].as_integer() for name in ("words", "misspellings"))
        query = (
            sa.select(
                *(
                    table.batch_id,
                    table.slot,
                    *(_of_upload(it) for it in ("version", "received_at")),
                ),
                *(table.recorded_at, table.code, *details, is_first()),
            )
            .where(days.hold(table.recorded_at), table.stage == Stage.SPELLCHECK_RESULT)
            .order_by(table.outcome_id)
            .execution_options(yield_per=_CHUNK)
        )
        for row in self.connection.execute(query):
            batch_id, slot, version, received_at, recorded_at, code, words, wrong, first = row
            yield Outcome(
                batch_id=batch_id,
                slot=slot,
                version=version,
                received_at=received_at,
                recorded_at=recorded_at,
                code=None if code is None else Code(code),
                words=words,
                misspellings=wrong,
                first=bool(first),
            )

    def recount(self, days: Days) -> dict[str, int]:
        """Some of the totals from other tables than `totals` reads: events and actions."""
        return recount(self.connection, days)

    def batches_touched(self, day: date) -> list[str]:
        """Ids of the batches that received or recorded anything that day."""
        days = Days.one(day)
        moments: Iterable[sa.Column[Any]] = (
            uploads.c.received_at,
            stage_outcomes.c.recorded_at,
            outbox.c.event_timestamp,
            dead_letters.c.created_at,
        )
        seen = (sa.select(it.table.c.batch_id).where(days.hold(it)) for it in moments)
        return sorted(self.connection.execute(sa.union(*seen)).scalars())

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

    def _groups(
        self, source: Source, days: Days, *by: sa.ColumnElement[Any]
    ) -> Iterator[tuple[tuple[Any, ...], dict[str, int]]]:
        for row in self.connection.execute(source.query(days, *by)):
            counts = dict(zip(source.facts, map(int, row[len(by) :]), strict=True))
            yield tuple(row[: len(by)]), counts

    def _rejections(self, days: Days) -> dict[str, int]:
        table = stage_outcomes.c
        query = (
            sa.select(table.code, sa.func.sum(ONE))
            .where(days.hold(table.recorded_at), table.stage == Stage.SPELLCHECK_RESULT)
            .where(table.outcome == StageOutcome.NOT_REACHED, is_first())
            .group_by(table.code)
            .order_by(table.code)
        )
        rows = self.connection.execute(query)
        return {f"{REJECTED_BY_CODE}{code}": int(count) for code, count in rows}


def _of_upload(name: str) -> sa.ScalarSelect[Any]:
    # Asked row by row: to join some with all, Postgres reads all.
    query = sa.select(uploads.c[name]).where(uploads.c.upload_id == stage_outcomes.c.upload_id)
    return query.correlate(stage_outcomes).scalar_subquery()
