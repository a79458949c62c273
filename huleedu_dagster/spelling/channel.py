"""A ranker that asks how likely a word was meant, and how likely it was misspelled that way.

A noisy channel (Kernighan, Church and Gale 1990): the score of a candidate is the logarithm of how
often it is written, less what its edits cost. Unlike the library's order, a word at two likely
edits may go before one at a single unlikely edit. It is off by default.
"""

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from huleedu_dagster.spelling.candidates import CandidateSource
from huleedu_dagster.spelling.judging import MAX_SUGGESTIONS, NOTHING_NEAR, Judgement, judge, rank
from huleedu_dagster.spelling.port import Confidence, Reason

CERTAIN_SHARE = 0.95
"""The share of a certain correction.

Without it 94.7 % of the certain corrections of the English tuning half are right, with it 97.1 %,
and with 0.98 97.5 %, but fewer are certain.
"""

_FARTHEST = 2
_LIMIT = 500.0
_REMEMBERED = 2**15
_VOWELS = frozenset("aeiouy")
_SILENT = frozenset("ehkguw")
_MARKS = frozenset("'-")
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_SOUNDS = ("cs", "ck", "sz", "cz", "gj", "jy", "fv", "dt", "bp", "bv", "mn", "kq", "vw", "ao", "xs")
_REWRITINGS = tuple(
    (re.compile(pattern), sound)
    for pattern, sound in (
        (r"[^a-z]", ""),
        (r"^(?:kn|gn|pn)", "n"),
        (r"^wr", "r"),
        (r"^ps", "s"),
        (r"ph", "f"),
        (r"(?<=[aeiou])ght", "t"),
        (r"tch", "C"),
        (r"sch", "sk"),
        (r"ch", "C"),
        (r"[st]ion|cian|tian", "Sn"),
        (r"[sc]h|[ct]i(?=[aou])", "S"),
        (r"dge|ge(?=$|[aou])", "j"),
        (r"sc(?=[eiy])|c(?=[eiy])", "s"),
        (r"ck|[cq]", "k"),
        (r"x", "ks"),
        (r"z", "s"),
        (r"mb$", "m"),
        (r"^[aeiouy]+", "A"),
        (r"(?<=.)[aeiouyhw]+", ""),
        (r"(.)\1+", r"\1"),
    )
)


# Compared by identity, so that weights are cheap to look up by.
@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What every kind of edit costs, in natural logarithms, beside the logarithm of a count.

    Found by changing one value after another as long as the right words of the tuning halves of
    the four lists in `benchmarks/accuracy` became likelier; all are halves. `docs/spelling.md` has
    what they give on the other halves. `keyboard` was set by hand: such lists hold what people
    believe, not how they type.

    Attributes:
        missing: A letter is missing.
        added: A letter is added.
        double: Taken off if the letter missing or added is one of two that are equal.
        silent: Taken off if it is a letter that is often not heard.
        vowel: Taken off if it is a vowel.
        replaced: A letter stands for another.
        vowels: Taken off if both are vowels.
        sound: Taken off if both are consonants that may sound alike.
        keyboard: Taken off if the two are neighbours on the keyboard.
        mark: An apostrophe, a hyphen or a diacritic is wrong.
        swap: Two neighbours have changed places.
        first: Added for an edit of the first letter, which is rarely wrong.
        homophone: Taken off for a candidate that sounds the same.
    """

    missing: float = 5.5
    added: float = 9.0
    double: float = 5.0
    silent: float = 2.5
    vowel: float = 1.5
    replaced: float = 7.5
    vowels: float = 0.5
    sound: float = 2.5
    keyboard: float = 0.5
    mark: float = 3.0
    swap: float = 6.5
    first: float = 1.5
    homophone: float = 1.5


class ChannelRanker:
    """Ranks all words within two edits; certain where the library's order and the odds agree.

    A correction is certain if it is so by the definition of `judge`, which sees the nearest
    candidates alone, the channel puts the same word first, and gives it a share of at least
    `CERTAIN_SHARE`. Otherwise one edit is likely and two are unsure.
    """

    def __init__(self, weights: Weights | None = None) -> None:
        """Rank with weights of one's own, or with those that were measured."""
        self._weights = weights or Weights()
        self._key = lru_cache(_REMEMBERED)(sound_key)

    @property
    def version(self) -> str:
        """See `Ranker.version`."""
        return "channel/1"

    def judgement(self, word: str, source: CandidateSource) -> Judgement:
        """See `Ranker.judgement`."""
        near = {it: far for it, far in source.within(word, _FARTHEST).items() if it != word}
        if not near:
            return NOTHING_NEAR
        scores = self._scores(word, near, source)
        bare = _bare(word)
        ranked = sorted(near, key=lambda it: (_bare(it) != bare, -scores[it], it))
        suggestions, first = tuple(ranked[:MAX_SUGGESTIONS]), ranked[0]
        plain = _plain(word, near, source)
        is_sure = plain.suggestions[0] == first and _share(first, scores) >= CERTAIN_SHARE
        if plain.confidence == Confidence.CERTAIN and is_sure:
            return Judgement(suggestions, plain.confidence, plain.reason)
        if near[first] == 1:
            return Judgement(suggestions, Confidence.LIKELY, Reason.ONE_EDIT)
        return Judgement(suggestions, Confidence.UNSURE, Reason.TWO_EDITS)

    def _scores(
        self, word: str, near: Mapping[str, int], source: CandidateSource
    ) -> dict[str, float]:
        sound = self._key(word)
        found = {}
        for item, distance in near.items():
            score = math.log(source.count(item) + 1) - self._cost(word, item, distance)
            bonus = self._weights.homophone if self._key(item) == sound else 0.0
            # Rounded, so that the last bit of a logarithm decides nothing.
            found[item] = round(score + bonus, 6)
        return found

    def _cost(self, word: str, meant: str, distance: int) -> float:
        found = _Pair(word, meant, self._weights).cost(distance)
        # Only a letter between two that are swapped ("ca", "abc") cannot be aligned.
        return found if found < math.inf else distance * self._weights.replaced


