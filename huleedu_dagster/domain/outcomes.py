"""Outcomes of essays and stages, and the error codes a teacher or an operator meets.

Rejected is data, not failure: every bad input has a code, a sentence in plain words and a next
step. Only infrastructure raises. The codes come from the error taxonomy of the platform
(`docs/error-codes.md` is written from this module).
"""

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """The four assets every registered essay passes, in this order; the values are asset keys."""

    RAW_UPLOAD = "raw_upload"
    EXTRACTED_PLAINTEXT = "extracted_plaintext"
    VALIDATION_RESULT = "validation_result"
    SPELLCHECK_RESULT = "spellcheck_result"


class StageOutcome(StrEnum):
    """What one stage made of one essay."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    NOT_REACHED = "not_reached"


class EssayOutcome(StrEnum):
    """What a reader is told about one uploaded file."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DEAD_LETTERED = "dead_lettered"
    EXCESS = "excess"
    PENDING = "pending"
    WAIVED = "waived"


class Code(StrEnum):
    """Why a file was not accepted. Stable: events, reports and metrics carry these words."""

    UNSUPPORTED_FORMAT = "UNSUPPORTED_FORMAT"
    CORRUPTED_FILE = "CORRUPTED_FILE"
    PASSWORD_PROTECTED = "PASSWORD_PROTECTED"  # noqa: S105 - a code, not a secret
    TOO_LARGE = "TOO_LARGE"
    TIMEOUT = "TIMEOUT"
    PARSER_CRASHED = "PARSER_CRASHED"
    NO_TEXT_LAYER = "NO_TEXT_LAYER"
    UNDECODABLE_TEXT = "UNDECODABLE_TEXT"
    EMPTY_CONTENT = "EMPTY_CONTENT"
    CONTENT_TOO_SHORT = "CONTENT_TOO_SHORT"
    CONTENT_TOO_LONG = "CONTENT_TOO_LONG"
    BATCH_FULL = "BATCH_FULL"
    ARRIVED_LATE = "ARRIVED_LATE"
    INFRASTRUCTURE_FAILURE = "INFRASTRUCTURE_FAILURE"


class Warn(StrEnum):
    """What a teacher should know about an accepted text. A warning never rejects."""

    GARBLED_TEXT = "GARBLED_TEXT"
    HIDDEN_TEXT_PRESENT = "HIDDEN_TEXT_PRESENT"
    TRACKED_CHANGES_RESOLVED = "TRACKED_CHANGES_RESOLVED"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A code in a teacher's words.

    Attributes:
        sentence: What happened.
        next_step: What to do about it.
    """

    sentence: str
    next_step: str

    @property
    def text(self) -> str:
        """Sentence and next step, as one line of a table."""
        return f"{self.sentence} {self.next_step}"


EXPLANATIONS: dict[Code, Explanation] = {
    Code.UNSUPPORTED_FORMAT: Explanation(
        "This kind of file cannot be read.",
        "Open it where it was written, save it as docx or PDF, and hand it in again.",
    ),
    Code.CORRUPTED_FILE: Explanation(
        "The file is damaged or incomplete, so its text cannot be trusted.",
        "Ask the student to open it, save it again and hand in the new file.",
    ),
    Code.PASSWORD_PROTECTED: Explanation(
        "The file is locked with a password.",
        "Ask the student to save it without a password and hand it in again.",
    ),
    Code.TOO_LARGE: Explanation(
        "The file, or what it unpacks to, is larger than an essay can be.",
        "Remove pictures and attachments, save it again and hand in the smaller file.",
    ),
    Code.TIMEOUT: Explanation(
        "Reading the file took too long and was stopped.",
        "Save it as a new docx or PDF and hand it in again; if it repeats, tell your operator.",
    ),
    Code.PARSER_CRASHED: Explanation(
        "The file made its reader stop working, twice.",
        "Save it as a new docx or PDF and hand it in again; if it repeats, tell your operator.",
    ),
    Code.NO_TEXT_LAYER: Explanation(
        "The PDF holds pictures of pages but no text.",
        "Hand in the document it was made from, or a PDF exported from a word processor.",
    ),
    Code.UNDECODABLE_TEXT: Explanation(
        "The file does not hold readable text.",
        "Save it as plain text in UTF-8, as docx or as PDF, and hand it in again.",
    ),
    Code.EMPTY_CONTENT: Explanation(
        "The file has no text in it.",
        "Check that the right file was handed in, and hand in the one with the essay.",
    ),
    Code.CONTENT_TOO_SHORT: Explanation(
        "The text is shorter than this batch allows.",
        "Check that the whole essay is in the file, or ask for a lower limit for the batch.",
    ),
    Code.CONTENT_TOO_LONG: Explanation(
        "The text is longer than this batch allows.",
        "Check that only one essay is in the file, or ask for a higher limit for the batch.",
    ),
    Code.BATCH_FULL: Explanation(
        "The batch already has all the essays it expects; this file is kept but not processed.",
        "If it belongs to the class, register a batch that expects one more essay.",
    ),
    Code.ARRIVED_LATE: Explanation(
        "The file arrived after the batch was closed; it is kept but not processed.",
        "If it should count, reopen the batch.",
    ),
    Code.INFRASTRUCTURE_FAILURE: Explanation(
        "The system could not finish this essay; the file itself is safe.",
        "An operator can replay it from the dead letters once the cause is mended.",
    ),
}

WARNINGS: dict[Warn, str] = {
    Warn.GARBLED_TEXT: "Some letters of this file may have been read wrongly.",
    Warn.HIDDEN_TEXT_PRESENT: "The file holds hidden text, which was left out.",
    Warn.TRACKED_CHANGES_RESOLVED: (
        "The file holds tracked changes; the text is read with all of them accepted."
    ),
}


def explain(code: Code) -> Explanation:
    """The teacher's words for `code`. Every code has them; a test holds that."""
    return EXPLANATIONS[code]
