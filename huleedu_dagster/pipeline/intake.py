"""Taking files in: raw bytes durable first, then one transaction, then the receipt.

Bytes are written to the store while they arrive and hashed on the way; a file need not fit into
memory.

Identity of an essay is its batch and relative path. The same path and bytes change nothing; the
same path with other bytes is a new version; the same bytes under another path are another essay.
"""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.events import EssayUploadFinishedV1, ExcessContentProvisionedV1
from huleedu_dagster.domain.ids import essay_path, new_upload_id, raw_blob_key, slot_id
from huleedu_dagster.domain.keys import sha256_hex
from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.domain.placement import Placement, place
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.ledger.records import Batch, DeadLetterState, Upload, UploadStatus
from huleedu_dagster.storage.port import BlobStore, BlobWriter


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
    """

    upload_id: str
    path: str
    sha256: str
    size: int
    received_at: datetime
    status: ReceiptStatus
    slot: str | None


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes files in.

    Attributes:
        max_slots: Slots a batch may have at most.
    """

    ledger: Ledger
    blobs: BlobStore
    max_slots: int

    def receive(
        self, batch_id: str, path: str, data: bytes, *, correlation_id: str | None = None
    ) -> Receipt:
        """Keep one file and give it its place.

        Args:
            batch_id: A registered batch.
            path: Relative path of the file inside its batch.
            data: The file's bytes.
            correlation_id: Ties the upload's events together; the batch's own if `None`.

        Raises:
            InvalidIdError: The path does not fit the grammar of paths.
            UnknownBatchError: The batch is not registered.
            OSError: The store failed; nothing is promised.
            sqlalchemy.exc.SQLAlchemyError: The ledger failed; nothing is promised.
        """
        with self.upload(batch_id, path, correlation_id=correlation_id) as upload:
            upload.write(data)
            return upload.finish()

    @contextmanager
    def upload(
        self, batch_id: str, path: str, *, correlation_id: str | None = None
    ) -> Iterator["FileUpload"]:
        """Keep one file whose bytes arrive piece by piece.

        A block that ends before `FileUpload.finish` leaves nothing behind. The calls may come
        from different threads, one at a time.

        Args:
            batch_id: A registered batch.
            path: Relative path of the file inside its batch.
            correlation_id: Ties the upload's events together; the batch's own if `None`.

        Raises:
            InvalidIdError: The path does not fit the grammar of paths.
            UnknownBatchError: The batch is not registered; no byte was taken.
            OSError: The store failed; nothing is promised.
            sqlalchemy.exc.SQLAlchemyError: The ledger failed; nothing is promised.
        """
        canonical = essay_path(path)
        with self.ledger.read() as tx:
            tx.batches.get(batch_id)
            latest = tx.essays.latest_upload(batch_id, canonical)
        known = None if latest is None else latest.sha256
        upload_id = new_upload_id()
        key = raw_blob_key(batch_id, upload_id)
        with self.blobs.writer(key) as writer:
            yield FileUpload(
                self, writer, batch_id, canonical, upload_id, key, correlation_id, known
            )

    def is_known(self, batch_id: str, path: str, data: bytes) -> bool:
        """Whether these bytes are the latest that came under this path.

        Raises:
            InvalidIdError: The path does not fit the grammar of paths.
        """
        with self.ledger.read() as tx:
            latest = tx.essays.latest_upload(batch_id, essay_path(path))
        return latest is not None and latest.sha256 == sha256_hex(data)

    def finish_request(
        self, batch_id: str, receipts: Iterable[Receipt], *, correlation_id: str | None = None
    ) -> None:
        """Record that a request handed in its last file.

        A request without news is no fact, unless the one that brought the news died before it
        could say that it was finished.
        """
        found = list(receipts)
        news = any(receipt.status is not ReceiptStatus.UNCHANGED for receipt in found)
        with self.ledger.read() as tx:
            if not news and not _unfinished(tx, batch_id):
                return
        with self.ledger.write() as tx:
            correlation = correlation_id or tx.batches.get(batch_id).registration.correlation_id
            event = EssayUploadFinishedV1(
                batch_id=batch_id,
                expected_count=len(found),
                upload_ts=tx.now,
                correlation_id=uuid.UUID(correlation),
            )
            tx.outbox.publish(event, correlation_id=correlation, batch_id=batch_id)

    def reopen(self, batch_id: str) -> None:
        """Open a batch again; late files join it in the order in which they came.

        Raises:
            UnknownBatchError: The batch is not registered.
        """
        with self.ledger.write() as tx:
            tx.batches.get(batch_id, lock=True)
            tx.batches.reopen(batch_id)
            batch = tx.batches.get(batch_id)
            for late in tx.essays.uploads_of(batch_id, UploadStatus.LATE):
                self._join(tx, batch, late)

    def _finish(self, upload: "FileUpload") -> Receipt:
        writer, batch_id, path = upload.writer, upload.batch_id, upload.path
        if upload.known_sha256 == writer.sha256:
            # Asked again: another version may have come since the upload began.
            with self.ledger.read() as tx:
                latest = tx.essays.latest_upload(batch_id, path)
            if latest is not None and latest.sha256 == writer.sha256:
                return _receipt(latest, ReceiptStatus.UNCHANGED)
        writer.commit()
        with self.ledger.write() as tx:
            batch = tx.batches.get(batch_id, lock=True)
            latest = tx.essays.latest_upload(batch_id, path)
            if latest is not None and latest.sha256 == writer.sha256:
                return _receipt(latest, ReceiptStatus.UNCHANGED)
            kept = Upload(
                upload_id=upload.upload_id,
                batch_id=batch_id,
                path=path,
                version=1 if latest is None else latest.version + 1,
                slot=None,
                status=UploadStatus.LATE,
                sha256=writer.sha256,
                size=writer.size,
                blob_key=upload.blob_key,
                received_at=tx.now,
                correlation_id=upload.correlation_id or batch.registration.correlation_id,
            )
            return self._settle_in(tx, batch, kept)

    def _settle_in(self, tx: Transaction, batch: Batch, upload: Upload) -> Receipt:
        # Every statement is paid for with each file; a path that is new has no slot.
        new = upload.version == 1
        slot = None if new else tx.essays.slot_of(upload.batch_id, upload.path)
        taken = tx.essays.count(upload.batch_id)
        placement = self._place(tx, batch, taken=taken, holds_slot=slot is not None)
        if placement is Placement.NEW_ESSAY:
            taken += 1
            slot = slot_id(taken)
        kept = _with_place(upload, placement, slot)
        tx.essays.add_upload(kept)
        self._take_place(tx, kept, placement)
        tx.batches.touch(upload.batch_id, received_at=tx.now)
        self._close_if_full(tx, batch, taken=taken)
        return _receipt(kept, ReceiptStatus(placement))

    def _place(self, tx: Transaction, batch: Batch, *, taken: int, holds_slot: bool) -> Placement:
        return place(
            batch.registration,
            closed_by=batch.closed_by,
            taken=taken,
            max_slots=self.max_slots,
            holds_slot=holds_slot,
            now=tx.now,
        )

    def _take_place(self, tx: Transaction, upload: Upload, placement: Placement) -> None:
        if placement is Placement.NEW_ESSAY:
            tx.essays.fill_slot(upload)
        elif placement is Placement.NEW_VERSION:
            tx.essays.replace_version(upload)
            tx.failures.resolve(upload.batch_id, str(upload.slot), DeadLetterState.SUPERSEDED)
        else:
            reason = Code.BATCH_FULL if placement is Placement.EXCESS else Code.ARRIVED_LATE
            event = ExcessContentProvisionedV1(
                batch_id=upload.batch_id,
                upload_id=upload.upload_id,
                raw_file_storage_id=upload.blob_key,
                reason=reason,
            )
            tx.outbox.publish(event, correlation_id=upload.correlation_id, batch_id=upload.batch_id)

    def _join(self, tx: Transaction, batch: Batch, late: Upload) -> None:
        slot = tx.essays.slot_of(late.batch_id, late.path)
        taken = tx.essays.count(late.batch_id)
        placement = self._place(tx, batch, taken=taken, holds_slot=slot is not None)
        if placement not in (Placement.NEW_ESSAY, Placement.NEW_VERSION):
            return
        if slot is None:
            taken += 1
            slot = slot_id(taken)
        tx.essays.assign(late.upload_id, slot)
        self._take_place(tx, _with_place(late, placement, slot), placement)
        self._close_if_full(tx, batch, taken=taken)

    def _close_if_full(self, tx: Transaction, batch: Batch, *, taken: int) -> None:
        expected = batch.registration.expected_essay_count
        if expected is not None and taken >= expected:
            tx.batches.close(batch.batch_id, ClosedBy.FULL)