def sound_key(word: str) -> str:
    """A key that words have in common which sound alike, roughly and by English rules.

    Vowels count only at the beginning; what sounds the same is written the same.

    Args:
        word: Lower case.
    """
    key = _bare(word)
    for pattern, sound in _REWRITINGS:
        key = pattern.sub(sound, key)
    return key


def _share(item: str, scores: Mapping[str, float]) -> float:
    """How much of the probability of all candidates is that of one."""
    return 1 / sum(math.exp(min(it - scores[item], _LIMIT)) for it in scores.values())


def _plain(word: str, near: Mapping[str, int], source: CandidateSource) -> Judgement:
    """What the library's order gives, which sees the nearest candidates alone."""
    least = min(near.values())
    nearest = [it for it, far in near.items() if far == least]
    return judge(rank(word, nearest, source.count), near, source.count)


@dataclass(frozen=True, slots=True)
class _Pair:
    """A word as written, a candidate, and what edits cost."""

    word: str
    meant: str
    weights: Weights

    def cost(self, edits: int, at: int = 0, there: int = 0) -> float:
        """The cost of the cheapest way from the one to the other with so many edits.

        Args:
            edits: At most so many.
            at: What of the word is looked at.
            there: What of the candidate is looked at.
        """
        word, meant = self.word, self.meant
        if not edits:
            return 0.0 if word[at:] == meant[there:] else math.inf
        while word[at : at + 1] == meant[there : there + 1]:
            if at >= len(word):
                return 0.0
            at, there = at + 1, there + 1
        gap = (len(meant) - there) - (len(word) - at)
        ways = [math.inf]
        if there < len(meant) and abs(gap - 1) < edits:
            ways.append(self._missing(there) + self.cost(edits - 1, at, there + 1))
        if at < len(word) and abs(gap + 1) < edits:
            ways.append(self._added(at) + self.cost(edits - 1, at + 1, there))
        if abs(gap) < edits and at < len(word) and there < len(meant):
            ways.append(self._replaced(at, there) + self.cost(edits - 1, at + 1, there + 1))
            if word[at : at + 2] == meant[there : there + 2][::-1]:
                ways.append(self.weights.swap + self.cost(edits - 1, at + 2, there + 2))
        return min(ways) + (0.0 if at and there else self.weights.first)

    def _missing(self, there: int) -> float:
        return _one_letter(self.meant, there, self.weights.missing, self.weights)

    def _added(self, at: int) -> float:
        return _one_letter(self.word, at, self.weights.added, self.weights)

    def _replaced(self, at: int, there: int) -> float:
        return _replaced(self.word[at], self.meant[there], self.weights)


def _one_letter(word: str, at: int, cost: float, weights: Weights) -> float:
    """The cost of a letter of `word` that the other word lacks; `cost` is that of any letter."""
    letter = word[at]
    if letter in _MARKS:
        return weights.mark
    if letter in (word[at - 1 : at], word[at + 1 : at + 2]):
        return cost - weights.double
    if letter in _SILENT:
        return cost - weights.silent
    return cost - weights.vowel if letter in _VOWELS else cost


@lru_cache(_REMEMBERED)
def _replaced(wrote: str, wanted: str, weights: Weights) -> float:
    left, right = _bare(wrote), _bare(wanted)
    if left == right:
        return weights.mark
    if {left, right} <= _VOWELS:
        return weights.replaced - weights.vowels
    if any({left, right} == set(pair) for pair in _SOUNDS):
        return weights.replaced - weights.sound
    near = right in _neighbours(left)
    return weights.replaced - weights.keyboard if near else weights.replaced


@lru_cache(_REMEMBERED)
def _neighbours(letter: str) -> str:
    """The letters around one on a keyboard whose first row is qwerty."""
    for number, row in enumerate(_ROWS):
        at = row.find(letter)
        if letter and at >= 0:
            beside = row[max(at - 1, 0) : at] + row[at + 1 : at + 2]
            above = _ROWS[number - 1][at : at + 2] if number else ""
            below = _ROWS[number + 1][max(at - 1, 0) : at + 1] if number < 2 else ""
            return beside + above + below
    return ""


def _bare(word: str) -> str:
    if word.isascii():
        return word
    decomposed = unicodedata.normalize("NFKD", word)
    return "".join(char for char in decomposed if not unicodedata.combining(char))
