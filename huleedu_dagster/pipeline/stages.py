"""The four stages of one essay: raw upload, extracted plaintext, validation, spelling.

A stage turns the records before it into its own record. It asks first whether the work is done
under its materialization key; what is done is not done again.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from huleedu_dagster.domain.ids import ContentType, derived_blob_key, suffix_of
from huleedu_dagster.domain.keys import canonical_json, hash_of, materialization_key, sha256_hex
from huleedu_dagster.domain.outcomes import Stage, StageOutcome
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.domain.validation import validate
from huleedu_dagster.extraction.port import Extractor
from huleedu_dagster.ledger.records import Essay, StageRecord
from huleedu_dagster.pipeline.versions import CodeVersions
from huleedu_dagster.spelling.port import SpellcheckReport, Speller, SpellingOptions
from huleedu_dagster.storage.port import BlobMissingError, BlobStore


@dataclass(frozen=True, slots=True)
class Tools:
    """What the stages work with."""

    blobs: BlobStore
    extractor: Extractor
    speller: Speller
    versions: CodeVersions


@dataclass(frozen=True, slots=True)
class _Finding:
    outcome: StageOutcome
    data_version: str
    rest: Mapping[str, Any] = field(default_factory=dict)


class EssayWork:
    """One version of one essay on its way through the stages.

    Args:
        tools: Stores and engines.
        settings: The batch's settings.
        essay: The slot and its current upload.
        so_far: Records of the stages before the first that is run.
    """

    def __init__(
        self,
        tools: Tools,
        settings: BatchSettings,
        essay: Essay,
        so_far: Mapping[Stage, StageRecord],
    ) -> None:
        self._tools = tools
        self._settings = settings
        self._essay = essay
        self.records: dict[Stage, StageRecord] = dict(so_far)
        # Not `cached_property`: before Python 3.12 one lock of all instances is held for the
        # whole read, and essays would wait for each other.
        self._read_bytes: bytes | None = None
        self._read_text: str | None = None

    def key(self, stage: Stage) -> str:
        """The materialization key of a stage, from its inputs as they are now."""
        configuration: dict[str, Any] = {"upload": self._essay.upload.upload_id}
        inputs: dict[str, str] = {}
        if stage is Stage.RAW_UPLOAD:
            inputs["bytes"] = self._essay.upload.sha256
        else:
            before = list(Stage)[: list(Stage).index(stage)]
            inputs.update((earlier, self.records[earlier].data_version) for earlier in before)
        if stage is Stage.VALIDATION_RESULT:
            configuration.update(self._settings.validation_configuration())
        if stage is Stage.SPELLCHECK_RESULT:
            configuration.update(self._settings.spelling_configuration())
        return materialization_key(
            stage,
            code_version=self._tools.versions.of_stage(stage),
            configuration=configuration,
            inputs=inputs,
        )

    def run(self, stage: Stage) -> StageRecord:
        """Do the work of a stage and keep its blobs; nothing is written to the ledger.

        Raises:
            BlobStoreError: A stored input is missing or damaged.
            OSError: The store or the extractor cannot be reached.
        """
        started = time.perf_counter()
        finding = _STAGES[stage](self)
        record = StageRecord(
            batch_id=self._essay.upload.batch_id,
            slot=self._essay.slot,
            stage=stage,
            materialization_key=self.key(stage),
            upload_id=self._essay.upload.upload_id,
            code_version=self._tools.versions.of_stage(stage),
            outcome=finding.outcome,
            data_version=finding.data_version,
            duration_ms=round((time.perf_counter() - started) * 1000),
        )
        record = replace(record, **finding.rest)
        self.records[stage] = record
        return record

    @property
    def _raw_bytes(self) -> bytes:
        if self._read_bytes is None:
            upload = self._essay.upload
            self._read_bytes = self._tools.blobs.get(upload.blob_key, upload.sha256)
        return self._read_bytes

    @property
    def _text(self) -> str:
        if self._read_text is None:
            record = self.records[Stage.EXTRACTED_PLAINTEXT]
            try:
                data = self._tools.blobs.get(str(record.blob_key), record.data_version)
            except BlobMissingError:
                data = self._extracted_again(record)
            self._read_text = data.decode()
        return self._read_text

    def _extracted_again(self, record: StageRecord) -> bytes:
        """A text that the store lost, from the file that it came of; kept if it is the same."""
        found = self._tools.extractor.extract(self._raw_bytes, suffix_of(self._essay.upload.path))
        data = (found.text or "").encode()
        if sha256_hex(data) != record.data_version:
            raise BlobMissingError("a text is not in the store, and its file gives another one")
        self._tools.blobs.put(str(record.blob_key), data)
        return data

    def _raw_upload(self) -> _Finding:
        upload = self._essay.upload
        # Read for its hash: bytes that are damaged in the store must not be called an upload.
        size = len(self._raw_bytes)
        details = {"bytes": size, "version": upload.version}
        rest = {"blob_key": upload.blob_key, "details": details}
        return _Finding(StageOutcome.ACCEPTED, upload.sha256, rest)

    def _extracted_plaintext(self) -> _Finding:
        found = self._tools.extractor.extract(self._raw_bytes, suffix_of(self._essay.upload.path))
        details: dict[str, Any] = {"format": found.format, "warnings": list(found.warnings)}
        if found.text is None:
            details["found"] = found.message
            rest = {"code": found.code, "transient": found.transient, "details": details}
            return _Finding(StageOutcome.REJECTED, hash_of(["rejected", found.code]), rest)
        digest, key = self._store(ContentType.EXTRACTED_PLAINTEXT, found.text)
        self._read_text = found.text
        details["characters"] = len(found.text)
        return _Finding(StageOutcome.ACCEPTED, digest, {"blob_key": key, "details": details})

    def _validation_result(self) -> _Finding:
        extracted = self.records[Stage.EXTRACTED_PLAINTEXT]
        if extracted.outcome is not StageOutcome.ACCEPTED:
            return self._not_reached(extracted)
        found = validate(self._text, **self._settings.validation_configuration())
        outcome = StageOutcome.ACCEPTED if found.code is None else StageOutcome.REJECTED
        rest = {"code": found.code, "details": {"words": found.words}}
        return _Finding(outcome, hash_of([outcome, found.code, found.words]), rest)

    def _spellcheck_result(self) -> _Finding:
        validated = self.records[Stage.VALIDATION_RESULT]
        if validated.outcome is not StageOutcome.ACCEPTED:
            return self._not_reached(validated)
        report = self._tools.speller.check(self._text, _options(self._settings))
        result_hash, result_key = self._store(ContentType.SPELLCHECK_RESULT, _as_json(report))
        text_hash, text_key = self._store(ContentType.CORRECTED_TEXT, report.corrected_text)
        details = {
            "words": report.words,
            "misspellings": len(report.corrections),
            "applied": sum(correction.applied for correction in report.corrections),
            "corrected_blob": text_key,
            "corrected_sha256": text_hash,
            "result_sha256": result_hash,
        }
        data_version = hash_of([result_hash, text_hash])
        rest = {"blob_key": result_key, "details": details}
        return _Finding(StageOutcome.ACCEPTED, data_version, rest)

    def _not_reached(self, before: StageRecord) -> _Finding:
        data_version = hash_of(["not reached", before.data_version])
        return _Finding(StageOutcome.NOT_REACHED, data_version, {"code": before.code})

    def _store(self, kind: ContentType, text: str) -> tuple[str, str]:
        data = text.encode()
        digest = sha256_hex(data)
        key = derived_blob_key(kind, self._essay.upload.batch_id, self._essay.slot, digest)
        self._tools.blobs.put(key, data)
        return digest, key


def _options(settings: BatchSettings) -> SpellingOptions:
    return SpellingOptions(
        language=settings.language,
        variety=settings.variety,
        accepted_words=frozenset(settings.word_list),
        apply=settings.apply_corrections,
    )


def _as_json(report: SpellcheckReport) -> str:
    corrections = [
        {
            "offset": correction.offset,
            "length": correction.length,
            "original": correction.original,
            "suggestions": list(correction.suggestions),
            "confidence": correction.confidence,
            "applied": correction.applied,
            "reason": correction.reason,
        }
        for correction in report.corrections
    ]
    return canonical_json({"words": report.words, "corrections": corrections})


_STAGES = {
    Stage.RAW_UPLOAD: EssayWork._raw_upload,
    Stage.EXTRACTED_PLAINTEXT: EssayWork._extracted_plaintext,
    Stage.VALIDATION_RESULT: EssayWork._validation_result,
    Stage.SPELLCHECK_RESULT: EssayWork._spellcheck_result,
}
