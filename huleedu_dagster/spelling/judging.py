"""How candidates become suggestions: their order, and how far the first can be trusted."""

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from huleedu_dagster.domain.registration import ApplyCorrections
from huleedu_dagster.spelling.port import Confidence, Reason

MAX_SUGGESTIONS = 3
_FAR_MORE = 10

_APPLIED = {
    ApplyCorrections.NONE: frozenset[Confidence](),
    ApplyCorrections.CERTAIN: frozenset({Confidence.CERTAIN}),
    ApplyCorrections.LIKELY: frozenset({Confidence.CERTAIN, Confidence.LIKELY}),
    ApplyCorrections.ALL: frozenset(Confidence),
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is suggested for one word; see `Correction` for the attributes."""

    suggestions: tuple[str, ...]
    confidence: Confidence
    reason: Reason


NOTHING_NEAR = Judgement((), Confidence.UNSURE, Reason.NO_CANDIDATE)


def rank(word: str, candidates: Iterable[str], count: Callable[[str], int]) -> list[str]:
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


def judge(
    ranked: list[str], distances: Mapping[str, int], count: Callable[[str], int]
) -> Judgement:
    """Say what is suggested, and how sure that is.

    Certain is a candidate without a rival, or one at one edit that is at least ten times as common
    as any other; likely is any other at one edit; the rest is unsure. Measured on misspellings of
    schools, the first suggestion alone is right four times in ten.

    Args:
        ranked: The candidates, best first.
        distances: Edits between the word and each candidate.
        count: How often a word occurs in the dictionary's sources.
    """
    if not ranked:
        return NOTHING_NEAR
    suggestions = tuple(ranked[:MAX_SUGGESTIONS])
    if len(ranked) == 1:
        return Judgement(suggestions, Confidence.CERTAIN, Reason.ONLY_CANDIDATE)
    if distances[ranked[0]] > 1:
        return Judgement(suggestions, Confidence.UNSURE, Reason.TWO_EDITS)
    if count(ranked[0]) >= _FAR_MORE * max(count(it) for it in ranked[1:]):
        return Judgement(suggestions, Confidence.CERTAIN, Reason.FAR_MORE_COMMON)
    return Judgement(suggestions, Confidence.LIKELY, Reason.ONE_EDIT)


def never_certain(found: Judgement) -> Judgement:
    """The same for a word that may be a name: a pupil's name is not to be replaced."""
    if found.confidence is not Confidence.CERTAIN:
        return found
    return replace(found, confidence=Confidence.LIKELY, reason=Reason.MAY_BE_A_NAME)


def is_applied(judgement: Judgement, apply: ApplyCorrections) -> bool:
    """Whether the corrected text is to hold the first suggestion."""
    return bool(judgement.suggestions) and judgement.confidence in _APPLIED[apply]


def _without_diacritics(word: str) -> str:
    decomposed = unicodedata.normalize("NFKD", word.lower())
    return "".join(char for char in decomposed if not unicodedata.combining(char))
