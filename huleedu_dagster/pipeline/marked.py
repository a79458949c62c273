"""A text cut into plain pieces and flagged words, so that a template can show each safely."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from huleedu_dagster.spelling.port import REASONS, Confidence, Reason

_CONFIDENCES = {
    Confidence.CERTAIN: "Certain",
    Confidence.LIKELY: "Likely",
    Confidence.UNSURE: "Unsure",
}


@dataclass(frozen=True, slots=True)
class Flag:
    """What is said about a flagged word.

    Attributes:
        number: Its number in the text, from 1.
        confidence: `certain`, `likely` or `unsure`.
        said: The same as a word for people.
        reason: A sentence that tells why.
        applied: Whether the corrected text holds the first suggestion.
    """

    number: int
    suggestions: tuple[str, ...]
    confidence: str
    said: str
    reason: str
    applied: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the text; the pieces in order are the text.

    Attributes:
        flag: What is said about it, `None` for what is right.
    """

    text: str
    flag: Flag | None = None


class OtherTextError(ValueError):
    """The corrections are those of another text."""


def pieces(text: str, corrections: Iterable[Mapping[str, Any]]) -> list[Piece]:
    """Cut a text at its corrections.

    Args:
        text: The text that was checked.
        corrections: What was flagged, in the order of the text; offsets and lengths count
            characters.

    Raises:
        OtherTextError: A correction is not where its word is, so they belong to another text.
    """
    found: list[Piece] = []
    end = 0
    for number, it in enumerate(corrections, 1):
        begin = it["offset"]
        word = text[begin : begin + it["length"]]
        if begin < end or word != it["original"]:
            raise OtherTextError("the corrections are those of another text")
        if begin > end:
            found.append(Piece(text[end:begin]))
        found.append(Piece(word, _flag(number, it)))
        end = begin + it["length"]
    if end < len(text):
        found.append(Piece(text[end:]))
    return found


def _flag(number: int, correction: Mapping[str, Any]) -> Flag:
    confidence = Confidence(correction["confidence"])
    return Flag(
        number=number,
        suggestions=tuple(correction["suggestions"]),
        confidence=confidence,
        said=_CONFIDENCES[confidence],
        reason=REASONS[Reason(correction["reason"])],
        applied=correction["applied"],
    )
