"""The port of spelling: a text in, corrections with offsets out."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from huleedu_dagster.domain.registration import ApplyCorrections


class Confidence(StrEnum):
    """How far the first suggestion can be trusted."""

    CERTAIN = "certain"
    LIKELY = "likely"
    UNSURE = "unsure"


class Reason(StrEnum):
    """Why a word was flagged with these suggestions; `REASONS` has the sentences."""

    ONLY_CANDIDATE = "only_candidate"
    FAR_MORE_COMMON = "far_more_common"
    ONE_EDIT = "one_edit"
    TWO_EDITS = "two_edits"
    OTHER_VARIETY = "other_variety"
    MAY_BE_A_NAME = "may_be_a_name"
    NO_CANDIDATE = "no_candidate"


REASONS = {
    Reason.ONLY_CANDIDATE: "Only one known word is this near.",
    Reason.FAR_MORE_COMMON: "One letter away, and far more common than the others.",
    Reason.ONE_EDIT: "Several known words are one letter away.",
    Reason.TWO_EDITS: "Known words are two letters away.",
    Reason.OTHER_VARIETY: "Right in the other variety of the language.",
    Reason.MAY_BE_A_NAME: "It has a capital, so it may be a name.",
    Reason.NO_CANDIDATE: "No known word is near; it may be a name or a term.",
}
"""A sentence for teachers for each reason."""


@dataclass(frozen=True, slots=True)
class Correction:
    """One flagged word.

    Attributes:
        offset: Where it starts in the text, in characters.
        length: Its length in characters.
        original: The word as written.
        suggestions: The best candidates, best first, in the case of the original; at most three;
            empty when nothing is near enough.
        confidence: How far the first suggestion can be trusted.
        reason: Why.
        applied: Whether the corrected text holds the first suggestion in its place.
    """

    offset: int
    length: int
    original: str
    suggestions: tuple[str, ...]
    confidence: Confidence
    reason: Reason
    applied: bool


@dataclass(frozen=True, slots=True)
class SpellcheckReport:
    """The result for one text.

    Attributes:
        corrected_text: The text with the applied corrections in place and all else untouched.
        corrections: Every flagged word, in the order of the text.
        words: Number of words in the text.
    """

    corrected_text: str
    corrections: tuple[Correction, ...]
    words: int


@dataclass(frozen=True, slots=True)
class SpellingOptions:
    """What a batch decides about spelling.

    Attributes:
        language: ISO 639-1 code.
        variety: Variety whose spelling alone is right, as language and country ("en-GB"); empty
            when all are.
        accepted_words: Words of the batch's own list, lower case.
        apply: Which corrections the corrected text holds.
    """

    language: str = "en"
    variety: str = ""
    accepted_words: frozenset[str] = frozenset()
    apply: ApplyCorrections = ApplyCorrections.CERTAIN


class Speller(Protocol):
    """Checks spelling. A function of one text and its batch's options; nothing else.

    One object may be used by several threads.
    """

    @property
    def version(self) -> str:
        """Engine, library versions and dictionary hashes; part of the code version."""
        ...

    @property
    def languages(self) -> frozenset[str]:
        """The language codes (ISO 639-1) that can be checked."""
        ...

    def check(self, text: str, options: SpellingOptions) -> SpellcheckReport:
        """Check one text.

        Args:
            text: Plain text.
            options: The batch's.

        Raises:
            ValueError: The language of `options` is not one of `languages`.
            OSError: A dictionary or its index cannot be read.
        """
        ...
