"""The reference speller: pyspellchecker at its default distance, made deterministic.

It is exact and slow (a third of a second for each new unknown word): the yardstick for faster
engines, and good enough for a small class.
"""

import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from huleedu_dagster.spelling.policy import Parts, accepted_forms, flagged, parts
from huleedu_dagster.spelling.port import Correction, SpellcheckReport
from huleedu_dagster.spelling.tokens import APOSTROPHES, Token, count_words, tokenise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from spellchecker import SpellChecker

MAX_SUGGESTIONS = 3


class ReferenceSpeller:
    """A `Speller` that asks pyspellchecker, at distance 2.

    Dictionaries are loaded when a language is first used and stay for the life of the process.
    Suggestions are remembered for the life of the instance: make one for each batch run.
    """

    def __init__(self) -> None:
        """Make a speller that remembers nothing yet; no dictionary is loaded."""
        self._suggestions: dict[tuple[str, str], tuple[str, ...]] = {}

    @property
    def version(self) -> str:
        """Engine, library version and dictionary hash; reads the dictionary files once."""
        from importlib.metadata import version

        return f"reference/1 pyspellchecker {version('pyspellchecker')} dict {_dictionary_hash()}"

    @property
    def languages(self) -> frozenset[str]:
        """The languages pyspellchecker has dictionaries for."""
        from spellchecker import SpellChecker

        return frozenset(SpellChecker.languages())

    def check(
        self, text: str, *, language: str, accepted_words: frozenset[str] = frozenset()
    ) -> SpellcheckReport:
        """Check one text; see `Speller.check`.

        Raises:
            ValueError: There is no dictionary for `language`.
        """
        if language not in self.languages:
            raise ValueError(f"No dictionary for language {language!r}.")
        checker = _checker(language)
        found = flagged(
            list(tokenise(text)),
            language=language,
            accepted=accepted_forms(accepted_words),
            is_known=lambda word: not checker.unknown([word]),
        )
        corrections = tuple(self._correct(token, language) for token in found)
        return SpellcheckReport(
            apply_corrections(text, corrections), corrections, count_words(text)
        )

    def _correct(self, token: Token, language: str) -> Correction:
        word = parts(token.lookup, language)
        key = (language, word.core)
        if key not in self._suggestions:
            self._suggestions[key] = _suggest(word.core, language)
        suggestions = tuple(_dress(token.text, word, core) for core in self._suggestions[key])
        return Correction(
            token.offset, len(token.text), token.text, suggestions, applied=bool(suggestions)
        )


def apply_corrections(text: str, corrections: "Iterable[Correction]") -> str:
    """Return `text` with the first suggestion of every applied correction in its place.

    Args:
        text: The text the corrections were made for.
        corrections: In the order of the text, not overlapping.
    """
    pieces: list[str] = []
    end = 0
    for correction in corrections:
        if correction.applied:
            pieces += [text[end : correction.offset], correction.suggestions[0]]
            end = correction.offset + correction.length
    return "".join([*pieces, text[end:]])


def match_case(original: str, suggestion: str) -> str:
    """Return `suggestion`, which is lower case, in the case of `original`.

    All capitals and an initial capital are carried over; any other mixture is taken for lower.
    """
    if len(original) > 1 and original.isupper():
        return suggestion.upper()
    if original[:1].isupper():
        return suggestion[:1].upper() + suggestion[1:]
    return suggestion


def rank(word: str, candidates: "Iterable[str]", count: "Callable[[str], int]") -> list[str]:
    """Order candidates, best first, the same way in every process.

    The library prefers a candidate that differs in diacritics only, then the higher count, and
    leaves ties to the order of a set; here the alphabet settles them.

    Args:
        word: The unknown word, lower case.
        candidates: Words of the dictionary.
        count: How often a word of the dictionary occurs in its sources.
    """
    bare = _without_diacritics(word)
    return sorted(
        candidates, key=lambda item: (_without_diacritics(item) != bare, -count(item), item)
    )


@cache
def _checker(language: str) -> "SpellChecker":
    from spellchecker import SpellChecker

    return SpellChecker(language=language, distance=2)


@cache
def _dictionary_hash() -> str:
    """Hash the installed dictionaries; all seven megabytes take about 20 ms."""
    import hashlib
    from importlib.resources import files

    digest = hashlib.sha256()
    resources = files("spellchecker") / "resources"
    for resource in sorted(resources.iterdir(), key=lambda entry: entry.name):
        if resource.name.endswith(".json.gz"):
            digest.update(resource.name.encode() + b"\0")
            digest.update(hashlib.sha256(resource.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _suggest(word: str, language: str) -> tuple[str, ...]:
    checker = _checker(language)
    candidates = checker.candidates(word) or set()
    # The library answers a word it will not search, such as one too long, with the word itself.
    return tuple(rank(word, candidates - {word}, checker.__getitem__)[:MAX_SUGGESTIONS])


def _dress(original: str, word: Parts, core: str) -> str:
    """Give a suggestion for the core its prefix, its suffix, and the look of the original."""
    plain = match_case(original, word.prefix + core + word.suffix)
    apostrophe = next((char for char in original if char in APOSTROPHES), "'")
    return plain.replace("'", apostrophe)


def _without_diacritics(word: str) -> str:
    decomposed = unicodedata.normalize("NFKD", word.lower())
    return "".join(char for char in decomposed if not unicodedata.combining(char))
