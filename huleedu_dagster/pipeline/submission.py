"""Files that come together: each is durable by itself, their places are given in groups.

Bytes are written to the store while they arrive and hashed on the way; a file need not fit into
memory. A transaction costs more than a file of usual size, so files that came whole wait a moment
for the next ones; who sends them has no receipt before.
"""

import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from huleedu_dagster.domain.actions import Action
from huleedu_dagster.domain.events import EssayUploadFinishedV1
from huleedu_dagster.domain.ids import ContentType, essay_path, new_upload_id, raw_blob_key
from huleedu_dagster.domain.keys import sha256_hex
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.ledger.metrics import Duplicate
from huleedu_dagster.ledger.records import Batch, Upload
from huleedu_dagster.pipeline.slots import Arrival, BatchSlots, Receipt, ReceiptStatus
from huleedu_dagster.storage.port import BlobStore, BlobWriter

GROUP_FILES = 32
"""Files that wait for their places together, at most."""
ASKED_SINGLY = 16
"""Blobs that a submission asks its store for one by one; then it lists the batch once.

A listing takes as long as all that the batch ever got (0.1 s for a thousand blobs in an S3 bucket),
a question as long as the way to the store and back.
"""


class Submission:
    """Files of one request, or of another errand in which files come together.

    As a context manager it is finished when its block ends; when the block raises, what came whole
    is kept and the submission stays unfinished. Its methods may be called from different threads;
    files come one after the other.

    Args:
        ledger: Where places are given.
        blobs: Where bytes are kept.
        max_slots: Slots a batch may have at most.
        batch_id: A registered batch.
        correlation_id: Ties the files' events together; the batch's own if `None`.
        notes_unchanged: Whether `finish` notes files that came again as they are. Who may look at
            the same file again without anybody having handed it in does so by `note_unchanged`.

    Attributes:
        batch: The batch as it was when the submission began.
        correlation_id: What its events are tied together by.
        receipts: What was promised, in order.

    Raises:
        UnknownBatchError: The batch is not registered.
        sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
    """

    def __init__(
        self,
        ledger: Ledger,
        blobs: BlobStore,
        max_slots: int,
        batch_id: str,
        *,
        correlation_id: str | None = None,
        notes_unchanged: bool = True,
    ) -> None:
        self.receipts: list[Receipt] = []
        self._notes_unchanged = notes_unchanged
        self._noted = 0
        self._ledger = ledger
        self._blobs = blobs
        self._max_slots = max_slots
        with ledger.read() as tx:
            self.batch: Batch = tx.batches.get(batch_id)
            self._known = tx.essays.latest_hashes(batch_id)
        self.correlation_id = correlation_id or self.batch.registration.correlation_id
        self._lock = threading.RLock()
        self._waiting: list[Arrival] = []
        self._waiting_since = 0.0
        self._asked = 0
        self._stored: set[str] | None = None

    def __enter__(self) -> Self:
        """Begin; the ledger was asked already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish, or keep what came whole."""
        if error is None:
            self.finish()
            return
        # What is raised already says that nothing was promised.
        with suppress(Exception):
            self.settle()

    def receive(self, path: str, data: bytes) -> None:
        """Take in one file that is there as a whole; see `upload` and `FileUpload.keep`."""
        if self._is_unchanged(essay_path(path), data):
            return
        with self.upload(path) as upload:
            upload.write(data)
            upload.keep()

    @contextmanager
    def upload(self, path: str) -> Iterator["FileUpload"]:
        """Take in one file whose bytes arrive piece by piece.

        A block that ends before `FileUpload.keep` leaves nothing behind.

        Args:
            path: Relative path of the file inside its batch.

        Raises:
            InvalidIdError: The path does not fit the grammar of paths; no byte was taken.
            OSError: The store failed; nothing is promised.
        """
        canonical = essay_path(path)
        upload_id = new_upload_id()
        key = raw_blob_key(self.batch.batch_id, upload_id)
        with self._blobs.writer(key) as writer:
            yield FileUpload(self, writer, canonical, upload_id, key)

    def waits_longer_than(self, seconds: float) -> bool:
        """Whether a file that came whole has waited longer for its place."""
        return bool(self._waiting) and time.monotonic() - self._waiting_since > seconds

    def settle(self) -> None:
        """Give what waits its places, in one transaction; then every kept file has its receipt.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The ledger failed; nothing is promised for what waited.
        """
        with self._lock:
            if not self._waiting:
                return
            self._secure()
            with self._ledger.write() as tx:
                found = self._place(tx)
            self._give(found)

    def finish(self) -> None:
        """Record that the last file was handed in, in one transaction with what still waits.

        A submission without news is no event, unless the one that brought the news died before it
        could say that it was finished, and none that finished since can be taken for it: it is
        known by its correlation id. That files came again as they are is noted all the same.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The ledger failed; nothing is promised for what waited.
        """
        with self._lock:
            if not (self._waiting or self._unnoted(self.receipts) or self._is_news()):
                return
            self._secure()
            with self._ledger.write() as tx:
                found = self._place(tx)
                receipts = [*self.receipts, *found]
                self._publish(tx, receipts)
                unnoted = self._unnoted(receipts)
                if unnoted:
                    note_unchanged(tx, self.batch.batch_id, unnoted, self.correlation_id)
            self._noted += unnoted
            self._give(found)

    def _keep(self, upload: "FileUpload") -> None:
        writer = upload.writer
        with self._lock:
            known = self._still_latest(upload.path, writer.sha256)
            if known is not None:
                if not self._has_blob(known):
                    writer.commit()
                    self._restore(known, self._blobs.pieces(upload.blob_key, known.sha256))
                self._confirm(known)
                return
            arrival = Arrival(
                upload_id=upload.upload_id,
                path=upload.path,
                sha256=writer.sha256,
                size=writer.size,
                blob_key=upload.blob_key,
                correlation_id=self.correlation_id,
            )
            writer.commit(secure=False)
            if self._stored is not None:
                self._stored.add(arrival.blob_key)
            if not self._waiting:
                self._waiting_since = time.monotonic()
            self._waiting.append(arrival)
            self._known[upload.path] = arrival.sha256
            if len(self._waiting) >= GROUP_FILES:
                self.settle()

    def _is_unchanged(self, path: str, data: bytes) -> bool:
        """Whether these are the latest bytes under this path; nothing is written then."""
        with self._lock:
            if path not in self._known:
                return False
            known = self._still_latest(path, sha256_hex(data))
            if known is not None and not self._has_blob(known):
                self._restore(known, [data])
            if known is not None:
                self._confirm(known)
            return known is not None

    def _still_latest(self, path: str, sha256: str) -> Upload | None:
        if self._known.get(path) != sha256:
            return None
        # What waits may be a version of the same path, and another one may have come meanwhile.
        self.settle()
        with self._ledger.read() as tx:
            latest = tx.essays.latest_upload(self.batch.batch_id, path)
        if latest is None or latest.sha256 != sha256:
            return None
        return latest

    def _confirm(self, known: Upload) -> None:
        # When the store has the bytes, and not before.
        self.receipts.append(Receipt.of(known, ReceiptStatus.UNCHANGED))

    def _has_blob(self, upload: Upload) -> bool:
        """Whether the store has the raw blob."""
        if self._stored is None and self._asked < ASKED_SINGLY:
            self._asked += 1
            return self._blobs.has(upload.blob_key)
        if self._stored is None:
            prefix = f"{ContentType.RAW_UPLOAD_BLOB}/{self.batch.batch_id}"
            self._stored = set(self._blobs.keys(prefix))
        return upload.blob_key in self._stored

    def _restore(self, upload: Upload, pieces: Iterable[bytes]) -> None:
        """Store a raw blob that the store lost; the ledger knows it and nothing else changes."""
        with self._blobs.writer(upload.blob_key) as writer:
            for piece in pieces:
                writer.write(piece)
            writer.commit()
        if self._stored is not None:
            self._stored.add(upload.blob_key)

    def _secure(self) -> None:
        # Before the transaction: what waits for the disk must not keep other writers waiting.
        self._blobs.secure(it.blob_key for it in self._waiting)

    def _place(self, tx: Transaction) -> list[Receipt]:
        if not self._waiting:
            return []
        batch = tx.batches.get(self.batch.batch_id, lock=True)
        return BatchSlots(tx, batch, self._max_slots).take(self._waiting)

    def _give(self, receipts: list[Receipt]) -> None:
        self._waiting.clear()
        self.receipts += receipts

    def _unnoted(self, receipts: Sequence[Receipt]) -> int:
        """How many files came again as they are, those left out that are noted already."""
        unchanged = sum(it.status is ReceiptStatus.UNCHANGED for it in receipts)
        return unchanged - self._noted if self._notes_unchanged else 0

    def _is_news(self) -> bool:
        if not self.receipts:
            return False
        if _has_news(self.receipts):
            return True
        with self._ledger.read() as tx:
            return bool(self._unfinished(tx, self.receipts))

    def _publish(self, tx: Transaction, receipts: Sequence[Receipt]) -> None:
        batch_id = self.batch.batch_id
        moments = [it.received_at for it in receipts if it.status is not ReceiptStatus.UNCHANGED]
        moments = moments or self._unfinished(tx, receipts)
        if not moments:
            return
        event = EssayUploadFinishedV1(
            batch_id=batch_id,
            expected_count=len(receipts),
            upload_ts=max(moments),
            correlation_id=uuid.UUID(self.correlation_id),
        )
        tx.outbox.publish(event, correlation_id=self.correlation_id, batch_id=batch_id)

    def _unfinished(self, tx: Transaction, receipts: Sequence[Receipt]) -> list[datetime]:
        """When those of these files came that no finished request can have brought."""
        found = tx.outbox.data_of(self.batch.batch_id, EssayUploadFinishedV1.event_type)
        finished = [EssayUploadFinishedV1.model_validate(it) for it in found]
        last = _last(finished)
        # Others that finished since say nothing of this request when it is sent again.
        own = self.correlation_id
        last_own = _last(it for it in finished if str(it.correlation_id) == own)
        moments = []
        for it in receipts:
            since = last_own if it.correlation_id == own else last
            if since is None or it.received_at > since:
                moments.append(it.received_at)
        return moments


