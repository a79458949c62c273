"""What a reader is told about one essay: versions, stages, text and corrections."""

from typing import Any

from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.pipeline.misspellings import corrections_of, grouped
from huleedu_dagster.pipeline.views import BatchFacts, batch_view
from huleedu_dagster.storage.port import BlobStore


class UnknownEssayError(LookupError):
    """The batch has no essay in this slot."""


def essay_view(ledger: Ledger, blobs: BlobStore, batch_id: str, slot: str) -> dict[str, Any]:
    """Tell about one essay.

    Returns:
        JSON values: the line of the batch's table, `versions`, `stages`, `text`,
        `corrected_text`, `corrections` and `misspelled_words`, which are the corrections by word;
        texts are `None` where there are none. Offsets count characters of `text`. The version
        that counts is `current`: not always the last, since later ones may be `late`.

    Raises:
        UnknownBatchError: The batch is not registered.
        UnknownEssayError: It has no essay in this slot.
        BlobStoreError: A result is missing in the store or damaged.
        OSError: The store cannot be reached.
    """
    with ledger.read() as tx:
        facts = BatchFacts.read(tx, batch_id)
        essay = next((it for it in facts.essays if it.slot == slot), None)
        if essay is None:
            raise UnknownEssayError(slot)
        versions = tx.essays.versions(batch_id, essay.upload.path)
        line = next(it for it in batch_view(facts, tx.now).essays if it.essay_id == slot)
    records = facts.records.get(slot, {})
    extracted = records.get(Stage.EXTRACTED_PLAINTEXT)
    spelled = records.get(Stage.SPELLCHECK_RESULT)
    view: dict[str, Any] = {
        "batch_id": batch_id,
        **line.model_dump(mode="json"),
        "versions": [
            {
                "version": it.version,
                "status": it.status,
                "current": it.upload_id == essay.upload.upload_id,
                "received_at": it.received_at.isoformat(),
                "sha256": it.sha256,
                "bytes": it.size,
                "raw_blob": it.blob_key,
            }
            for it in versions
        ],
        "stages": [
            {
                "stage": stage,
                "outcome": records[stage].outcome,
                "code": records[stage].code,
                "data_version": records[stage].data_version,
                "code_version": records[stage].code_version,
                "duration_ms": records[stage].duration_ms,
            }
            for stage in Stage
            if stage in records
        ],
        "text": None,
        "corrected_text": None,
        "corrections": [],
        "misspelled_words": [],
    }
    if extracted is not None and extracted.blob_key:
        view["text"] = blobs.get(extracted.blob_key, extracted.data_version).decode()
    if spelled is not None and spelled.blob_key:
        details = spelled.details
        corrected = blobs.get(details["corrected_blob"], details["corrected_sha256"])
        view["corrected_text"] = corrected.decode()
        view["corrections"] = corrections_of(spelled, blobs)
        words = grouped({slot: view["corrections"]})
        view["misspelled_words"] = [it.model_dump(exclude={"essays", "by_essay"}) for it in words]
    return view
