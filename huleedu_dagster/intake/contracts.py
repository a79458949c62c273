"""What requests bring and answers hold: the models of the API, with their limits."""

import re
import unicodedata
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    create_model,
    field_validator,
)

from huleedu_dagster.domain.durations import Timeout
from huleedu_dagster.domain.ids import MAX_SLOTS
from huleedu_dagster.domain.registration import ApplyCorrections, BatchSettings
from huleedu_dagster.ledger.records import UploadStatus
from huleedu_dagster.pipeline.intake import ReceiptStatus
from huleedu_dagster.pipeline.views import BatchView

_MAX_WORDS_OF_LIST = 10_000
_MOST_WORDS = 1_000_000
_BATCH_PATTERN = r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$"
_RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]")
_VARIETY_PATTERN = r"^(?:[a-z]{2,3}-[A-Z]{2})?$"
# What `_without_controls` and `lifecycle.waive` check, told to readers of the description.
_CONTROLS = r"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f"
_WRITABLE: dict[str, Any] = {"pattern": f"^[^{_CONTROLS}]*$"}
_NOT_BLANK: dict[str, Any] = {"pattern": rf"^[^{_CONTROLS}]*[^{_CONTROLS}\s][^{_CONTROLS}]*$"}


def _without_controls(text: str) -> str:
    if any(unicodedata.category(it) in ("Cc", "Cs") and it not in "\n\r\t" for it in text):
        raise ValueError("this holds control characters")
    return text


def _as_rfc_3339(value: object) -> object:
    # Numbers would be taken for seconds since 1970.
    if not isinstance(value, str) or _RFC_3339.match(value) is None:
        raise ValueError("this is to be a date and a time, such as 2026-12-01T23:59:00Z")
    return value


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("this is out of range") from None


Line = Annotated[
    str, Field(max_length=200, json_schema_extra=_WRITABLE), AfterValidator(_without_controls)
]
Text = Annotated[
    str, Field(max_length=20_000, json_schema_extra=_WRITABLE), AfterValidator(_without_controls)
]
Word = Annotated[
    str, Field(max_length=100, json_schema_extra=_WRITABLE), AfterValidator(_without_controls)
]
Moment = Annotated[AwareDatetime, BeforeValidator(_as_rfc_3339), AfterValidator(_in_utc)]


