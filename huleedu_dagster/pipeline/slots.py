"""The slots of a batch: what arrived gets its place, in order of receipt.

All of it happens inside one transaction that holds the batch locked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby

from huleedu_dagster.domain.actions import SYSTEM, Action
from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.events import ExcessContentProvisionedV1
from huleedu_dagster.domain.ids import slot_id
from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.domain.placement import Placement, place
from huleedu_dagster.ledger.ledger import Transaction
from huleedu_dagster.ledger.records import Batch, DeadLetterState, Upload, UploadStatus

_TICK = timedelta(microseconds=1)
_STATUSES = {Placement.EXCESS: UploadStatus.EXCESS, Placement.LATE: UploadStatus.LATE}


class ReceiptStatus(StrEnum):
    """What became of a file that was handed in."""

    NEW_ESSAY = "new_essay"
    NEW_VERSION = "new_version"
    EXCESS = "excess"
    LATE = "late"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The promise that a file is kept. Given only when bytes and ledger row are durable.

    Attributes:
        size: Size in bytes.
        slot: The essay's slot, `None` for excess and late files.
        correlation_id: Of the request that brought it first.
    """

    upload_id: str
    path: str
    sha256: str
    size: int
    received_at: datetime
    status: ReceiptStatus
    slot: str | None
    correlation_id: str

    @classmethod
    def of(cls, upload: Upload, status: ReceiptStatus) -> "Receipt":
        """The receipt of a recorded upload."""
        return cls(
            upload_id=upload.upload_id,
            path=upload.path,
            sha256=upload.sha256,
            size=upload.size,
            received_at=upload.received_at,
            status=status,
            slot=upload.slot,
            correlation_id=upload.correlation_id,
        )


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file whose bytes are durable and that has no place yet.

    Attributes:
        path: Its path in canonical form.
        size: Size in bytes.
    """

    upload_id: str
    path: str
    sha256: str
    size: int
    blob_key: str
    correlation_id: str


class BatchSlots:
    """The slots of one batch.

    Args:
        tx: A transaction that may write.
        batch: The batch, locked in it.
        max_slots: Slots a batch may have at most.
    """

    def __init__(self, tx: Transaction, batch: Batch, max_slots: int) -> None:
        self._tx = tx
        self._batch = batch
        self._max_slots = max_slots
        self._taken = tx.essays.count(batch.batch_id)
        # A clock that was set back must not change who came first.
        self._last = tx.essays.last_received_at(batch.batch_id)

    def take(self, arrivals: Sequence[Arrival]) -> list[Receipt]:
        """Give each arrival its place, in order; what a path holds already is left as it is."""
        paths = {it.path for it in arrivals}
        latest = dict(self._tx.essays.latest_uploads(self._batch.batch_id, paths))
        held = self._tx.essays.slots_of(self._batch.batch_id, latest) if latest else {}
        uploads: list[Upload] = []
        placements: list[Placement] = []
        receipts: list[Receipt] = []
        for arrival in arrivals:
            before = latest.get(arrival.path)
            if before is not None and before.sha256 == arrival.sha256:
                receipts.append(Receipt.of(before, ReceiptStatus.UNCHANGED))
                continue
            version = 1 if before is None else before.version + 1
            upload, placement = self._placed(arrival, version, held)
            latest[upload.path] = upload
            uploads.append(upload)
            placements.append(placement)
            receipts.append(Receipt.of(upload, ReceiptStatus(placement)))
        if uploads:
            self._record(uploads, placements)
        return receipts

    def join(self, late: Sequence[Upload]) -> None:
        """Give late uploads the places that they can have now, in order."""
        for upload in late:
            slot = self._tx.essays.slot_of(upload.batch_id, upload.path)
            placement = self._place(holds_slot=slot is not None, now=self._tx.now)
            if placement in _STATUSES:
                continue
            slot = slot or self._next_slot()
            self._tx.essays.assign(upload.upload_id, slot)
            placed = replace(upload, status=UploadStatus.ASSIGNED, slot=slot)
            self._take_places([placed], [placement])
            self._close_if_full()

    def _placed(
        self, arrival: Arrival, version: int, held: dict[str, str]
    ) -> tuple[Upload, Placement]:
        now = self._moment()
        slot = held.get(arrival.path)
        placement = self._place(holds_slot=slot is not None, now=self._tx.now)
        if placement is Placement.NEW_ESSAY:
            slot = held[arrival.path] = self._next_slot()
        status = _STATUSES.get(placement, UploadStatus.ASSIGNED)
        upload = Upload(
            upload_id=arrival.upload_id,
            batch_id=self._batch.batch_id,
            path=arrival.path,
            version=version,
            slot=slot if status is UploadStatus.ASSIGNED else None,
            status=status,
            sha256=arrival.sha256,
            size=arrival.size,
            blob_key=arrival.blob_key,
            received_at=now,
            correlation_id=arrival.correlation_id,
        )
        return upload, placement

    def _moment(self) -> datetime:
        # Each its own, so that the order of arrival can be told for ever.
        now = self._tx.now
        if self._last is not None and self._last >= now:
            now = self._last + _TICK
        self._last = now
        return now

    def _place(self, *, holds_slot: bool, now: datetime) -> Placement:
        return place(
            self._batch.registration,
            closed_by=self._closed_by,
            taken=self._taken,
            max_slots=self._max_slots,
            holds_slot=holds_slot,
            now=now,
        )

    @property
    def _closed_by(self) -> ClosedBy | None:
        return self._batch.closed_by or (ClosedBy.FULL if self._is_full else None)

    @property
    def _is_full(self) -> bool:
        expected = self._batch.registration.expected_essay_count
        return expected is not None and self._taken >= expected

    def _next_slot(self) -> str:
        self._taken += 1
        return slot_id(self._taken)

    def _record(self, uploads: Sequence[Upload], placements: Sequence[Placement]) -> None:
        self._tx.essays.add_uploads(uploads)
        self._tx.metrics.count_received(uploads)
        # Their moments are in order, and may be later than now: a day has its own line.
        for _, found in groupby(uploads, lambda it: it.received_at.date()):
            of_day = list(found)
            self._tx.actions.record(
                Action.RECEIVED,
                batch_id=self._batch.batch_id,
                amount=len(of_day),
                correlation_id=of_day[0].correlation_id,
                acted_at=of_day[0].received_at,
            )
        self._take_places(uploads, placements)
        self._tx.batches.touch(self._batch.batch_id, received_at=self._tx.now)
        self._close_if_full()

    def _take_places(self, uploads: Sequence[Upload], placements: Sequence[Placement]) -> None:
        # A path that came twice fills its slot before it replaces what is in it.
        placed = list(zip(uploads, placements, strict=True))
        new = [upload for upload, it in placed if it is Placement.NEW_ESSAY]
        if new:
            self._tx.essays.fill_slots(new)
        for upload, placement in placed:
            if placement is Placement.NEW_VERSION:
                self._tx.essays.replace_version(upload)
                slot = str(upload.slot)
                self._tx.failures.resolve(upload.batch_id, slot, DeadLetterState.SUPERSEDED)
            elif placement in _STATUSES:
                self._tell_excess(upload, placement)

    def _tell_excess(self, upload: Upload, placement: Placement) -> None:
        event = ExcessContentProvisionedV1(
            batch_id=upload.batch_id,
            upload_id=upload.upload_id,
            raw_file_storage_id=upload.blob_key,
            reason=_REASONS[placement],
        )
        correlation_id, batch_id = upload.correlation_id, upload.batch_id
        self._tx.outbox.publish(event, correlation_id=correlation_id, batch_id=batch_id)

    def _close_if_full(self) -> None:
        batch_id = self._batch.batch_id
        if self._is_full and self._tx.batches.close(batch_id, ClosedBy.FULL):
            self._tx.actions.record(Action.CLOSED, batch_id=batch_id, actor=SYSTEM)


_REASONS: Mapping[Placement, Code] = {
    Placement.EXCESS: Code.BATCH_FULL,
    Placement.LATE: Code.ARRIVED_LATE,
}
