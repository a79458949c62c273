"""Which events the outcomes of an essay are: a pure function of its records."""

from collections.abc import Iterator, Mapping

from huleedu_dagster.domain.events import (
    EssayContentProvisionedV1,
    EssayValidationFailedV1,
    EventData,
    SpellCheckCompletedV1,
    SpellcheckInitiate,
)
from huleedu_dagster.domain.outcomes import Stage, StageOutcome, Warn, explain
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.ledger.records import Essay, StageRecord


def events_of(
    essay: Essay, records: Mapping[Stage, StageRecord], settings: BatchSettings
) -> Iterator[EventData]:
    """The events of one version of an essay. A repeated fact is dropped by the outbox."""
    for record in records.values():
        if record.outcome is StageOutcome.REJECTED:
            yield _rejection(essay, record)
    extracted = records.get(Stage.EXTRACTED_PLAINTEXT)
    validated = records.get(Stage.VALIDATION_RESULT)
    if extracted is None or validated is None or validated.outcome is not StageOutcome.ACCEPTED:
        return
    upload = essay.upload
    yield EssayContentProvisionedV1(
        batch_id=upload.batch_id,
        essay_id=essay.slot,
        essay_version=upload.version,
        raw_file_storage_id=upload.blob_key,
        text_storage_id=str(extracted.blob_key),
        text_sha256=extracted.data_version,
        word_count=validated.details["words"],
        warnings=tuple(Warn(name) for name in extracted.details["warnings"]),
    )
    yield SpellcheckInitiate(
        batch_id=upload.batch_id,
        essay_id=essay.slot,
        raw_file_storage_id=upload.blob_key,
        text_storage_id=str(extracted.blob_key),
        language=settings.language,
    )
    spelled = records.get(Stage.SPELLCHECK_RESULT)
    if spelled is not None and spelled.outcome is StageOutcome.ACCEPTED:
        yield SpellCheckCompletedV1(
            batch_id=upload.batch_id,
            essay_id=essay.slot,
            raw_file_storage_id=upload.blob_key,
            text_storage_id=str(extracted.blob_key),
            result_storage_id=str(spelled.blob_key),
            corrected_text_storage_id=spelled.details["corrected_blob"],
            language=settings.language,
            word_count=spelled.details["words"],
            misspelling_count=spelled.details["misspellings"],
        )


def _rejection(essay: Essay, record: StageRecord) -> EssayValidationFailedV1:
    if record.code is None:
        raise ValueError("a rejection has a code")
    words = explain(record.code)
    return EssayValidationFailedV1(
        batch_id=essay.upload.batch_id,
        essay_id=essay.slot,
        essay_version=essay.upload.version,
        raw_file_storage_id=essay.upload.blob_key,
        error_code=record.code,
        error_message=words.sentence,
        next_step=words.next_step,
        transient=record.transient,
    )