class RegisterRequest(BaseModel):
    """A batch to register. What is left out is as the installation has it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "expected_essay_count": 30,
                    "course": "English 6",
                    "class_name": "9B",
                    "language": "en",
                    "variety": "en-GB",
                    "instructions": "Write about the sea, 300 to 500 words.",
                    "deadline": "2026-12-01T23:59:00Z",
                    "word_list": ["Selma", "Nils"],
                    "min_words": 100,
                    "max_words": 1000,
                }
            ]
        },
    )

    batch_id: str | None = Field(
        default=None, pattern=_BATCH_PATTERN, description="Id of the batch; made if left out."
    )
    expected_essay_count: int | None = Field(
        default=None, ge=1, le=MAX_SLOTS, description="Essays that are expected."
    )
    course: Line = Field(default="", description="Name of the course.")
    class_name: Line = Field(default="", description="Name of the class.")
    language: str | None = Field(
        default=None, pattern=r"^[a-z]{2,3}$", description="Language of the essays, ISO 639-1."
    )
    variety: str | None = Field(
        default=None,
        pattern=_VARIETY_PATTERN,
        description="Variety whose spelling alone is right.",
    )
    instructions: Text = Field(default="", description="What the essays are about.")
    deadline: Moment | None = Field(default=None, description="When the batch closes.")
    timeout_seconds: Timeout | None = Field(
        default=None, description="Seconds until the batch closes, where there is no deadline."
    )
    word_list: tuple[Word, ...] | None = Field(
        default=None, max_length=_MAX_WORDS_OF_LIST, description="Words that are right here."
    )
    min_words: int | None = Field(
        default=None, ge=0, le=_MOST_WORDS, description="Fewest words an essay may have."
    )
    max_words: int | None = Field(
        default=None, ge=1, le=_MOST_WORDS, description="Most words an essay may have."
    )
    apply_corrections: ApplyCorrections | None = Field(
        default=None, description="Which corrections the corrected text holds."
    )

    @field_validator(
        "expected_essay_count", "timeout_seconds", "min_words", "max_words", mode="before"
    )
    @classmethod
    def _numbers_are_numbers(cls, value: object) -> object:
        # `false` would be taken for 0 and `"5"` for 5; 5.0 is 5 in JSON.
        if isinstance(value, bool | str):
            raise ValueError("this is to be a number")
        return value

    def settings_over(self, before: BatchSettings) -> BatchSettings:
        """Put what was asked for in the place of what was before.

        Raises:
            pydantic.ValidationError: The values do not fit each other.
        """
        asked = self.model_dump(include=set(BatchSettings.model_fields), exclude_none=True)
        chosen = {**before.model_dump(), **asked}
        if self.variety is None and not chosen["variety"].startswith(f"{chosen['language']}-"):
            chosen["variety"] = ""
        return BatchSettings(**chosen)


class Registered(BaseModel):
    """A registered batch."""

    batch_id: str
    correlation_id: str = Field(description="Send it as X-Correlation-ID with the files.")
    expected_essay_count: int | None
    settings: BatchSettings


class FileStatus(StrEnum):
    """What became of a file: the words of `ReceiptStatus`, and two for files without a receipt."""

    NEW_ESSAY = ReceiptStatus.NEW_ESSAY.value
    NEW_VERSION = ReceiptStatus.NEW_VERSION.value
    EXCESS = ReceiptStatus.EXCESS.value
    LATE = ReceiptStatus.LATE.value
    UNCHANGED = ReceiptStatus.UNCHANGED.value
    REFUSED = "refused"
    IGNORED = "ignored"


class FileResult(BaseModel):
    """What became of one file. A file with an `upload_id` is kept; that is its receipt."""

    file_name: str
    status: FileStatus
    upload_id: str | None = None
    sha256: str | None = None
    bytes: int | None = Field(default=None, description="Size in bytes.")
    received_at: datetime | None = None
    essay_id: str | None = Field(default=None, description="Slot; none for excess and late files.")
    code: str | None = Field(default=None, description="Why it was refused.")
    message: str = ""


class FilesTaken(BaseModel):
    """What became of the files of one request, in order."""

    batch_id: str
    files: tuple[FileResult, ...]


class UploadView(BaseModel):
    """A file that was handed in, whatever became of it. All of them are kept."""

    upload_id: str
    file_name: str
    version: int = Field(description="Counts the files that came under this name, from 1.")
    status: UploadStatus = Field(description="Where it went.")
    essay_id: str | None = Field(description="Slot; none for excess and late files.")
    current: bool = Field(description="Whether it is the version that counts.")
    bytes: int = Field(description="Size in bytes.")
    sha256: str
    received_at: datetime


class WaiveRequest(BaseModel):
    """Why a slot is given up."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"reason": "The student is ill and hands in next term."}]},
    )

    reason: Annotated[
        str,
        Field(min_length=1, max_length=500, json_schema_extra=_NOT_BLANK),
        AfterValidator(_without_controls),
    ]


class DeadLetterView(BaseModel):
    """A dead letter, as the command line prints it."""

    dead_letter_id: int
    batch_id: str
    slot: str
    generation: int
    reason: str
    attempts: int
    correlation_id: str
    created_at: datetime
    state: str
    resolved_at: datetime | None


class Health(BaseModel):
    """That the process answers, or that it can do its work."""

    status: str = Field(examples=["ok"])


def _summary() -> Any:
    fields = {
        name: (it.annotation, ...)
        for name, it in BatchView.model_fields.items()
        if name != "essays"
    }
    return create_model("BatchSummary", __doc__="A batch with its counts.", **fields)  # type: ignore[call-overload]


BatchSummary = _summary()
