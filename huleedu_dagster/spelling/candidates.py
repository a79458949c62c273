"""The port of the search for corrections: one dictionary, asked word by word."""

from collections.abc import Mapping
from typing import Protocol


class CandidateSource(Protocol):
    """A dictionary with pyspellchecker's rules.

    All words are lower case. Every implementation gives the same answers; they differ in speed.
    """

    @property
    def version(self) -> str:
        """Engine with its revision, library version and dictionary hash; for the code version."""
        ...

    def known(self, word: str) -> bool:
        """Whether the library would not flag `word`.

        That is a word of the dictionary, or one that the library never looks at: a number, a
        single punctuation mark, a word more than three letters longer than the longest.
        """
        ...

    def count(self, word: str) -> int:
        """How often `word` occurs in the dictionary's sources; 0 if the dictionary lacks it."""
        ...

    def candidates(self, word: str) -> frozenset[str]:
        """The set that `SpellChecker.candidates()` finds at its default distance, 2.

        A word of the dictionary is its own only candidate. Otherwise they are all words at one
        edit and, only if there is none, all at two edits. Empty where the library finds nothing,
        and for a word it never looks at, which it hands back unsearched.
        """
        ...

    def within(self, word: str, distance: int) -> Mapping[str, int]:
        """All words of the dictionary within `distance` edits, each with its own distance.

        Edits are those of `candidates`: insertion, deletion, replacement, and the swap of two
        neighbours, counted as the unrestricted Damerau-Levenshtein distance. Unlike there, two
        edits are searched whether or not there is a word at one. Empty for a word that the
        library never looks at.

        Raises:
            ValueError: `distance` is neither 1 nor 2.
        """
        ...
