"""The figures as tables in Markdown and as JSON."""

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.accuracy.figures import Share, TextFigures, WordFigures
from huleedu_dagster.spelling.port import Confidence

WORD_HEAD = (
    "words",
    *("top-1 %", "top-3 %", "nearest %", "within 2 %"),
    *("certain: n", "right %", "likely: n", "right %", "unsure: n", "right %", "ms a word"),
)
TEXT_HEAD = (
    "flags / 1,000",
    *("false / 1,000", "errors", "flagged %", "non-words flagged %", "fixed %", "damaged"),
    *("spoiled", "top-1 %", "top-3 %", "certain: n", "right %"),
)

Cell = float | int | None


def word_cells(figures: WordFigures) -> list[Cell]:
    """The cells of one subject, in the order of `WORD_HEAD`."""
    shares = (figures.first, figures.among_three, figures.nearest, figures.within_two)
    cells: list[Cell] = [figures.first.whole, *(it.of() for it in shares)]
    for confidence in Confidence:
        cells += _of_confidence(figures.right, confidence)
    return [*cells, figures.milliseconds]


def text_cells(figures: TextFigures) -> list[Cell]:
    """The cells of one subject, in the order of `TEXT_HEAD`."""
    return [
        figures.per_thousand(figures.flags),
        figures.per_thousand(len(figures.false_flags)),
        figures.flagged.whole,
        *(figures.flagged.of(), figures.flagged_non_words.of(), figures.fixed.of()),
        *(len(figures.damaged), len(figures.spoiled)),
        *(figures.first.of(), figures.among_three.of()),
        *_of_confidence(figures.right, Confidence.CERTAIN),
    ]


def _of_confidence(right: Mapping[Confidence, Share], confidence: Confidence) -> list[Cell]:
    share = right.get(confidence)
    return [None, None] if share is None else [share.whole, share.of()]


def table(head: Sequence[str], rows: Sequence[tuple[str, Sequence[Cell]]]) -> Iterator[str]:
    """The lines of a table."""
    yield f"| | {' | '.join(head)} |"
    yield "|---" * (len(head) + 1) + "|"
    for name, cells in rows:
        yield f"| {name} | {' | '.join(map(_shown, cells))} |"


def word_json(source: str, figures: WordFigures) -> dict[str, object]:
    """What one subject made of one list."""
    return {
        "source": source,
        "subject": figures.subject,
        "words": figures.first.whole,
        "top_1": figures.first.of(),
        "top_3": figures.among_three.of(),
        "nearest": figures.nearest.of(),
        "within_2": figures.within_two.of(),
        "confidence": _confidence_json(figures.right),
        "wrong_but_certain": [list(it) for it in figures.wrong],
        "ms_a_word": figures.milliseconds,
    }


def text_json(source: str, figures: TextFigures) -> dict[str, object]:
    """What one subject made of one text, or of all of them."""
    return {
        "source": source,
        "subject": figures.subject,
        "tokens": figures.tokens,
        "flags_per_1000": figures.per_thousand(figures.flags),
        "false_flags_per_1000": figures.per_thousand(len(figures.false_flags)),
        "false_flags": figures.false_flags,
        "errors": figures.flagged.whole,
        "flagged": figures.flagged.of(),
        "non_words_flagged": figures.flagged_non_words.of(),
        "fixed": figures.fixed.of(),
        "damaged": [list(it) for it in figures.damaged],
        "spoiled": [list(it) for it in figures.spoiled],
        "top_1": figures.first.of(),
        "top_3": figures.among_three.of(),
        "confidence": _confidence_json(figures.right),
    }


def _confidence_json(right: Mapping[Confidence, Share]) -> dict[str, object]:
    return {it.value: {"n": share.whole, "right": share.of()} for it, share in right.items()}


def _shown(cell: Cell) -> str:
    if cell is None:
        return "–"
    return f"{cell:.1f}" if isinstance(cell, float) and cell >= 1 else str(cell)
