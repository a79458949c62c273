"""What is measured: the speller of this project in its settings, and pyspellchecker alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from huleedu_dagster.settings import Settings
from huleedu_dagster.spelling.accept_lists import accept_list
from huleedu_dagster.spelling.candidates import CandidateSource
from huleedu_dagster.spelling.channel import ChannelRanker
from huleedu_dagster.spelling.dress import match_case
from huleedu_dagster.spelling.engines import IndexEngine
from huleedu_dagster.spelling.judging import NOTHING_NEAR, Judgement
from huleedu_dagster.spelling.policy import ALL_LAYERS, Layer
from huleedu_dagster.spelling.port import Confidence, Correction, Reason, SpellingOptions
from huleedu_dagster.spelling.rankers import CountRanker, Ranker
from huleedu_dagster.spelling.speller import DictionarySpeller

RANKERS: dict[str, type[CountRanker] | type[ChannelRanker]] = {
    "count": CountRanker,
    "channel": ChannelRanker,
}
"""The rankers by the name that the command takes."""

_IN_ORDER = (Layer.NAMES, Layer.POSSESSIVES, Layer.ACCEPT_LISTS, Layer.VARIETIES)


class Subject(Protocol):
    """Something that spells."""

    @property
    def name(self) -> str:
        """Its row in the tables."""
        ...

    @property
    def has_confidence(self) -> bool:
        """Whether it says how sure it is."""
        ...

    def judgement(self, word: str) -> Judgement:
        """What it suggests for a misspelled word, lower case."""
        ...

    def corrections(self, text: str) -> Sequence[Correction]:
        """What it flags in a text, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """How this project's speller is to be set.

    Attributes:
        language: ISO 639-1 code.
        variety: Such as "en-GB", or empty.
        ranker: One of `RANKERS`.
        layers: The layers of the policy in force.
        words: The batch's word list.
    """

    language: str = "en"
    variety: str = ""
    ranker: str = "count"
    layers: frozenset[Layer] = ALL_LAYERS
    words: frozenset[str] = frozenset()


class Ours:
    """The speller of this project."""

    has_confidence = True

    def __init__(self, choice: Choice, name: str = "") -> None:
        """Set it up; a missing index is built."""
        engine = IndexEngine(Settings().spelling_cache)
        self._source = engine.open(choice.language)
        self._ranker: Ranker = RANKERS[choice.ranker]()
        self._speller = DictionarySpeller(engine, ranker=self._ranker, layers=choice.layers)
        self._options = SpellingOptions(choice.language, choice.variety, choice.words)
        self.name = name or f"ranker {choice.ranker}"

    def judgement(self, word: str) -> Judgement:
        """See `Subject.judgement`."""
        return self._ranker.judgement(word, self._source)

    def corrections(self, text: str) -> Sequence[Correction]:
        """See `Subject.corrections`."""
        return self._speller.check(text, self._options).corrections


class Library:
    """pyspellchecker as its own documentation uses it: every unknown word is corrected."""

    has_confidence = False

    def __init__(self, language: str, distance: int) -> None:
        """Load its dictionary.

        Args:
            language: ISO 639-1 code.
            distance: 1, or 2 for its default, which takes a third of a second for a word.
        """
        from spellchecker import SpellChecker

        self._checker = SpellChecker(language=language, distance=distance)
        self._found: dict[str, Judgement] = {}
        self.name = f"pyspellchecker, distance {distance}"

    def judgement(self, word: str) -> Judgement:
        """See `Subject.judgement`; its own first choice, then its other candidates by count."""
        if word not in self._found:
            self._found[word] = self._judged(word)
        return self._found[word]

    def _judged(self, word: str) -> Judgement:
        candidates, first = self._checker.candidates(word), self._checker.correction(word)
        if not candidates or first is None:
            return NOTHING_NEAR
        others = sorted(candidates - {first}, key=lambda it: (-self._checker[it], it))
        return Judgement((first, *others[:2]), Confidence.UNSURE, Reason.TWO_EDITS)

    def corrections(self, text: str) -> Sequence[Correction]:
        """See `Subject.corrections`."""
        found: list[Correction] = []
        end = 0
        for word in self._checker.split_words(text):
            start = text.index(word, end)
            end = start + len(word)
            if self._checker.unknown([word]):
                near = self.judgement(word.lower())
                dressed = tuple(match_case(word, it) for it in near.suggestions)
                found.append(
                    Correction(
                        *(start, len(word), word, dressed, near.confidence, near.reason),
                        applied=bool(dressed),
                    )
                )
        return found


def layered(choice: Choice) -> list[Ours]:
    """The speller with its layers added one after another, the word list last."""
    steps = [Ours(_with(choice, frozenset()), "no layer")]
    for number, layer in enumerate(_IN_ORDER, 1):
        steps.append(Ours(_with(choice, frozenset(_IN_ORDER[:number])), f"+ {layer.value}"))
    if choice.words:
        steps.append(Ours(choice, "+ word list"))
    return steps


def _with(choice: Choice, layers: frozenset[Layer]) -> Choice:
    return Choice(choice.language, choice.variety, choice.ranker, layers)


class Absent:
    """Tells the misspellings that no dictionary holds; others cannot be found one by one."""

    def __init__(self, language: str, variety: str) -> None:
        """Open the dictionaries."""
        self.source: CandidateSource = IndexEngine(Settings().spelling_cache).open(language)
        self._accepted = accept_list(language, variety)

    def __call__(self, word: str) -> bool:
        """Whether no dictionary holds `word`, lower case."""
        return not self.source.known(word) and not self._accepted.accepts(word)
