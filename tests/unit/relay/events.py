"""Recorded events for these tests, a stop that notes the pauses, and relays without a network."""

from collections.abc import Callable, Sequence

import sqlalchemy as sa

from huleedu_dagster.domain.events import ExcessContentProvisionedV1
from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.ledger.tables import outbox
from huleedu_dagster.relay.port import DeliveryError, Envelope

BATCH = "class-9d"


def record(ledger: Ledger, *uploads: str, batch_id: str = BATCH) -> None:
    """Record one event for each upload."""
    with ledger.write() as tx:
        for upload in uploads:
            data = ExcessContentProvisionedV1(
                batch_id=batch_id,
                upload_id=upload,
                raw_file_storage_id=f"raw_upload_blob/{upload}",
                reason=Code.BATCH_FULL,
            )
            tx.outbox.publish(data, correlation_id="corr-1", batch_id=batch_id)


def take_away(ledger: Ledger, seq: int) -> None:
    """Take an event out of the outbox, as if its transaction had rolled back."""
    with ledger.write() as tx:
        tx.connection.execute(sa.delete(outbox).where(outbox.c.seq == seq))


def envelopes(ledger: Ledger) -> list[Envelope]:
    """All envelopes, the first first."""
    with ledger.read() as tx:
        return [envelope for _, envelope in tx.outbox.envelopes()]


def uploads(found: Sequence[Envelope]) -> list[str]:
    """The uploads that the events are about."""
    return [it["data"]["upload_id"] for it in found]


class NotedStop:
    """A `Stop` that waits for nothing and notes how long it was to wait.

    Args:
        when: Asked at each wait; whether to stop from now on.
    """

    def __init__(self, when: Callable[[], bool] = lambda: False) -> None:
        self.pauses: list[float] = []
        self._when = when
        self._asked = False

    def is_set(self) -> bool:
        """See `Stop.is_set`."""
        return self._asked

    def wait(self, timeout: float) -> bool:
        """See `Stop.wait`."""
        self.pauses.append(timeout)
        self._asked = self._asked or self._when()
        return self._asked


class MemoryRelay:
    """A relay that keeps what it is given and fails as told.

    Args:
        failures: Errors to raise, one for each delivery, before anything is kept.
        refused: Uploads that are refused for good.
        batch_size: Events it takes at once.
    """

    name = "memory"

    def __init__(
        self,
        *failures: DeliveryError,
        refused: frozenset[str] = frozenset(),
        batch_size: int = 1,
    ) -> None:
        self.got: list[Envelope] = []
        self.batch_size = batch_size
        self.refused = refused
        self._failures = list(failures)

    def deliver(self, envelopes: Sequence[Envelope]) -> None:
        """See `Relay.deliver`."""
        if self._failures:
            raise self._failures.pop(0)
        if self.refused.intersection(uploads(envelopes)):
            raise DeliveryError("status 400", retryable=False)
        self.got.extend(envelopes)
