"""A batch's closing work: manifest, release, and the note that all of it is reported."""

from dataclasses import dataclass, replace
from typing import Any

from huleedu_dagster.domain.actions import Action
from huleedu_dagster.domain.events import BatchEssaysReady, ReadyEssay
from huleedu_dagster.domain.ids import BATCH_LEVEL, ContentType, derived_blob_key
from huleedu_dagster.domain.keys import canonical_json, hash_of, sha256_hex
from huleedu_dagster.domain.outcomes import EssayOutcome, Stage
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.ledger.metrics import Completion
from huleedu_dagster.ledger.records import DeadLetterState, Release
from huleedu_dagster.pipeline.views import BatchFacts, BatchView, batch_view
from huleedu_dagster.storage.port import BlobStore


class NotReadyError(Exception):
    """The batch is not ready, so it is not released."""


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A stored result of a batch.

    Attributes:
        sha256: Hash of its content; its data version.
        facts: The batch as it was when it was made.
    """

    blob_key: str
    sha256: str
    facts: BatchFacts


def write_manifest(ledger: Ledger, blobs: BlobStore, batch_id: str) -> StoredResult:
    """Store the list of what is in a batch; the same facts give the same bytes.

    Raises:
        UnknownBatchError: The batch is not registered.
        OSError: The store cannot be reached.
    """
    with ledger.read() as tx:
        facts = BatchFacts.read(tx, batch_id)
    manifest = manifest_of(facts)
    key, digest = store_json(blobs, ContentType.BATCH_MANIFEST, batch_id, manifest)
    with ledger.write() as tx:
        now = BatchFacts.read(tx, batch_id, lock=True)
        tx.results.record(batch_id, ContentType.BATCH_MANIFEST, digest, key)
        if _fingerprint(now) != digest:
            # Whoever reported the batch meanwhile stored theirs before: it is to be done again.
            tx.batches.touch(batch_id)
    return StoredResult(key, digest, facts)


def release(ledger: Ledger, batch_id: str) -> Release:
    """Release a ready batch; facts that are released already are not released again.

    The rule of completeness is evaluated here too: the blocking check guards one run only.

    Raises:
        UnknownBatchError: The batch is not registered.
        NotReadyError: The batch is not ready, or its manifest is not of these facts.
    """
    with ledger.write() as tx:
        batch = tx.batches.get(batch_id, lock=True)
        facts = BatchFacts.read(tx, batch_id)
        if not facts.completeness.ready:
            raise NotReadyError("the batch is not complete")
        fingerprint = _fingerprint(facts)
        manifest = tx.results.blob_of(batch_id, ContentType.BATCH_MANIFEST, fingerprint)
        if manifest is None:
            raise NotReadyError("the batch changed since its manifest was written")
        latest = tx.results.latest_release(batch_id)
        if latest is None or latest.fingerprint != fingerprint:
            revision = 1 if latest is None else latest.revision + 1
            tx.results.release(batch_id, revision, fingerprint, manifest)
            tx.actions.record(Action.RELEASED, batch_id=batch_id)
            if latest is None:
                tx.metrics.count_completion(batch.registration.registered_at, Completion.READY)
            tx.outbox.publish(
                _ready_event(facts, revision, manifest),
                correlation_id=batch.registration.correlation_id,
                batch_id=batch_id,
            )
            latest = Release(batch_id, revision, fingerprint, manifest, tx.now)
        note_if_reported(tx, batch_id, facts)
        return latest


def note_if_reported(tx: Transaction, batch_id: str, facts: BatchFacts | None = None) -> bool:
    """Mark the batch as reported once manifest, report and release of its facts are stored.

    Those of facts that came back were stored before; they count when they are the latest again,
    since that is what readers are given and what Dagster shows.

    Args:
        tx: A transaction that may write.
        batch_id: The batch.
        facts: Its facts, if this transaction has read them already, and has kept others off since.

    Returns:
        Whether they are.
    """
    if facts is None:
        facts = BatchFacts.read(tx, batch_id, lock=True)
    manifest = _fingerprint(facts)
    report = _report_fingerprint(facts, manifest)
    results = tx.results
    released = results.latest_release(batch_id)
    done = (
        results.is_latest(batch_id, ContentType.BATCH_MANIFEST, manifest)
        and results.is_latest(batch_id, ContentType.BATCH_REPORT_JSON, report)
        and results.is_latest(batch_id, ContentType.BATCH_REPORT_HTML, report)
        and (
            not facts.completeness.ready
            or (released is not None and released.fingerprint == manifest)
        )
    )
    if done and facts.batch.reported_fingerprint != report:
        tx.batches.mark_reported(batch_id, report)
        if tx.failures.resolve(batch_id, BATCH_LEVEL, DeadLetterState.RECOVERED):
            tx.batches.set_attempts(batch_id, 0, facts.batch.generation + 1)
    return done


def report_fingerprint(facts: BatchFacts) -> str:
    """Hash of all that a report tells about these facts.

    The misspellings it lists follow from the results whose versions the manifest holds.
    """
    return _report_fingerprint(facts, _fingerprint(facts))


def reported_view(facts: BatchFacts) -> BatchView:
    """A settled batch as its report tells of it; the clock plays no part."""
    letters = {slot: it for slot, it in facts.dead_letters.items() if slot != BATCH_LEVEL}
    facts = replace(facts, dead_letters=letters)
    end = facts.settled_at or facts.batch.registration.registered_at
    return batch_view(facts, end, reported=True)


def told_in_report(view: BatchView) -> dict[str, Any]:
    """What a report tells of a batch: in one that is settled, nothing waits."""
    return view.model_dump(mode="json", exclude={"waiting_since"})


def manifest_of(facts: BatchFacts) -> dict[str, Any]:
    """What is in a batch, with the version of everything it was made from. No names, no clock."""
    completeness = facts.completeness
    return {
        "batch_id": facts.batch.batch_id,
        "expected": completeness.expected,
        "missing": list(completeness.missing),
        "waived": list(completeness.waived),
        "dead_lettered": list(completeness.dead_lettered),
        "essays": [
            {
                "essay_id": essay.slot,
                "version": essay.upload.version,
                "raw_blob": essay.upload.blob_key,
                "outcome": facts.outcome(essay),
                "stages": {
                    stage: {
                        "outcome": record.outcome,
                        "code": record.code,
                        "data_version": record.data_version,
                        "blob": record.blob_key,
                    }
                    for stage, record in sorted(facts.records.get(essay.slot, {}).items())
                },
            }
            for essay in facts.essays
        ],
    }


def store_json(blobs: BlobStore, kind: ContentType, batch_id: str, value: Any) -> tuple[str, str]:
    """Store a value as canonical JSON; returns its key and its hash.

    Raises:
        OSError: The store cannot be reached.
    """
    return store_text(blobs, kind, batch_id, canonical_json(value))


def store_text(blobs: BlobStore, kind: ContentType, owner: str, text: str) -> tuple[str, str]:
    """Store a text that belongs to a whole batch or day; returns its key and its hash.

    Raises:
        OSError: The store cannot be reached.
    """
    data = text.encode()
    digest = sha256_hex(data)
    key = derived_blob_key(kind, owner, BATCH_LEVEL, digest)
    blobs.put(key, data)
    return key, digest


def _fingerprint(facts: BatchFacts) -> str:
    return sha256_hex(canonical_json(manifest_of(facts)).encode())


def _report_fingerprint(facts: BatchFacts, manifest: str) -> str:
    return hash_of([told_in_report(reported_view(facts)), manifest])


def _ready_event(facts: BatchFacts, revision: int, manifest: str) -> BatchEssaysReady:
    completeness = facts.completeness
    ready = [it for it in facts.essays if facts.outcome(it) is EssayOutcome.ACCEPTED]
    return BatchEssaysReady(
        batch_id=facts.batch.batch_id,
        revision=revision,
        expected_count=completeness.expected,
        ready_essays=tuple(
            ReadyEssay(
                essay_id=essay.slot,
                essay_version=essay.upload.version,
                raw_file_storage_id=essay.upload.blob_key,
                text_storage_id=str(facts.records[essay.slot][Stage.EXTRACTED_PLAINTEXT].blob_key),
                corrected_text_storage_id=facts.records[essay.slot][
                    Stage.SPELLCHECK_RESULT
                ].details["corrected_blob"],
            )
            for essay in ready
        ),
        rejected_count=completeness.rejected,
        waived_count=len(completeness.waived),
        manifest_storage_id=manifest,
    )
