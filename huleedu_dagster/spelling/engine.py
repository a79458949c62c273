"""The exact and fast search for corrections: pyspellchecker's answers from an index."""

import codecs
import zlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from huleedu_dagster.spelling.dictionaries import (
    Dictionary,
    is_near_unsearched,
    is_reached,
    is_searched,
)
from huleedu_dagster.spelling.index import Progress, obtain_index
from huleedu_dagster.spelling.index_file import FOREIGN, PREFIX, IndexFile, Tier

REVISION = 2
"""Raised with every change of the engine's answers."""

_REMEMBERED = 2**15
"""Words whose place in the dictionary is remembered; about 4 MB."""

Found = list[tuple[bytes, int]]
"""Words of the dictionary in its own letters, each with its distance."""


class IndexCandidates:
    """A `CandidateSource` that answers from the index of a dictionary.

    It may be used by several threads at once.
    """

    def __init__(self, dictionary: Dictionary, index: IndexFile) -> None:
        """Answer from an open index; see `open`."""
        self._dictionary = dictionary
        self._index = index
        self._bytes = _Bytes(index.letters)
        self._place = lru_cache(_REMEMBERED)(self._find)

    @classmethod
    def open(
        cls, dictionary: Dictionary, folder: Path, progress: Progress | None = None
    ) -> "IndexCandidates":
        """Open the index of a dictionary, building it first if need be.

        Raises:
            IndexUnavailableError: There is no whole index and it cannot be built.
            ValueError: The dictionary is none.
        """
        return cls(dictionary, obtain_index(dictionary, folder, progress))

    @property
    def version(self) -> str:
        """See `CandidateSource.version`."""
        return f"index/{REVISION} {self._dictionary.source} dict {self._dictionary.sha256[:12]}"

    def known(self, word: str) -> bool:
        """See `CandidateSource.known`."""
        return self._place(word) is not None or not is_searched(word, self._index.longest)

    def count(self, word: str) -> int:
        """See `CandidateSource.count`."""
        place = self._place(word)
        return 0 if place is None else self._index.counts[place]

    def candidates(self, word: str) -> frozenset[str]:
        """See `CandidateSource.candidates`."""
        if not is_searched(word, self._index.longest):
            return frozenset()
        if self._place(word) is not None:
            return frozenset((word,))
        return frozenset(self._near(word, 1) or self._near(word, 2))

    def within(self, word: str, distance: int) -> Mapping[str, int]:
        """See `CandidateSource.within`.

        Raises:
            ValueError: `distance` is neither 1 nor 2.
        """
        if distance not in (1, 2):
            raise ValueError(f"a distance of 1 or 2 can be searched, not {distance}")
        if not is_searched(word, self._index.longest):
            return {}
        return self._near(word, distance)

    def _coded(self, word: str) -> bytes:
        return word.translate(self._bytes).encode("latin-1")

    def _find(self, word: str) -> int | None:
        """The number of a word of the dictionary."""
        index, sought = self._index, self._coded(word)
        for place in _bucket(index.tiers[0], sought):
            if index.data[index.offsets[place] : index.offsets[place + 1]] == sought:
                return place
        return None

    def _near(self, word: str, distance: int) -> dict[str, int]:
        letters = self._index.letters
        found = {
            codecs.charmap_decode(coded, "strict", letters)[0]: edits
            for coded, edits in self._search(
                word.translate(self._bytes).encode("latin-1"), distance
            )
        }
        if distance == 2 and is_near_unsearched(word, letters):
            longest = self._index.longest
            return {it: n for it, n in found.items() if n < 2 or is_reached(word, it, longest)}
        return found

    def _search(self, sought: bytes, distance: int) -> Found:
        index = self._index
        first, end = index.of_lengths(len(sought) - distance, len(sought) + distance)
        tier, places = index.tiers[distance], set[int]()
        for remains in _deletions(sought[:PREFIX], distance):
            places.update(_bucket(tier, remains))
        data, offsets = index.data, index.offsets
        words = [data[offsets[it] : offsets[it + 1]] for it in places if first <= it < end]
        return _verified(sought, words, distance)


class _Bytes(dict[int, int]):
    """From letters to the bytes of an index, for `str.translate`."""

    def __init__(self, letters: str) -> None:
        super().__init__((ord(letter), number) for number, letter in enumerate(letters))

    def __missing__(self, letter: int) -> int:
        return FOREIGN


def _bucket(tier: Tier, remains: bytes) -> memoryview:
    number = zlib.crc32(remains) >> tier.shift
    return tier.ids[tier.starts[number] : tier.starts[number + 1]]


def _deletions(word: bytes, most: int) -> set[bytes]:
    """`word` and what is left of it when up to `most` letters are deleted."""
    found = newest = {word}
    for _ in range(most):
        newest = {it[:at] + it[at + 1 :] for it in newest for at in range(len(it))}
        found = found | newest
    return found


def _verified(sought: bytes, words: list[bytes], distance: int) -> Found:
    """Those of `words` within a distance of 1 or 2, true Damerau-Levenshtein.

    A word at a true distance of 2 is at most 3 away by optimal string alignment, which is three
    times as fast to compute: it differs only where a letter stands between two that are swapped
    ("ca", "abc": 2 and 3). It is never less, and 1 exactly when the other is 1.
    """
    from rapidfuzz.distance import OSA, DamerauLevenshtein
    from rapidfuzz.process import extract

    most = 3 if distance == 2 else distance
    near = extract(sought, words, scorer=OSA.distance, score_cutoff=most, limit=None)
    return [
        (word, min(edits, 2))
        for word, edits, _ in near
        if edits <= 2 or DamerauLevenshtein.distance(sought, word, score_cutoff=2) <= 2
    ]
