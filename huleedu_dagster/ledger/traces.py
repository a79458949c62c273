"""What one request led to: questions that a person asks now and then, so no index is kept."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from huleedu_dagster.ledger.records import (
    DeadLetter,
    DeadLetterState,
    Release,
    Upload,
    UploadStatus,
)
from huleedu_dagster.ledger.rows import Rows
from huleedu_dagster.ledger.tables import (
    actions,
    attempts,
    batch_results,
    batches,
    dead_letters,
    releases,
    uploads,
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A run that failed at an essay, or at a batch's closing work."""

    slot: str
    run_id: str
    reason: str
    failed_at: datetime


@dataclass(frozen=True, slots=True)
class StoredKind:
    """A result of a whole batch that was stored: a manifest or a report."""

    kind: str
    recorded_at: datetime


class TraceRows(Rows):
    """What belongs to a correlation id, and to the batches it touched."""

    def uploads(self, correlation_id: str) -> list[Upload]:
        """Files that came under it, the first first."""
        query = (
            sa.select(uploads)
            .where(uploads.c.correlation_id == correlation_id)
            .order_by(uploads.c.received_at, uploads.c.upload_id)
        )
        rows = self.connection.execute(query).mappings()
        return [Upload(**{**row, "status": UploadStatus(row["status"])}) for row in rows]

    def registered(self, correlation_id: str) -> list[str]:
        """Ids of the batches that were registered under it."""
        query = (
            sa.select(batches.c.batch_id)
            .where(batches.c.correlation_id == correlation_id)
            .order_by(batches.c.batch_id)
        )
        return list(self.connection.execute(query).scalars())

    def touched(self, correlation_id: str) -> list[tuple[str, str | None]]:
        """Batches that something was done to under it, and the essay if it was done to one."""
        query = (
            sa.select(actions.c.batch_id, actions.c.slot)
            .where(actions.c.correlation_id == correlation_id, actions.c.batch_id.is_not(None))
            .order_by(actions.c.action_id)
        )
        return [(row.batch_id, row.slot) for row in self.connection.execute(query)]

    def attempts(self, batch_id: str, slots: Collection[str]) -> list[Attempt]:
        """Runs that failed at these slots of a batch, the first first."""
        query = (
            sa.select(*(attempts.c[it] for it in ("slot", "run_id", "reason", "failed_at")))
            .where(attempts.c.batch_id == batch_id, attempts.c.slot.in_(slots))
            .order_by(attempts.c.attempt_id)
        )
        return [Attempt(**row) for row in self.connection.execute(query).mappings()]

    def dead_letters(self, batch_id: str, slots: Collection[str]) -> list[DeadLetter]:
        """Dead letters of these slots of a batch, the first first."""
        query = (
            sa.select(dead_letters)
            .where(dead_letters.c.batch_id == batch_id, dead_letters.c.slot.in_(slots))
            .order_by(dead_letters.c.dead_letter_id)
        )
        rows = self.connection.execute(query).mappings()
        return [DeadLetter(**{**row, "state": DeadLetterState(row["state"])}) for row in rows]

    def stored(self, batch_id: str) -> list[StoredKind]:
        """Manifests and reports of a batch, the first first."""
        query = (
            sa.select(batch_results.c.kind, batch_results.c.recorded_at)
            .where(batch_results.c.batch_id == batch_id)
            .order_by(batch_results.c.recorded_at, batch_results.c.kind)
        )
        return [StoredKind(**row) for row in self.connection.execute(query).mappings()]

    def releases(self, batch_id: str) -> list[Release]:
        """Released revisions of a batch, the first first."""
        query = (
            sa.select(releases).where(releases.c.batch_id == batch_id).order_by(releases.c.revision)
        )
        return [Release(**row) for row in self.connection.execute(query).mappings()]
