"""What a teacher decides about a batch: limits, language, word lists, expected count, times."""

import re
from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from huleedu_dagster.domain.durations import Timeout
from huleedu_dagster.domain.ids import MAX_SLOTS
from huleedu_dagster.domain.keys import hash_of

_LANGUAGE = re.compile(r"[a-z]{2,3}")
_VARIETY = re.compile(r"([a-z]{2,3})-[A-Z]{2}")


class ApplyCorrections(StrEnum):
    """Which corrections the corrected text holds, by the confidence in them."""

    NONE = "none"
    CERTAIN = "certain"
    LIKELY = "likely"
    ALL = "all"


class BatchSettings(BaseModel):
    """The settings that decide results; a change makes validation and spelling stale.

    Attributes:
        language: ISO 639-1 code of the essays' language.
        variety: Variety of the language whose spelling alone is right, with its country ("en-GB");
            empty when all are right.
        min_words: Fewest words an essay may have.
        max_words: Most words an essay may have.
        word_list: Words to accept in this batch (names, terms), lower case, sorted.
        apply_corrections: Which corrections the corrected text holds: none, those that are
            certain, also those that are likely, or all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: str = "en"
    variety: str = ""
    min_words: int = Field(default=5, ge=0)
    max_words: int = Field(default=10_000, ge=1)
    word_list: tuple[str, ...] = ()
    apply_corrections: ApplyCorrections = ApplyCorrections.CERTAIN

    @field_validator("language")
    @classmethod
    def _language_is_a_code(cls, value: str) -> str:
        if _LANGUAGE.fullmatch(value) is None:
            raise ValueError("a language is a code of two or three lower-case letters")
        return value

    @field_validator("word_list")
    @classmethod
    def _words_in_one_form(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        words = {word.strip().lower().replace("\u2019", "'") for word in value}
        return tuple(sorted(words - {""}))

    @model_validator(mode="after")
    def _limits_in_order(self) -> "BatchSettings":
        if self.min_words > self.max_words:
            raise ValueError("min_words is at most max_words")
        return self

    @model_validator(mode="after")
    def _variety_of_the_language(self) -> "BatchSettings":
        match = _VARIETY.fullmatch(self.variety)
        if self.variety and (match is None or match[1] != self.language):
            raise ValueError(
                f"a variety of {self.language!r} is the language with a country, such as en-GB"
            )
        return self

    @property
    def data_version(self) -> str:
        """The data version of the asset `batch_registration`: a hash of these settings."""
        return hash_of(self.model_dump(mode="json"))

    def validation_configuration(self) -> dict[str, int]:
        """What the stage `validation_result` reads."""
        return {"min_words": self.min_words, "max_words": self.max_words}

    def spelling_configuration(self) -> dict[str, object]:
        """What the stage `spellcheck_result` reads."""
        return {
            "language": self.language,
            "variety": self.variety,
            "word_list": list(self.word_list),
            "apply_corrections": self.apply_corrections,
        }


class Registration(BaseModel):
    """A registered batch. Older versions took any timeout, and the ledger may hold such a one.

    Attributes:
        expected_essay_count: Slots the batch has; `None` when nobody said (then the most there
            can be, and nothing is ever missing).
        deadline: When the batch closes, in UTC.
        timeout_seconds: Seconds from registration to closing, where there is no deadline.
        source: Who registered: `cli`, `inbox` or `api`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_id: str
    registered_at: datetime
    correlation_id: str
    settings: BatchSettings = BatchSettings()
    expected_essay_count: int | None = Field(default=None, ge=1)
    deadline: AwareDatetime | None = None
    timeout_seconds: float | None = Field(default=None, gt=0)
    source: str = "cli"
    course: str = ""
    class_name: str = ""
    instructions: str = ""

    @field_validator("expected_essay_count")
    @classmethod
    def _fits_one_batch(cls, value: int | None) -> int | None:
        if value is not None and value > MAX_SLOTS:
            raise ValueError(
                f"a batch has at most {MAX_SLOTS} essays; register a larger exam as several batches"
            )
        return value

    @property
    def slots(self) -> int:
        """How many essays the batch has room for."""
        return self.expected_essay_count or MAX_SLOTS


class NewRegistration(Registration):
    """A batch that is being registered."""

    timeout_seconds: Timeout | None = None
