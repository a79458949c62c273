"""The sheet of an essay: its text with the misspellings marked, for a teacher to hand back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.pipeline.marked import Flag, OtherTextError, Piece, pieces
from huleedu_dagster.pipeline.misspellings import corrections_of
from huleedu_dagster.pipeline.views import BatchFacts
from huleedu_dagster.reports.batch_content import BatchReport, Line
from huleedu_dagster.reports.templates import render
from huleedu_dagster.storage.port import BlobStore


@dataclass(slots=True)
class Word:
    """A misspelled word of a text.

    Attributes:
        number: Its number on the sheet; every place of the word in the text shows it.
        word: As it was first written.
        flag: What is said about it there.
        count: How often it is in the text.
    """

    number: int
    word: str
    flag: Flag
    count: int = 0


@dataclass(frozen=True, slots=True)
class Sheet:
    """One essay with its marked text.

    Attributes:
        name: What the teacher calls the class, or the batch's id.
        slot: The essay's slot.
        language: Code of the language that the batch is written in.
        line: What the report tells of it.
        pieces: The text, `None` when none was read.
        is_checked: Whether the marks are those of this text.
        words: The misspelled words in the order of the text, by their lower-case form.
    """

    name: str
    slot: str
    language: str
    line: Line
    pieces: tuple[Piece, ...] | None
    is_checked: bool
    words: Mapping[str, Word] = field(default_factory=dict)


def sheet_of(facts: BatchFacts, line: Line, blobs: BlobStore) -> Sheet:
    """Read the text of an essay and cut it at its misspellings.

    Args:
        facts: The batch.
        line: A line of its report that has a slot.
        blobs: Where texts and corrections are.

    Raises:
        BlobStoreError: A result is missing in the store or damaged.
        OSError: The store cannot be reached.
    """
    slot = str(line.view.essay_id)
    registration = facts.batch.registration
    shown, is_checked = _cut(facts, slot, blobs)
    return Sheet(
        name=registration.class_name or registration.batch_id,
        slot=slot,
        language=registration.settings.language,
        line=line,
        pieces=shown,
        is_checked=is_checked,
        words=_words(shown or ()),
    )


def sheets_of(facts: BatchFacts, report: BatchReport, blobs: BlobStore) -> Iterator[Sheet]:
    """The sheets of all essays that were handed in and have a slot, one after the other.

    Raises:
        BlobStoreError: A result is missing in the store or damaged.
        OSError: The store cannot be reached.
    """
    for line in report.lines:
        if line.view.essay_id and line.view.file_name:
            yield sheet_of(facts, line, blobs)


def sheet_html(sheet: Sheet) -> str:
    """The sheet as one self-contained page that prints on A4."""
    return render("batch_essay.html", sheet=sheet)


def _cut(facts: BatchFacts, slot: str, blobs: BlobStore) -> tuple[tuple[Piece, ...] | None, bool]:
    """The pieces of the text, and whether its spelling was checked."""
    records = facts.records.get(slot, {})
    read, spelled = (records.get(it) for it in (Stage.EXTRACTED_PLAINTEXT, Stage.SPELLCHECK_RESULT))
    if read is None or not read.blob_key:
        return None, False
    text = blobs.get(read.blob_key, read.data_version).decode()
    found: list[dict[str, Any]] | None = None
    if spelled is not None and spelled.blob_key:
        found = corrections_of(spelled, blobs)
    try:
        return tuple(pieces(text, found or ())), found is not None
    except OtherTextError:
        # The file was read again by other code, and its spelling is not checked yet.
        return (Piece(text),), False


def _words(shown: tuple[Piece, ...]) -> dict[str, Word]:
    found: dict[str, Word] = {}
    for it in shown:
        if it.flag is not None:
            word = it.text.lower()
            found.setdefault(word, Word(len(found) + 1, it.text, it.flag)).count += 1
    return found