@dataclass(frozen=True, slots=True)
class FileUpload:
    """One file on its way in, made by `Intake.upload`.

    Attributes:
        writer: Takes the bytes.
        path: The path in its canonical form.
        blob_key: Where the bytes will be kept.
        correlation_id: As it was given to `Intake.upload`.
        known_sha256: Hash of the latest version under this path when the upload began.
    """

    intake: Intake
    writer: BlobWriter
    batch_id: str
    path: str
    upload_id: str
    blob_key: str
    correlation_id: str | None
    known_sha256: str | None

    @property
    def size(self) -> int:
        """How much was taken up to now, in bytes."""
        return self.writer.size

    def write(self, chunk: bytes) -> None:
        """Take more bytes.

        Raises:
            OSError: The store failed; nothing is promised.
        """
        self.writer.write(chunk)

    def finish(self) -> Receipt:
        """Keep the file and give it its place; called once, after the last byte.

        Bytes that are the latest under this path already are not kept a second time.

        Raises:
            OSError: The store failed; nothing is promised.
            sqlalchemy.exc.SQLAlchemyError: The ledger failed; nothing is promised.
        """
        return self.intake._finish(self)


def _unfinished(tx: Transaction, batch_id: str) -> bool:
    received = tx.essays.last_received_at(batch_id)
    finished = tx.outbox.last_recorded_at(batch_id, EssayUploadFinishedV1.event_type)
    return received is not None and (finished is None or finished < received)


def _with_place(upload: Upload, placement: Placement, slot: str | None) -> Upload:
    statuses = {Placement.EXCESS: UploadStatus.EXCESS, Placement.LATE: UploadStatus.LATE}
    status = statuses.get(placement, UploadStatus.ASSIGNED)
    slot = slot if status is UploadStatus.ASSIGNED else None
    return replace(upload, status=status, slot=slot)


def _receipt(upload: Upload, status: ReceiptStatus) -> Receipt:
    return Receipt(
        upload_id=upload.upload_id,
        path=upload.path,
        sha256=upload.sha256,
        size=upload.size,
        received_at=upload.received_at,
        status=status,
        slot=upload.slot,
    )
