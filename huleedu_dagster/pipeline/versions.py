"""Code versions of the four essay assets: what decides a result besides data and settings."""

from dataclasses import dataclass

from huleedu_dagster.domain import validation
from huleedu_dagster.domain.keys import hash_of
from huleedu_dagster.domain.outcomes import Stage

_RAW_UPLOAD = "1"


@dataclass(frozen=True, slots=True)
class CodeVersions:
    """The code version of each stage."""

    raw_upload: str
    extracted_plaintext: str
    validation_result: str
    spellcheck_result: str

    @classmethod
    def of(cls, *, extraction: str, spelling: str, spelling_revision: str = "") -> "CodeVersions":
        """Put the versions together.

        Args:
            extraction: Version of the extractor with its libraries.
            spelling: Version of the speller with its library and dictionaries.
            spelling_revision: An operator's word that all spelling is stale.
        """
        suffix = f" revision {spelling_revision}" if spelling_revision else ""
        return cls(_RAW_UPLOAD, extraction, validation.VERSION, spelling + suffix)

    def of_stage(self, stage: Stage) -> str:
        """The code version of one stage."""
        return str(getattr(self, stage.value))

    @property
    def pipeline(self) -> str:
        """One version for all four, part of run keys."""
        return hash_of([self.of_stage(stage) for stage in Stage])[:16]
