"""The port of spelling: a text in, corrections with offsets out."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Correction:
    """One flagged word.

    Attributes:
        offset: Where it starts in the text, in characters.
        length: Its length in characters.
        original: The word as written.
        suggestions: The best candidates, best first, in the case of the original; at most three;
            empty when nothing is near enough.
        applied: Whether the corrected text holds the first suggestion in its place.
    """

    offset: int
    length: int
    original: str
    suggestions: tuple[str, ...]
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


class Speller(Protocol):
    """Checks spelling. A function of one text, its language and its word list; nothing else."""

    @property
    def version(self) -> str:
        """Engine, library version and dictionary hash; part of the code version."""
        ...

    @property
    def languages(self) -> frozenset[str]:
        """The language codes (ISO 639-1) that can be checked."""
        ...

    def check(
        self, text: str, *, language: str, accepted_words: frozenset[str] = frozenset()
    ) -> SpellcheckReport:
        """Check one text.

        Args:
            text: Plain text.
            language: ISO 639-1 code.
            accepted_words: Words of the batch's own list, lower case.

        Raises:
            ValueError: `language` is not one of `languages`.
        """
        ...
