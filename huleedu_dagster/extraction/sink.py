"""Where readers put text: paragraphs, capped while they are written."""

from dataclasses import dataclass

from huleedu_dagster.domain.outcomes import Code, Warn
from huleedu_dagster.extraction.errors import ExtractionError
from huleedu_dagster.extraction.limits import ExtractionLimits


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader made of a file, before the final normaliser.

    Attributes:
        text: Paragraphs parted by an empty line.
        warnings: What a teacher should know about it.
    """

    text: str
    warnings: frozenset[Warn] = frozenset()


class TextSink:
    """Collects paragraphs and refuses more text than the limit."""

    def __init__(self, limits: ExtractionLimits) -> None:
        """Start with no text."""
        self._left = limits.max_output_chars
        self._current: list[str] = []
        self._paragraphs: list[str] = []
        self.warnings: set[Warn] = set()

    def write(self, text: str) -> None:
        """Add text to the paragraph being written.

        Raises:
            ExtractionError: TOO_LARGE, more text than the limit.
        """
        self._left -= len(text)
        if self._left < 0:
            raise ExtractionError(Code.TOO_LARGE, "more text than the output limit")
        self._current.append(text)

    def end_paragraph(self) -> None:
        """Close the paragraph being written; an empty one leaves no trace."""
        paragraph = "".join(self._current).strip()
        self._current.clear()
        if paragraph:
            self._paragraphs.append(paragraph)

    def reading(self) -> Reading:
        """Close the last paragraph and hand over everything."""
        self.end_paragraph()
        return Reading("\n\n".join(self._paragraphs), frozenset(self.warnings))


def check_length(text: str, limits: ExtractionLimits) -> None:
    """Refuse decoded text above the output limit, before anything walks through it.

    Raises:
        ExtractionError: TOO_LARGE, more text than the limit.
    """
    if len(text) > limits.max_output_chars:
        raise ExtractionError(Code.TOO_LARGE, "more text than the output limit")
