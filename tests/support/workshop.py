"""A whole small installation without Dagster: ledger, store, intake and pipeline."""

import hashlib
from collections.abc import Set
from datetime import datetime
from pathlib import Path

from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.extraction.direct import DirectExtractor
from huleedu_dagster.extraction.port import Extractor
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.ledger.records import Essay, Release
from huleedu_dagster.pipeline import lifecycle, results
from huleedu_dagster.pipeline.essays import EssayPipeline, EssayResult
from huleedu_dagster.pipeline.intake import Intake, Receipt
from huleedu_dagster.pipeline.stages import Tools
from huleedu_dagster.pipeline.versions import CodeVersions
from huleedu_dagster.pipeline.views import BatchFacts, BatchView, batch_view
from huleedu_dagster.reports.batch import write_batch_report
from huleedu_dagster.spelling.port import Speller
from huleedu_dagster.storage.local import LocalBlobStore
from tests.support.fakes import CheapSpeller, FlakyBlobStore, ManualClock
from tests.support.ledger import new_ledger

GOOD = b"This essay is about teh sea and the ships on it."
ALL = frozenset(Stage)


class Workshop:
    """A ledger, a store and all that works with them, in one folder.

    Args:
        folder: Where everything is.
        ledger: Another ledger than one of its own, with its own clock.

    Attributes:
        clock: The ledger's clock.
        blobs: The store; it can be told to fail.
        speller: Flags `teh`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ledger: Ledger | None = None,
        max_slots: int = 99,
        max_attempts: int = 3,
    ) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.ledger = ledger or new_ledger(folder / "ledger.db", clock=self.clock)
        self.blobs = FlakyBlobStore(LocalBlobStore(folder / "blobs"))
        self.intake = Intake(self.ledger, self.blobs, max_slots)
        self.speller = CheapSpeller()
        self._max_attempts = max_attempts
        self.pipeline = self.pipeline_with()

    def pipeline_with(
        self,
        *,
        extractor: Extractor | None = None,
        speller: Speller | None = None,
        spelling_revision: str = "",
    ) -> EssayPipeline:
        """The essays' pipeline, with other engines if given."""
        reader = extractor or DirectExtractor()
        checker = speller or self.speller
        versions = CodeVersions.of(
            extraction=reader.version,
            spelling=checker.version,
            spelling_revision=spelling_revision,
        )
        tools = Tools(self.blobs, reader, checker, versions)
        return EssayPipeline(self.ledger, tools, max_attempts=self._max_attempts)

    def register(
        self,
        batch_id: str = "class-a",
        *,
        expected: int | None = None,
        deadline: datetime | None = None,
        timeout: float | None = None,
        settings: BatchSettings | None = None,
        source: str = "cli",
    ) -> bool:
        """Register a batch."""
        return lifecycle.register(
            self.ledger,
            batch_id,
            settings=settings or BatchSettings(),
            expected_essay_count=expected,
            deadline=deadline,
            timeout_seconds=timeout,
            source=source,
        )

    def receive(self, path: str, data: bytes = GOOD, *, batch_id: str = "class-a") -> Receipt:
        """Hand in one file; a second passes, so that arrivals have an order."""
        self.clock.advance(1)
        return self.intake.receive(batch_id, path, data)

    def hand_in(
        self,
        *paths: str,
        data: bytes = GOOD,
        batch_id: str = "class-a",
        correlation_id: str | None = None,
    ) -> list[Receipt]:
        """Hand in files of the same bytes in one request."""
        self.clock.advance(1)
        with self.intake.submission(batch_id, correlation_id=correlation_id) as submission:
            for path in paths:
                submission.receive(path, data)
        return submission.receipts

    def essay(self, slot: str = "e001", *, batch_id: str = "class-a") -> Essay:
        """The essay in a slot."""
        with self.ledger.read() as tx:
            found = tx.essays.in_slot(batch_id, slot)
        assert found is not None, f"nothing is in {slot}"
        return found

    def process(
        self,
        slot: str = "e001",
        *,
        batch_id: str = "class-a",
        stages: Set[Stage] = ALL,
        force: bool = False,
        pipeline: EssayPipeline | None = None,
    ) -> EssayResult:
        """Take the essay in a slot through its stages."""
        with self.ledger.read() as tx:
            settings = tx.batches.get(batch_id).registration.settings
        essay = self.essay(slot, batch_id=batch_id)
        used = pipeline or self.pipeline
        result = used.process(settings, essay, stages, force=force)
        # As the essay op does once Dagster has the events.
        used.mark_shown(batch_id, [result], [slot])
        return result

    def process_pending(self, *, pipeline: EssayPipeline | None = None) -> None:
        """Take every pending essay through its stages."""
        with self.ledger.read() as tx:
            pending = tx.essays.due(1_000)
        for essay in pending:
            self.process(essay.slot, batch_id=essay.upload.batch_id, pipeline=pipeline)

    def close(self, batch_id: str = "class-a", reason: ClosedBy = ClosedBy.REQUEST) -> bool:
        """Close a batch."""
        return lifecycle.close(self.ledger, batch_id, reason)

    def facts(self, batch_id: str = "class-a") -> BatchFacts:
        """What the ledger knows about a batch."""
        with self.ledger.read() as tx:
            return BatchFacts.read(tx, batch_id)

    def view(self, batch_id: str = "class-a") -> BatchView:
        """What a reader is told about a batch."""
        return batch_view(self.facts(batch_id), self.clock())

    def release(self, batch_id: str = "class-a") -> Release:
        """Do the closing work of a batch: manifest, report, release."""
        results.write_manifest(self.ledger, self.blobs, batch_id)
        write_batch_report(self.ledger, self.blobs, batch_id)
        return results.release(self.ledger, batch_id)

    def blob_hashes(self) -> dict[str, str]:
        """Every file in the store with the hash of its bytes, temporary ones included."""
        root = self.folder / "blobs"
        return {
            path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }

    def fail_until_dead(self, slot: str = "e001", *, attempts: int = 3, name: str = "run") -> None:
        """Record failures of an essay in as many runs."""
        for number in range(attempts):
            self.pipeline.record_failure(
                self.essay(slot), run_id=f"{name}-{slot}-{number}", error=OSError()
            )
