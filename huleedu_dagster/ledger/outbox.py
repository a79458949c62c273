"""The outbox: every event once, in the order in which the facts were recorded."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from huleedu_dagster.domain.events import EventData, deterministic_event_id, envelop
from huleedu_dagster.ledger.rows import Rows
from huleedu_dagster.ledger.tables import outbox


class OutboxRows(Rows):
    """The table of events."""

    def publish(
        self, data: EventData, *, correlation_id: str, batch_id: str, slot: str | None = None
    ) -> bool:
        """Record an event unless the same fact is recorded already.

        Returns:
            Whether it is new.
        """
        envelope = envelop(data, correlation_id=correlation_id, timestamp=self.now)
        body = envelope.model_dump(mode="json")
        return self.insert_new(
            outbox,
            {
                "event_id": str(envelope.event_id),
                "event_type": envelope.event_type,
                "data_hash": deterministic_event_id(body["data"]),
                "event_timestamp": self.now,
                "batch_id": batch_id,
                "slot": slot,
                "envelope": body,
            },
        )

    def last_recorded_at(self, batch_id: str, event_type: str) -> datetime | None:
        """When an event of this type was last recorded for a batch, `None` if never."""
        query = sa.select(sa.func.max(outbox.c.event_timestamp)).where(
            outbox.c.batch_id == batch_id, outbox.c.event_type == event_type
        )
        latest: datetime | None = self.connection.execute(query).scalar_one()
        return latest

    def envelopes(
        self, batch_id: str | None = None, *, after: int = 0, limit: int | None = None
    ) -> Iterable[tuple[int, dict[str, Any]]]:
        """Sequence number and envelope of recorded events, the first first."""
        query = sa.select(outbox.c.seq, outbox.c.envelope).where(outbox.c.seq > after)
        if batch_id is not None:
            query = query.where(outbox.c.batch_id == batch_id)
        query = query.order_by(outbox.c.seq).limit(limit)
        return [(row.seq, row.envelope) for row in self.connection.execute(query)]
