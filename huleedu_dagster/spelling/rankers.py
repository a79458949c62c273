"""The port of ranking: which words of the dictionary are suggested for an unknown one."""

from typing import Protocol

from huleedu_dagster.spelling.candidates import CandidateSource
from huleedu_dagster.spelling.judging import NOTHING_NEAR, Judgement, judge, rank


class Ranker(Protocol):
    """Chooses and orders suggestions."""

    @property
    def version(self) -> str:
        """Name and revision; part of the code version."""
        ...

    def judgement(self, word: str, source: CandidateSource) -> Judgement:
        """Say what is suggested for an unknown word.

        Args:
            word: Lower case; the dictionary lacks it.
            source: The dictionary.
        """
        ...


class CountRanker:
    """The library's own order: the nearest tier of candidates, by diacritics, count, alphabet."""

    @property
    def version(self) -> str:
        """See `Ranker.version`."""
        return "count/1"

    def judgement(self, word: str, source: CandidateSource) -> Judgement:
        """See `Ranker.judgement`."""
        candidates = source.candidates(word) - {word}
        if not candidates:
            return NOTHING_NEAR
        # All candidates are at the same distance: those at two edits are searched last.
        nearest = 1 if not source.within(word, 1).keys().isdisjoint(candidates) else 2
        ranked = rank(word, candidates, source.count)
        return judge(ranked, dict.fromkeys(ranked, nearest), source.count)
