"""The figures: what a subject gets right on words and in texts."""

import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.accuracy.sources import Misspelling, Slip, Text
from benchmarks.accuracy.subjects import Subject
from huleedu_dagster.spelling.candidates import CandidateSource
from huleedu_dagster.spelling.port import Confidence, Correction
from huleedu_dagster.spelling.tokens import composed, normalise, tokenise


@dataclass(slots=True)
class Share:
    """How many of how many."""

    part: int = 0
    whole: int = 0

    def add(self, is_part: bool) -> None:
        """Count one more."""
        self.part += is_part
        self.whole += 1

    def of(self, scale: float = 100) -> float | None:
        """The share as percent, or for another whole; nothing if there is none."""
        return round(scale * self.part / self.whole, 2) if self.whole else None


def _by_confidence(subject: Subject) -> dict[Confidence, Share]:
    return {it: Share() for it in Confidence} if subject.has_confidence else {}


@dataclass(slots=True)
class WordFigures:
    """What a subject makes of single misspelled words.

    Attributes:
        subject: Its name.
        first: The right word is the first suggestion.
        among_three: It is one of the first three.
        nearest: It is a candidate by the library's rule, which looks at two edits only where
            there is no word at one.
        within_two: It is in the dictionary at two edits or fewer.
        right: For each confidence how many first suggestions are right; nothing for a subject that
            says nothing of confidence.
        wrong: The word written, its right words and the first suggestion where a certain
            suggestion is wrong.
        milliseconds: CPU time for a word, on average.
    """

    subject: str
    first: Share = field(default_factory=Share)
    among_three: Share = field(default_factory=Share)
    nearest: Share = field(default_factory=Share)
    within_two: Share = field(default_factory=Share)
    right: dict[Confidence, Share] = field(default_factory=dict)
    wrong: list[tuple[str, str, str]] = field(default_factory=list)
    milliseconds: float = 0.0


def measure_words(
    subject: Subject, words: Sequence[Misspelling], source: CandidateSource
) -> WordFigures:
    """Ask for every word once.

    Args:
        subject: What is asked.
        words: Words that no dictionary holds.
        source: The dictionary, for whether the right word can be found at all.
    """
    figures, times = WordFigures(subject.name, right=_by_confidence(subject)), []
    for item in words:
        started = time.process_time()
        found = subject.judgement(item.wrong)
        times.append(1000 * (time.process_time() - started))
        is_right = not item.right.isdisjoint(found.suggestions[:1])
        figures.first.add(is_right)
        figures.among_three.add(not item.right.isdisjoint(found.suggestions))
        figures.nearest.add(not item.right.isdisjoint(source.candidates(item.wrong)))
        figures.within_two.add(not item.right.isdisjoint(source.within(item.wrong, 2)))
        if found.suggestions and figures.right:
            figures.right[found.confidence].add(is_right)
            if found.confidence == Confidence.CERTAIN and not is_right:
                figures.wrong.append((item.wrong, ", ".join(item.right), found.suggestions[0]))
    figures.milliseconds = round(statistics.mean(times), 3) if times else 0.0
    return figures


@dataclass(slots=True)
class TextFigures:
    """What a subject makes of texts.

    Attributes:
        subject: Its name.
        tokens: Words that a speller looks at.
        flags: All flags.
        false_flags: Flags of what is right, with the text of each.
        flagged: Which errors are flagged.
        flagged_non_words: Which of the errors that are no words are flagged; another word in the
            wrong place ("their" for "there") is one that no dictionary tells.
        fixed: Which errors the applied corrections put right.
        damaged: Applied corrections of what is right: what it was and what it became.
        spoiled: Applied corrections of an error that are another error: what was written, what it
            became and what is right.
        first: Of the flagged errors, those whose right word is the first suggestion.
        among_three: Of the flagged errors, those whose right word is one of the first three.
        right: For each confidence how many flags have the right word first; a false flag has not;
            nothing for a subject that says nothing of confidence.
    """

    subject: str
    tokens: int = 0
    flags: int = 0
    false_flags: list[str] = field(default_factory=list)
    flagged: Share = field(default_factory=Share)
    flagged_non_words: Share = field(default_factory=Share)
    fixed: Share = field(default_factory=Share)
    damaged: list[tuple[str, str]] = field(default_factory=list)
    spoiled: list[tuple[str, str, str]] = field(default_factory=list)
    first: Share = field(default_factory=Share)
    among_three: Share = field(default_factory=Share)
    right: dict[Confidence, Share] = field(default_factory=dict)

    def per_thousand(self, number: int) -> float | None:
        """So many for a thousand words that a speller looks at."""
        return Share(number, self.tokens).of(1000)


def measure_texts(subject: Subject, texts: Iterable[Text], known: CandidateSource) -> TextFigures:
    """Check every text.

    Args:
        subject: What is asked.
        texts: Annotated or clean.
        known: The dictionary, to tell the errors that are no words.
    """
    figures = TextFigures(subject.name, right=_by_confidence(subject))
    for text in texts:
        corrections = subject.corrections(text.text)
        figures.tokens += sum(1 for _ in tokenise(text.text))
        figures.flags += len(corrections)
        for slip in text.slips:
            inside = [it for it in corrections if _overlap(it, slip)]
            _count_slip(figures, text, slip, inside, known)
        for flag in corrections:
            hit = next((it for it in text.slips if _overlap(flag, it)), None)
            _count_flag(figures, text, flag, hit)
    return figures


def _count_slip(
    figures: TextFigures,
    text: Text,
    slip: Slip,
    inside: Sequence[Correction],
    known: CandidateSource,
) -> None:
    written = text.text[slip.start : slip.end]
    figures.flagged.add(bool(inside))
    if not all(known.known(normalise(it)) for it in written.split()):
        figures.flagged_non_words.add(bool(inside))
    applied = [it for it in inside if it.applied]
    became = _with_firsts(text.text, slip, applied)
    figures.fixed.add(bool(applied) and became == composed(slip.right))
    if applied and became != composed(slip.right):
        figures.spoiled.append((written, became, slip.right))
    if inside:
        figures.first.add(_has(inside[0], slip, 1))
        figures.among_three.add(_has(inside[0], slip, 3))


def _count_flag(figures: TextFigures, text: Text, flag: Correction, hit: Slip | None) -> None:
    if hit is None:
        figures.false_flags.append(flag.original)
        if flag.applied:
            figures.damaged.append((flag.original, flag.suggestions[0]))
    if figures.right:
        is_right = hit is not None and _with_firsts(text.text, hit, [flag]) == composed(hit.right)
        figures.right[flag.confidence].add(is_right)


def _overlap(flag: Correction, slip: Slip) -> bool:
    return flag.offset < slip.end and slip.start < flag.offset + flag.length


def _has(flag: Correction, slip: Slip, most: int) -> bool:
    return composed(slip.right) in map(composed, flag.suggestions[:most])


def _with_firsts(text: str, slip: Slip, applied: Sequence[Correction]) -> str:
    """The place of a slip with the first suggestions of its flags in it."""
    pieces: list[str] = []
    end = slip.start
    for flag in applied:
        first = flag.suggestions[0] if flag.suggestions else flag.original
        pieces += [text[end : flag.offset], first]
        end = flag.offset + flag.length
    return composed("".join([*pieces, text[end : slip.end]]))
