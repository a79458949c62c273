"""What is in the bag of a batch: one entry for each file, read when its turn comes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from huleedu_dagster.domain.completeness import BatchStatus
from huleedu_dagster.domain.keys import canonical_json
from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.ledger.records import Upload
from huleedu_dagster.pipeline.results import manifest_of
from huleedu_dagster.pipeline.views import BatchFacts
from huleedu_dagster.reports.bag_names import safe_path
from huleedu_dagster.reports.batch import batch_html
from huleedu_dagster.reports.batch_content import BatchReport
from huleedu_dagster.reports.sheets import Sheet, sheet_html, sheets_of
from huleedu_dagster.storage.port import BlobStore


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the bag's payload.

    Attributes:
        path: Where it is in the bag, below `data/`.
        size: Its bytes, or at least as many.
        pieces: Its content, piece by piece.
    """

    path: str
    size: int
    pieces: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class BagContent:
    """All that is kept of a batch, as it was when the ledger was read.

    Attributes:
        batch_id: The batch.
        status: Where it stood.
    """

    batch_id: str
    status: BatchStatus
    _facts: BatchFacts
    _uploads: tuple[Upload, ...]
    _events: tuple[dict[str, Any], ...]
    _report: BatchReport
    _blobs: BlobStore

    @classmethod
    def read(cls, ledger: Ledger, blobs: BlobStore, batch_id: str) -> "BagContent":
        """Read what the ledger knows; texts and files stay in the store until they are packed.

        Raises:
            UnknownBatchError: The batch is not registered.
            BlobStoreError: A spelling result is missing in the store or damaged.
            OSError: The store cannot be reached.
        """
        with ledger.read() as tx:
            facts = BatchFacts.read(tx, batch_id)
            uploads = tuple(tx.essays.uploads_of(batch_id))
            events = tuple(envelope for _, envelope in tx.outbox.envelopes(batch_id))
        report = BatchReport.of(facts, blobs)
        return cls(batch_id, report.view.status, facts, uploads, events, report, blobs)

    def entries(self) -> Iterator[Entry]:
        """Every file, one after the other.

        Raises:
            BlobStoreError: Something is missing in the store or damaged.
            OSError: The store cannot be reached.
        """
        yield _entry("report.html", batch_html(self._report))
        yield _entry("report.json", canonical_json(self._report.as_json()))
        yield _entry("manifest.json", canonical_json(manifest_of(self._facts)))
        yield _entry("uploads.json", json.dumps(self._listed(), ensure_ascii=False, indent=1))
        yield _entry("events.jsonl", "".join(f"{canonical_json(it)}\n" for it in self._events))
        for sheet in sheets_of(self._facts, self._report, self._blobs):
            yield from self._results(sheet)
        for upload, path in zip(self._uploads, self._places(), strict=True):
            pieces = self._blobs.pieces(upload.blob_key, upload.sha256)
            yield Entry(path, upload.size, pieces)

    def _results(self, sheet: Sheet) -> Iterator[Entry]:
        """The sheet of an essay and what was made of it."""
        records = self._facts.records.get(sheet.slot, {})
        folder = f"essays/{sheet.slot}"
        yield _entry(f"{folder}/sheet.html", sheet_html(sheet))
        read = records.get(Stage.EXTRACTED_PLAINTEXT)
        if read is not None and read.blob_key:
            yield self._stored(f"{folder}/text.txt", read.blob_key, read.data_version)
        spelled = records.get(Stage.SPELLCHECK_RESULT)
        if spelled is not None and spelled.blob_key:
            found = spelled.details
            made = (
                ("corrected.txt", found["corrected_blob"], found["corrected_sha256"]),
                ("spelling.json", spelled.blob_key, found["result_sha256"]),
            )
            for name, key, sha256 in made:
                yield self._stored(f"{folder}/{name}", key, sha256)

    def _stored(self, path: str, key: str, sha256: str) -> Entry:
        data = self._blobs.get(key, sha256)
        return Entry(path, len(data), iter((data,)))

    def _places(self) -> list[str]:
        """Where each upload is: in a folder of its own, so that no two names meet."""
        return [
            f"uploads/{number:03d}-{it.slot or it.status.value}-v{it.version}/{safe_path(it.path)}"
            for number, it in enumerate(self._uploads, 1)
        ]

    def _listed(self) -> list[dict[str, Any]]:
        """Every upload with its own name, for a bag's names are only what is safe of it."""
        current = {it.upload.upload_id for it in self._facts.essays}
        return [
            {
                "bag_path": f"data/{path}",
                "file_name": it.path,
                "essay_id": it.slot,
                "version": it.version,
                "status": it.status,
                "current": it.upload_id in current,
                "upload_id": it.upload_id,
                "sha256": it.sha256,
                "bytes": it.size,
                "received_at": it.received_at.isoformat(),
            }
            for it, path in zip(self._uploads, self._places(), strict=True)
        ]


def _entry(path: str, text: str) -> Entry:
    data = text.encode()
    return Entry(path, len(data), iter((data,)))
