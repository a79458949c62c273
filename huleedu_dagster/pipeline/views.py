"""What a reader is told about a batch: one value, built from the ledger, for all surfaces.

The command line, the report and the API show this same value.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from huleedu_dagster.domain.completeness import (
    BatchStatus,
    Completeness,
    assess,
    batch_status,
)
from huleedu_dagster.domain.ids import BATCH_LEVEL
from huleedu_dagster.domain.outcomes import (
    WARNINGS,
    Code,
    EssayOutcome,
    Stage,
    StageOutcome,
    Warn,
    explain,
)
from huleedu_dagster.ledger.ledger import Transaction
from huleedu_dagster.ledger.records import Batch, Essay, StageRecord, Upload, UploadStatus

Records = Mapping[Stage, StageRecord]


class EssayView(BaseModel):
    """One line of a batch. `essay_id` is `None` for files without a slot."""

    model_config = ConfigDict(frozen=True)

    essay_id: str | None
    file_name: str | None
    outcome: EssayOutcome
    code: Code | None
    message: str
    words: int | None
    misspellings: int | None
    duplicate_of: str | None
    raw_blob: str | None
    text_blob: str | None
    corrected_blob: str | None


class BatchView(BaseModel):
    """A batch with its counts and its files."""

    model_config = ConfigDict(frozen=True)

    batch_id: str
    status: BatchStatus
    expected: int | None
    received: int
    ready: int
    rejected: int
    dead_lettered: int
    missing: int
    excess: int
    waived: int
    waiting_since: datetime | None = Field(
        description="When the file that waits longest for its outcome was received."
    )
    duration_seconds: float
    essays: tuple[EssayView, ...]


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """All that the ledger knows about a batch, read in one transaction."""

    batch: Batch
    essays: tuple[Essay, ...]
    records: Mapping[str, Records]
    dead_letters: Mapping[str, datetime]
    waivers: Mapping[str, str]
    unplaced: tuple[Upload, ...]

    @classmethod
    def read(cls, tx: Transaction, batch_id: str, *, lock: bool = False) -> "BatchFacts":
        """Read a batch.

        Args:
            tx: A transaction.
            batch_id: The batch.
            lock: Keep other writers off this batch until the transaction ends.

        Raises:
            UnknownBatchError: It is not registered.
        """
        batch = tx.batches.get(batch_id, lock=lock)
        essays = tuple(tx.essays.of_batch(batch_id))
        current = {essay.slot: essay.upload.upload_id for essay in essays}
        records: dict[str, dict[Stage, StageRecord]] = defaultdict(dict)
        for record in tx.outcomes.current(batch_id):
            if current.get(record.slot) == record.upload_id:
                records[record.slot][record.stage] = record
        letters = {it.slot: it.created_at for it in tx.failures.open_letters(batch_id)}
        return cls(
            batch=batch,
            essays=essays,
            records=records,
            dead_letters=letters,
            # A waiver is about what was known then, not about a dead letter that came later.
            waivers={
                waiver.slot: waiver.reason
                for waiver in tx.results.waivers(batch_id)
                if waiver.slot not in letters or letters[waiver.slot] <= waiver.waived_at
            },
            unplaced=tuple(tx.essays.uploads_of(batch_id, UploadStatus.EXCESS, UploadStatus.LATE)),
        )

    def outcome(self, essay: Essay) -> EssayOutcome:
        """The outcome of one slot, waivers left aside."""
        if essay.slot in self.dead_letters:
            return EssayOutcome.DEAD_LETTERED
        records = self.records.get(essay.slot, {})
        spelled = records.get(Stage.SPELLCHECK_RESULT)
        if essay.pending or spelled is None:
            return EssayOutcome.PENDING
        accepted = all(it.outcome is StageOutcome.ACCEPTED for it in records.values())
        return EssayOutcome.ACCEPTED if accepted else EssayOutcome.REJECTED

    @property
    def completeness(self) -> Completeness:
        """How complete the batch is."""
        return assess(
            expected=self.batch.registration.expected_essay_count,
            outcomes={essay.slot: self.outcome(essay) for essay in self.essays},
            waived=frozenset(self.waivers),
            closed=self.batch.closed_at is not None,
        )

    @property
    def settled_at(self) -> datetime | None:
        """When the last fact of a settled batch was recorded, `None` before it is settled."""
        if not self.completeness.settled:
            return None
        moments = [self.batch.closed_at, *self.dead_letters.values()]
        for records in self.records.values():
            moments += [record.recorded_at for record in records.values()]
        return max(moment for moment in moments if moment is not None)

    @property
    def waiting_since(self) -> datetime | None:
        """When the current upload of the essay that waits longest was received, or `None`."""
        waiting = [it for it in self.essays if self.outcome(it) is EssayOutcome.PENDING]
        return min((it.upload.received_at for it in waiting), default=None)

    @property
    def reprocessing(self) -> bool:
        """Whether somebody asked to have essays worked over again and that is not done yet."""
        return any(it.reprocess is not None for it in self.essays)

    @property
    def closing_work_failed(self) -> bool:
        """Whether manifest, report or release became a dead letter."""
        return BATCH_LEVEL in self.dead_letters


def batch_view(facts: BatchFacts, now: datetime, *, reported: bool | None = None) -> BatchView:
    """Tell about a batch.

    Args:
        facts: What the ledger knows.
        now: The time in UTC; a batch that is not settled yet has lasted until now.
        reported: Whether to tell it as it is once it is reported; by default, as it is.
    """
    completeness = facts.completeness
    batch = facts.batch
    if reported is None:
        reported = batch.reported_fingerprint is not None
    status = batch_status(completeness, reported=reported)
    if facts.closing_work_failed and completeness.settled:
        status = BatchStatus.INCOMPLETE
    end = facts.settled_at or now
    duration = (end - batch.registration.registered_at).total_seconds()
    twins = _twins(facts)
    lines = [_essay_line(facts, essay, twins) for essay in facts.essays]
    taken = {essay.slot for essay in facts.essays}
    lines += [_missing_line(slot) for slot in completeness.waived if slot not in taken]
    lines += [_unplaced_line(upload, twins) for upload in facts.unplaced]
    return BatchView(
        batch_id=batch.batch_id,
        status=status,
        expected=completeness.expected,
        received=completeness.received,
        ready=completeness.accepted,
        rejected=completeness.rejected,
        dead_lettered=len(completeness.dead_lettered),
        missing=len(completeness.missing),
        excess=len(facts.unplaced),
        waived=len(completeness.waived),
        waiting_since=facts.waiting_since,
        duration_seconds=round(duration, 3),
        essays=tuple(lines),
    )


def _twins(facts: BatchFacts) -> dict[str, list[Upload]]:
    """Current uploads by the hash of their bytes."""
    found: dict[str, list[Upload]] = defaultdict(list)
    for upload in (*(essay.upload for essay in facts.essays), *facts.unplaced):
        found[upload.sha256].append(upload)
    return found


def _duplicate_of(upload: Upload, twins: Mapping[str, list[Upload]]) -> str | None:
    others = [it for it in twins[upload.sha256] if it.path != upload.path]
    return next((it.slot or it.path for it in others), None)


def _essay_line(facts: BatchFacts, essay: Essay, twins: Mapping[str, list[Upload]]) -> EssayView:
    records = facts.records.get(essay.slot, {})
    outcome = facts.outcome(essay)
    code = _code(records) if outcome is EssayOutcome.REJECTED else None
    if outcome is EssayOutcome.DEAD_LETTERED:
        code = Code.INFRASTRUCTURE_FAILURE
        outcome = EssayOutcome.WAIVED if essay.slot in facts.waivers else outcome
    text = records.get(Stage.EXTRACTED_PLAINTEXT)
    validated = _details(records, Stage.VALIDATION_RESULT)
    spelled = _details(records, Stage.SPELLCHECK_RESULT)
    return EssayView(
        essay_id=essay.slot,
        file_name=essay.upload.path,
        outcome=outcome,
        code=code,
        message=_message(code, records),
        words=validated.get("words"),
        misspellings=spelled.get("misspellings"),
        duplicate_of=_duplicate_of(essay.upload, twins),
        raw_blob=essay.upload.blob_key,
        text_blob=None if text is None else text.blob_key,
        corrected_blob=spelled.get("corrected_blob"),
    )


def _missing_line(slot: str) -> EssayView:
    return EssayView(
        essay_id=slot,
        file_name=None,
        outcome=EssayOutcome.WAIVED,
        code=None,
        message="Nothing was handed in here; the operator goes on without it.",
        words=None,
        misspellings=None,
        duplicate_of=None,
        raw_blob=None,
        text_blob=None,
        corrected_blob=None,
    )


def _unplaced_line(upload: Upload, twins: Mapping[str, list[Upload]]) -> EssayView:
    late = upload.status is UploadStatus.LATE
    code = Code.ARRIVED_LATE if late else Code.BATCH_FULL
    return EssayView(
        essay_id=None,
        file_name=upload.path,
        outcome=EssayOutcome.EXCESS,
        code=code,
        message=explain(code).text,
        words=None,
        misspellings=None,
        duplicate_of=_duplicate_of(upload, twins),
        raw_blob=upload.blob_key,
        text_blob=None,
        corrected_blob=None,
    )


def _code(records: Records) -> Code | None:
    rejected = (it.code for it in records.values() if it.outcome is not StageOutcome.ACCEPTED)
    return next(rejected, None)


def _message(code: Code | None, records: Records) -> str:
    if code is not None:
        return explain(code).text
    warnings = _details(records, Stage.EXTRACTED_PLAINTEXT).get("warnings", [])
    return " ".join(WARNINGS[Warn(name)] for name in warnings)


def _details(records: Records, stage: Stage) -> Mapping[str, Any]:
    record = records.get(stage)
    return {} if record is None else record.details
