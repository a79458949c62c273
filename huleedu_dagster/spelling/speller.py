"""The speller of the product: tokens, policy, dictionary and ranker put together."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from huleedu_dagster.domain.keys import hash_of
from huleedu_dagster.spelling import policy
from huleedu_dagster.spelling.accept_lists import AcceptList, accept_list, installed_versions
from huleedu_dagster.spelling.candidates import CandidateSource
from huleedu_dagster.spelling.dress import dress
from huleedu_dagster.spelling.engines import Engine
from huleedu_dagster.spelling.judging import Judgement, is_applied, never_certain
from huleedu_dagster.spelling.policy import Flag, Layer, Rules, accepted_forms, flagged
from huleedu_dagster.spelling.port import (
    Confidence,
    Correction,
    Reason,
    SpellcheckReport,
    SpellingOptions,
)
from huleedu_dagster.spelling.rankers import CountRanker, Ranker
from huleedu_dagster.spelling.tokens import count_words, tokenise
from huleedu_dagster.spelling.varieties import OTHER_VARIETY, respellings


class Words:
    """An accept-list that remembers its answers."""

    def __init__(self, words: AcceptList) -> None:
        self._words = words
        self._answers: dict[str, bool] = {}

    def accepts(self, word: str) -> bool:
        """See `AcceptList.accepts`."""
        if word not in self._answers:
            self._answers[word] = self._words.accepts(word)
        return self._answers[word]


@dataclass(frozen=True, slots=True)
class _Tools:
    """What one kind of batch is checked with; the answers are kept for its other essays."""

    source: CandidateSource
    right: Words
    other: Words
    variety: str
    judgements: dict[str, Judgement] = field(default_factory=dict)
    respelled: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def respell(self, word: str) -> tuple[str, ...]:
        """The right spellings of a word that only the other variety has."""
        if word not in self.respelled:
            foreign = self.other.accepts(word) and not self.right.accepts(word)
            found = (
                respellings(word, self.variety, self.right.accepts, self.other.accepts)
                if foreign
                else []
            )
            self.respelled[word] = tuple(found)
        return self.respelled[word]


class DictionarySpeller:
    """A `Speller` over the dictionaries of an engine.

    What was found for a word is remembered for the life of the instance: make one for each run.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        ranker: Ranker | None = None,
        accepted_words: Iterable[str] = (),
        layers: frozenset[Layer] = policy.ALL_LAYERS,
    ) -> None:
        """Make a speller that remembers nothing yet; no dictionary is loaded.

        Args:
            engine: Where dictionaries come from.
            ranker: Chooses suggestions; the library's own order by default.
            accepted_words: The installation's own word list.
            layers: The layers of the policy that are in force.
        """
        self._engine = engine
        self._ranker: Ranker = ranker or CountRanker()
        self._accepted = accepted_forms(accepted_words)
        self._layers = layers
        self._tools: dict[tuple[str, str], _Tools] = {}

    @property
    def version(self) -> str:
        """See `Speller.version`; no dictionary is loaded for it."""
        words = hash_of(sorted(self._accepted))[:8] if self._accepted else "none"
        return (
            f"{self._engine.version} policy={policy.REVISION} ranker={self._ranker.version} "
            f"{installed_versions()} words={words}"
        )

    @property
    def languages(self) -> frozenset[str]:
        """See `Speller.languages`."""
        return self._engine.languages

    def check(self, text: str, options: SpellingOptions) -> SpellcheckReport:
        """Check one text; see `Speller.check`.

        Raises:
            ValueError: There is no dictionary for the language.
            OSError: A dictionary or its index cannot be read.
        """
        tools = self._tools_for(options.language, options.variety)
        rules = self._rules(tools, options)
        corrections = tuple(
            self._correction(flag, tools, options) for flag in flagged(list(tokenise(text)), rules)
        )
        corrected = apply_corrections(text, corrections)
        return SpellcheckReport(corrected, corrections, count_words(text))

    def _tools_for(self, language: str, variety: str) -> _Tools:
        found = self._tools.get((language, variety))
        if found is None:
            right = Words(accept_list(language, variety))
            other = Words(accept_list(language, OTHER_VARIETY.get(variety, "")))
            source = self._engine.open(language)
            found = self._tools[language, variety] = _Tools(source, right, other, variety)
        return found

    def _rules(self, tools: _Tools, options: SpellingOptions) -> Rules:
        return Rules(
            language=options.language,
            accepted=self._accepted | accepted_forms(options.accepted_words),
            is_known=tools.source.known,
            near=lambda word: tools.source.within(word, 1),
            accepts=tools.right.accepts,
            one_variety=options.variety in OTHER_VARIETY,
            respell=tools.respell,
            layers=self._layers,
        )

    def _correction(self, flag: Flag, tools: _Tools, options: SpellingOptions) -> Correction:
        token, accepts = flag.token, tools.right.accepts
        found = self._judgement(flag, tools)
        if flag.may_be_name:
            found = never_certain(found)
        suggestions = tuple(dress(token.text, flag.parts, it, accepts) for it in found.suggestions)
        return Correction(
            token.offset,
            len(token.text),
            token.text,
            suggestions,
            found.confidence,
            found.reason,
            applied=is_applied(found, options.apply),
        )

    def _judgement(self, flag: Flag, tools: _Tools) -> Judgement:
        if flag.respellings:
            sure = Confidence.CERTAIN if len(flag.respellings) == 1 else Confidence.LIKELY
            return Judgement(flag.respellings[:3], sure, Reason.OTHER_VARIETY)
        core = flag.parts.core
        if core not in tools.judgements:
            found = self._ranker.judgement(core, tools.source)
            tools.judgements[core] = _in_variety(found, tools)
        return tools.judgements[core]


def _in_variety(found: Judgement, tools: _Tools) -> Judgement:
    """The same with suggestions of the batch's variety: the dictionary may lack its spelling."""
    if tools.variety not in OTHER_VARIETY:
        return found
    right = [next(iter(tools.respell(it)), it) for it in found.suggestions]
    return replace(found, suggestions=tuple(dict.fromkeys(right)))


def apply_corrections(text: str, corrections: Iterable[Correction]) -> str:
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
