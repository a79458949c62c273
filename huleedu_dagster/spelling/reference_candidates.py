"""The yardstick: candidates from pyspellchecker itself, a third of a second for a word."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from huleedu_dagster.spelling.dictionaries import Dictionary

if TYPE_CHECKING:
    from spellchecker import SpellChecker

REVISION = 2


class ReferenceCandidates:
    """A `CandidateSource` that asks pyspellchecker at its default distance."""

    def __init__(self, dictionary: Dictionary) -> None:
        """Load the dictionary; about half a second and 40 MB for English."""
        self._dictionary = dictionary
        self._checker = _checker(dictionary)

    @property
    def version(self) -> str:
        """See `CandidateSource.version`."""
        return f"reference/{REVISION} {self._dictionary.source} dict {self._dictionary.sha256[:12]}"

    def known(self, word: str) -> bool:
        """See `CandidateSource.known`."""
        return not self._checker.unknown([word])

    def count(self, word: str) -> int:
        """See `CandidateSource.count`."""
        return int(self._checker[word])

    def candidates(self, word: str) -> frozenset[str]:
        """See `CandidateSource.candidates`."""
        found = frozenset(self._checker.candidates(word) or ())
        # The library hands back a word it never looks at; a word it knows is an answer.
        if found == {word} and not self._checker.known([word]):
            return frozenset()
        return found

    def within(self, word: str, distance: int) -> Mapping[str, int]:
        """See `CandidateSource.within`.

        Raises:
            ValueError: `distance` is neither 1 nor 2.
        """
        if distance not in (1, 2):
            raise ValueError(f"a distance of 1 or 2 can be searched, not {distance}")
        edits = [lambda it: {it}, self._checker.edit_distance_1, self._checker.edit_distance_2]
        found: dict[str, int] = {}
        for number in range(distance, -1, -1):
            found |= dict.fromkeys(self._checker.known(edits[number](word)), number)
        return found


def _checker(dictionary: Dictionary) -> "SpellChecker":
    from spellchecker import SpellChecker

    if not dictionary.is_own:
        return SpellChecker(language=dictionary.language, distance=2)
    # The library reads the file by itself, or it would be measured by our reading of it; ours
    # refuses what is no dictionary.
    dictionary.counts()
    return SpellChecker(language=None, local_dictionary=str(dictionary.path), distance=2)
