"""Suggestions in the look of the word they replace: case, apostrophes, prefix and suffix."""

from collections.abc import Callable

from huleedu_dagster.spelling.policy import Parts
from huleedu_dagster.spelling.tokens import APOSTROPHES, composed


def match_case(original: str, suggestion: str) -> str:
    """Return `suggestion`, which is lower case, in the case of `original`.

    All capitals and an initial capital are carried over; any other mixture is taken for lower.
    """
    if len(original) > 1 and original.isupper():
        return suggestion.upper()
    if original[:1].isupper():
        return capital(suggestion)
    return suggestion


def capital(word: str) -> str:
    """Return `word` with a capital first letter."""
    return word[:1].upper() + word[1:]


def dress(original: str, word: Parts, core: str, accepts: Callable[[str], bool]) -> str:
    """Give a suggestion for the core of a word its prefix, its suffix, and its look.

    Args:
        original: The word as written.
        word: The word taken apart.
        core: The suggestion, lower case.
        accepts: Whether an accept-list holds a word as it is written; what it holds with a
            capital only ("London") gets one.
    """
    written = composed(original)
    end = len(written) - len(word.suffix)
    shown = match_case(written[len(word.prefix) : end], core)
    if shown == core and not accepts(core) and accepts(capital(core)):
        shown = capital(core)
    apostrophe = next((char for char in original if char in APOSTROPHES), "'")
    return f"{written[: len(word.prefix)]}{shown}{written[end:]}".replace("'", apostrophe)
