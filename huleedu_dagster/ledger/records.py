"""Plain values that the ledger takes and gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from huleedu_dagster.domain.access import Principal, Scope
from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.outcomes import Code, Stage, StageOutcome
from huleedu_dagster.domain.registration import Registration


class UploadStatus(StrEnum):
    """Where an upload went."""

    ASSIGNED = "assigned"
    EXCESS = "excess"
    LATE = "late"


class DeadLetterState(StrEnum):
    """What became of a dead letter."""

    OPEN = "open"
    REPLAYED = "replayed"
    RECOVERED = "recovered"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Batch:
    """A registered batch and where it stands.

    Attributes:
        generation: Raised with every change of its facts, and when its closing work is replayed.
        owner: Id of the token that registered it; `None` when the command line or the inbox did.
    """

    registration: Registration
    published_settings_version: str | None
    last_received_at: datetime | None
    closed_at: datetime | None
    closed_by: ClosedBy | None
    reported_fingerprint: str | None
    reported_at: datetime | None
    attempts: int
    generation: int
    owner: str | None = None

    @property
    def batch_id(self) -> str:
        """The batch's id."""
        return self.registration.batch_id


@dataclass(frozen=True, slots=True)
class Upload:
    """One file of one request, as received."""

    upload_id: str
    batch_id: str
    path: str
    version: int
    slot: str | None
    status: UploadStatus
    sha256: str
    size: int
    blob_key: str
    received_at: datetime
    correlation_id: str


@dataclass(frozen=True, slots=True)
class Essay:
    """A slot with its current upload.

    Attributes:
        pending: The current upload has no outcome under any key.
        due: A run has something to do: compute what is pending or asked for again, or tell Dagster
            what is done.
        reprocess: The generation in which somebody asked to have what is stored worked over again;
            `None` when nobody did.
    """

    upload: Upload
    slot: str
    pending: bool
    due: bool
    attempts: int
    generation: int
    reprocess: int | None = None


@dataclass(frozen=True, slots=True)
class StageRecord:
    """What one stage made of one version of one essay, under its materialization key.

    Attributes:
        details: Counts, hashes, blob keys and warnings, as JSON values; never text of the essay.
        duration_ms: Time the stage took, in milliseconds.
    """

    batch_id: str
    slot: str
    stage: Stage
    materialization_key: str
    upload_id: str
    code_version: str
    outcome: StageOutcome
    data_version: str
    code: Code | None = None
    transient: bool = False
    blob_key: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    duration_ms: int = 0
    recorded_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An essay, or a batch's closing work, that failed too often for reasons of infrastructure."""

    dead_letter_id: int
    batch_id: str
    slot: str
    generation: int
    reason: str
    attempts: int
    correlation_id: str
    created_at: datetime
    state: DeadLetterState
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True)
class Waiver:
    """An operator's decision to go on without a slot."""

    batch_id: str
    slot: str
    reason: str
    waived_at: datetime


@dataclass(frozen=True, slots=True)
class Release:
    """A released revision of a batch."""

    batch_id: str
    revision: int
    fingerprint: str
    manifest_blob: str
    released_at: datetime


@dataclass(frozen=True, slots=True)
class ApiToken:
    """What is kept of an API token: everything but the token.

    Attributes:
        last_used_at: When a request last came with it, to the minute.
    """

    token_id: str
    name: str
    token_hash: str = field(repr=False)
    scopes: frozenset[Scope]
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None

    @property
    def principal(self) -> Principal:
        """Whom a request with this token acts as."""
        return Principal(self.token_id, self.name, self.scopes)


@dataclass(frozen=True, slots=True)
class RelayDeadLetter:
    """An event that a relay could not deliver and went past.

    Attributes:
        seq: Sequence number of the event in the outbox.
    """

    letter_id: int
    relay: str
    seq: int
    event_id: str
    reason: str
    attempts: int
    created_at: datetime
    resolved_at: datetime | None