@dataclass(frozen=True, slots=True)
class FileUpload:
    """One file on its way in, made by `Submission.upload`.

    Attributes:
        writer: Takes the bytes.
        path: The path in its canonical form.
        blob_key: Where the bytes will be kept.
    """

    submission: Submission
    writer: BlobWriter
    path: str
    upload_id: str
    blob_key: str

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

    def keep(self) -> None:
        """Make the file durable; called once, after the last byte.

        Its place is given by `Submission.settle`, or before that with others that wait. Bytes that
        are the latest under this path already are not kept a second time, unless the store lost
        them.

        Raises:
            OSError: The store failed; nothing is promised.
            sqlalchemy.exc.SQLAlchemyError: The ledger failed; nothing is promised.
        """
        self.submission._keep(self)


def note_unchanged(
    tx: Transaction, batch_id: str, number: int, correlation_id: str | None = None
) -> None:
    """Note that files were handed in again as they are; nothing else changes.

    Args:
        tx: A transaction that may write.
        batch_id: Their batch.
        number: How many files.
        correlation_id: Of the request that brought them; `None` if it was none.
    """
    tx.actions.record(
        Action.UNCHANGED, batch_id=batch_id, amount=number, correlation_id=correlation_id
    )
    tx.metrics.count_suppressed(Duplicate.FILE, number)


def _has_news(receipts: Sequence[Receipt]) -> bool:
    return any(receipt.status is not ReceiptStatus.UNCHANGED for receipt in receipts)


def _last(finished: Iterable[EssayUploadFinishedV1]) -> datetime | None:
    return max((it.upload_ts for it in finished), default=None)
