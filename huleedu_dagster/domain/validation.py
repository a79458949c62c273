"""The rules a text must meet: not empty, not too short, not too long (limits per batch)."""

from dataclasses import dataclass

from huleedu_dagster.domain.outcomes import Code

VERSION = "1"
"""Part of the code version of `validation_result`: raise it when a rule changes."""


@dataclass(frozen=True, slots=True)
class Validation:
    """What validation found.

    Attributes:
        words: Number of words: runs of characters between white space that hold a letter or digit.
        code: Why the text is rejected, `None` when it is accepted.
    """

    words: int
    code: Code | None


def count_words(text: str) -> int:
    """Number of words as a word processor counts them, for the limits of a batch."""
    return sum(any(char.isalnum() for char in word) for word in text.split())


def validate(text: str, *, min_words: int, max_words: int) -> Validation:
    """Apply the rules to a text.

    Args:
        text: Extracted plain text.
        min_words: Fewest words allowed.
        max_words: Most words allowed.
    """
    words = count_words(text)
    if words == 0:
        return Validation(words, Code.EMPTY_CONTENT)
    if words < min_words:
        return Validation(words, Code.CONTENT_TOO_SHORT)
    if words > max_words:
        return Validation(words, Code.CONTENT_TOO_LONG)
    return Validation(words, None)
