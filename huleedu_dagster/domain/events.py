"""The typed events of the platform and the envelope they travel in.

Commands are imperative, events past tense. An event's identity is its type and the hash of its
`data`: a fact published again is the same event, whatever its envelope says. Models are
contracts: a change needs a higher `schema_version`, a new committed schema (`huleedu schemas`)
and a line in the CHANGELOG.
"""

import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from huleedu_dagster.domain.keys import canonical_json, sha256_hex
from huleedu_dagster.domain.outcomes import Code, Warn

SOURCE_SERVICE = "huleedu-dagster"
_NAMESPACE = uuid.UUID("6f0d8f0e-6a0c-5a5b-9c39-2f6a2f6b7d11")


class EventData(BaseModel):
    """Base of all event payloads. Immutable; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_type: ClassVar[str]
    schema_version: ClassVar[int] = 1


class EssayContentProvisionedV1(EventData):
    """An essay's text was extracted, passed validation and is stored."""

    event_type: ClassVar[str] = "huleedu.file.essay_content.provisioned.v1"

    batch_id: str
    essay_id: str
    essay_version: int = Field(ge=1)
    raw_file_storage_id: str
    text_storage_id: str
    text_sha256: str
    word_count: int = Field(ge=0)
    warnings: tuple[Warn, ...] = ()


class EssayValidationFailedV1(EventData):
    """An essay was rejected, by the extraction or by the rules of its batch."""

    event_type: ClassVar[str] = "huleedu.file.essay_validation.failed.v1"

    batch_id: str
    essay_id: str
    essay_version: int = Field(ge=1)
    raw_file_storage_id: str
    error_code: Code
    error_message: str
    next_step: str
    transient: bool = False


class EssayUploadFinishedV1(EventData):
    """A request (or one sweep of a folder) handed in its last file."""

    event_type: ClassVar[str] = "huleedu.file.essay_upload.finished.v1"

    event: Literal["essay.upload.finished"] = "essay.upload.finished"
    batch_id: str
    expected_count: int = Field(ge=0, description="files in this request")
    upload_ts: datetime
    correlation_id: uuid.UUID | None = None


class ExcessContentProvisionedV1(EventData):
    """A file was kept without a slot: the batch was full, or closed before it arrived."""

    event_type: ClassVar[str] = "huleedu.batch.excess_content.provisioned.v1"

    batch_id: str
    upload_id: str
    raw_file_storage_id: str
    reason: Literal[Code.BATCH_FULL, Code.ARRIVED_LATE]


class ReadyEssay(BaseModel):
    """One accepted essay of a ready batch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    essay_id: str
    essay_version: int = Field(ge=1)
    raw_file_storage_id: str
    text_storage_id: str
    corrected_text_storage_id: str


class BatchEssaysReady(EventData):
    """A batch is settled with nothing missing and is released."""

    event_type: ClassVar[str] = "huleedu.batch.essays.ready.v1"

    batch_id: str
    revision: int = Field(ge=1)
    expected_count: int | None
    ready_essays: tuple[ReadyEssay, ...]
    rejected_count: int = Field(ge=0)
    waived_count: int = Field(ge=0)
    manifest_storage_id: str


class BatchReadinessTimeout(EventData):
    """A batch was closed with essays missing."""

    event_type: ClassVar[str] = "huleedu.batch.readiness.timed_out.v1"

    batch_id: str
    expected_count: int = Field(ge=1)
    received_count: int = Field(ge=0)
    missing_count: int = Field(ge=1)
    missing_essay_ids: tuple[str, ...]
    closed_by: Literal["deadline", "timeout", "request", "quiet"]
    closed_at: datetime


class SpellcheckInitiate(EventData):
    """Command: check the spelling of this text."""

    event_type: ClassVar[str] = "huleedu.spellcheck.essay.initiate.v1"

    batch_id: str
    essay_id: str
    raw_file_storage_id: str
    text_storage_id: str
    language: str


class SpellCheckCompletedV1(EventData):
    """The spelling of an essay was checked; result and corrected text are stored."""

    event_type: ClassVar[str] = "huleedu.spellcheck.essay.completed.v1"

    batch_id: str
    essay_id: str
    raw_file_storage_id: str
    text_storage_id: str
    result_storage_id: str
    corrected_text_storage_id: str
    language: str
    word_count: int = Field(ge=0)
    misspelling_count: int = Field(ge=0)


EVENT_MODELS: tuple[type[EventData], ...] = (
    EssayContentProvisionedV1,
    EssayValidationFailedV1,
    EssayUploadFinishedV1,
    ExcessContentProvisionedV1,
    BatchEssaysReady,
    BatchReadinessTimeout,
    SpellcheckInitiate,
    SpellCheckCompletedV1,
)

DataT = TypeVar("DataT", bound=EventData)


class EventEnvelope(BaseModel, Generic[DataT]):
    """What every event travels in.

    Attributes:
        event_id: UUIDv5 of event type and data hash; equal for the same fact.
        event_timestamp: When the fact was first recorded, in UTC.
        data_schema_uri: Names the JSON Schema of `data` that is committed under `schemas/`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_id: uuid.UUID
    event_type: str = Field(pattern=r"^huleedu\.[a-z_]+\.[a-z_]+\.[a-z_]+\.v[0-9]+$")
    event_timestamp: datetime
    source_service: str = SOURCE_SERVICE
    schema_version: int = Field(ge=1)
    correlation_id: str
    data_schema_uri: str
    data: DataT


def deterministic_event_id(data: Mapping[str, Any] | bytes) -> str:
    """The content hash of an event: sha256 over canonical JSON of its `data`, never its envelope.

    Args:
        data: The payload, or a whole envelope as received, in bytes. Bytes that are not UTF-8,
            not JSON or hold no `data` are hashed as they are.

    Returns:
        64 hexadecimal digits.
    """
    if isinstance(data, bytes):
        try:
            payload = json.loads(data.decode())["data"]
            return sha256_hex(canonical_json(payload).encode())
        except (UnicodeError, ValueError, TypeError, KeyError, RecursionError):
            return sha256_hex(data)
    return sha256_hex(canonical_json(dict(data)).encode())


def event_uuid(event_type: str, data_hash: str) -> uuid.UUID:
    """The envelope's `event_id`: UUIDv5 of event type and data hash."""
    return uuid.uuid5(_NAMESPACE, f"{event_type}:{data_hash}")


def schema_uri(model: type[EventData]) -> str:
    """The name of the JSON Schema that `model` is published under."""
    return f"urn:huleedu:schema:{model.__name__}:{model.schema_version}"


def envelop(data: DataT, *, correlation_id: str, timestamp: datetime) -> EventEnvelope[DataT]:
    """Put `data` in an envelope.

    Args:
        data: The fact.
        correlation_id: Ties together all that one request caused.
        timestamp: When the fact was recorded, in UTC.
    """
    data_hash = deterministic_event_id(data.model_dump(mode="json"))
    return EventEnvelope[DataT](
        event_id=event_uuid(data.event_type, data_hash),
        event_type=data.event_type,
        event_timestamp=timestamp,
        schema_version=data.schema_version,
        correlation_id=correlation_id,
        data_schema_uri=schema_uri(type(data)),
        data=data,
    )
