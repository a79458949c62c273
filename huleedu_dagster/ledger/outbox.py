"""The outbox: every event once, in the order in which the facts were recorded.

A sequence number is taken before its transaction commits. Of two writers at once the later number
could be seen first, and a reader that went past it would never see the other. So events are written
last in their transaction and by one writer at a time: the order of the numbers is the order of the
commits, and who sees a number sees every smaller one that there will ever be. A number may be
missing for good: its transaction rolled back, or its fact was recorded already.

SQLite has one writer at a time in any case. It gives the number of a deleted last row again, but
no event is ever deleted.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from huleedu_dagster.domain.events import EventData, deterministic_event_id, envelop
from huleedu_dagster.ledger.rows import Rows
from huleedu_dagster.ledger.tables import outbox

# Any number will do that no other lock of the ledger has.
_ORDER_LOCK = 7225194


class OutboxRows(Rows):
    """The table of events."""

    def __init__(self, connection: sa.Connection, now: datetime) -> None:
        super().__init__(connection, now)
        self._published: list[dict[str, Any]] = []

    def publish(
        self, data: EventData, *, correlation_id: str, batch_id: str, slot: str | None = None
    ) -> None:
        """Record an event unless the same fact is recorded already.

        It is written at the end of the transaction; questions asked before do not find it.
        """
        envelope = envelop(data, correlation_id=correlation_id, timestamp=self.now)
        body = envelope.model_dump(mode="json")
        self._published.append(
            {
                "event_id": str(envelope.event_id),
                "event_type": envelope.event_type,
                "data_hash": deterministic_event_id(body["data"]),
                "event_timestamp": self.now,
                "batch_id": batch_id,
                "slot": slot,
                "envelope": body,
            }
        )

    def write(self) -> None:
        """Write what was published. The ledger calls it, last in every transaction.

        The lock is the last one that a transaction takes and is held through its commit alone, so
        it can neither be part of a deadlock nor wait for anybody's work.
        """
        published, self._published = self._published, []
        if not published:
            return
        if self.connection.dialect.name == "postgresql":
            self.connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ORDER_LOCK)))
        self.insert_all_new(outbox, published)

    def data_of(self, batch_id: str, event_type: str) -> Iterable[dict[str, Any]]:
        """The data of a batch's events of one type, the last first."""
        query = (
            sa.select(outbox.c.envelope)
            .where(outbox.c.batch_id == batch_id, outbox.c.event_type == event_type)
            .order_by(outbox.c.seq.desc())
        )
        return [row.envelope["data"] for row in self.connection.execute(query)]

    def envelopes(
        self, batch_id: str | None = None, *, after: int = 0, limit: int | None = None
    ) -> Iterable[tuple[int, dict[str, Any]]]:
        """Sequence number and envelope of recorded events, the first first."""
        query = sa.select(outbox.c.seq, outbox.c.envelope).where(outbox.c.seq > after)
        if batch_id is not None:
            query = query.where(outbox.c.batch_id == batch_id)
        query = query.order_by(outbox.c.seq).limit(limit)
        return [(row.seq, row.envelope) for row in self.connection.execute(query)]
