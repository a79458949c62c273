"""What the library finds, in 10 ms a word: a true distance to every word of the dictionary.

It is checked against the library itself. It leaves out what only concerns dictionaries with
numbers in their words; those are compared with the library directly.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from rapidfuzz.distance import DamerauLevenshtein, Levenshtein
from rapidfuzz.process import cdist

from huleedu_dagster.spelling.dictionaries import Dictionary, is_searched

_AT_ONCE = 50


class Yardstick:
    """All words of one dictionary, compared one by one."""

    def __init__(self, dictionary: Dictionary) -> None:
        """Read the dictionary."""
        self.counts = dictionary.counts()
        self.words = list(self.counts)
        self.letters = "".join(sorted(set().union(*self.words)))
        self.longest = max(map(len, self.words))

    def candidates(self, words: Sequence[str]) -> Iterator[frozenset[str]]:
        """For each word what `CandidateSource.candidates` has to give."""
        for word, found in zip(words, self.within(words), strict=True):
            if word in self.counts:
                yield frozenset([word])
                continue
            nearest = min(found.values(), default=0)
            yield frozenset(it for it, distance in found.items() if distance == nearest)

    def within(self, words: Sequence[str]) -> Iterator[dict[str, int]]:
        """For each word what `CandidateSource.within` has to give at a distance of 2."""
        for start in range(0, len(words), _AT_ONCE):
            some = words[start : start + _AT_ONCE]
            # A swap is two edits of Levenshtein's, every other edit one.
            rough = cdist(
                some, self.words, scorer=Levenshtein.distance, score_cutoff=4, dtype=np.uint8
            )
            for word, row in zip(some, rough, strict=True):
                near = [self.words[it] for it in np.flatnonzero(row <= 4)]
                if not is_searched(word, self.longest):
                    near = []
                exact = {it: DamerauLevenshtein.distance(word, it, score_cutoff=2) for it in near}
                yield {it: distance for it, distance in exact.items() if distance <= 2}
