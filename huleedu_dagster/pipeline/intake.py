"""Taking files in: raw bytes durable first, then one transaction, then the receipt.

Identity of an essay is its batch and relative path. The same path and bytes change nothing; the
same path with other bytes is a new version; the same bytes under another path are another essay.
"""

from dataclasses import dataclass, replace

from huleedu_dagster.domain.actions import Action
from huleedu_dagster.domain.completeness import closing_moment
from huleedu_dagster.domain.ids import essay_path
from huleedu_dagster.domain.keys import sha256_hex
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.ledger.records import UploadStatus
from huleedu_dagster.pipeline.slots import BatchSlots, Receipt, ReceiptStatus
from huleedu_dagster.pipeline.submission import FileUpload, Submission
from huleedu_dagster.storage.port import BlobStore

__all__ = ["FileUpload", "Intake", "Receipt", "ReceiptStatus", "Submission"]


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes files in.

    Attributes:
        max_slots: Slots a batch may have at most.
    """

    ledger: Ledger
    blobs: BlobStore
    max_slots: int

    def by(self, ledger: Ledger) -> "Intake":
        """The same intake with a ledger that somebody acts on."""
        return replace(self, ledger=ledger)

    def submission(
        self,
        batch_id: str,
        *,
        correlation_id: str | None = None,
        notes_unchanged: bool = True,
    ) -> Submission:
        """Begin to take in files that come together.

        Args:
            batch_id: A registered batch.
            correlation_id: Ties the files' events together; the batch's own if `None`.
            notes_unchanged: See `Submission`.

        Raises:
            UnknownBatchError: The batch is not registered.
            sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
        """
        return Submission(
            self.ledger,
            self.blobs,
            self.max_slots,
            batch_id,
            correlation_id=correlation_id,
            notes_unchanged=notes_unchanged,
        )

    def receive(
        self, batch_id: str, path: str, data: bytes, *, correlation_id: str | None = None
    ) -> Receipt:
        """Keep one file and give it its place; the request it is part of stays unfinished.

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
        submission = self.submission(batch_id, correlation_id=correlation_id)
        submission.receive(path, data)
        submission.settle()
        return submission.receipts[-1]

    def is_known(self, batch_id: str, path: str, data: bytes) -> bool:
        """Whether these bytes are the latest that came under this path.

        Raises:
            InvalidIdError: The path does not fit the grammar of paths.
        """
        with self.ledger.read() as tx:
            latest = tx.essays.latest_upload(batch_id, essay_path(path))
        return latest is not None and latest.sha256 == sha256_hex(data)

    def reopen(self, batch_id: str) -> None:
        """Open a batch again; late files join it in the order in which they came.

        Raises:
            UnknownBatchError: The batch is not registered.
        """
        with self.ledger.write() as tx:
            batch = tx.batches.get(batch_id, lock=True)
            tx.batches.reopen(batch_id)
            if batch.closed_at is not None or closing_moment(batch.registration) is not None:
                tx.actions.record(Action.REOPENED, batch_id=batch_id)
            slots = BatchSlots(tx, tx.batches.get(batch_id), self.max_slots)
            slots.join(tx.essays.uploads_of(batch_id, UploadStatus.LATE))
