"""Set pages as text: the pieces every step of the layout shares. All lengths in points.

The steps are: lines of each page (`pdf_page`), running heads away (`layout_heads`), reading order
(`layout_columns`), paragraphs (`layout_paragraphs`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

GUTTER_EMS = 1.0
_SAME_BASE_LINE = 0.3
_DROP_CAP = 1.8
_DROP_CAP_LETTERS = 2
_MAX_DROP_CAPS = 20
_BELOW_CAPITAL = 1.5


@dataclass(slots=True)
class Line:
    """Words on one base line, in reading order; never empty.

    Attributes:
        words: The words, no spaces in them.
        starts: Left edge of each word; of the first alone where no gap is wide.
        ends: Right edge of each word; of the first and the last alone where no gap is wide.
        y: Base line, from the bottom of the page.
        size: Font size of its middle word, at least one.
        bold: Whether that word is bold.
    """

    words: Sequence[str]
    starts: Sequence[float]
    ends: Sequence[float]
    y: float
    size: float
    bold: bool = False

    @property
    def text(self) -> str:
        """The words, parted by one space."""
        return " ".join(self.words)

    @property
    def x0(self) -> float:
        """Left edge."""
        return self.starts[0]

    @property
    def x1(self) -> float:
        """Right edge."""
        return self.ends[-1]

    def part(self, begin: int, end: int) -> "Line":
        """The words from `begin` up to `end`."""
        words, starts, ends = self.words[begin:end], self.starts[begin:end], self.ends[begin:end]
        return Line(words, starts, ends, self.y, self.size, self.bold)

    def gaps(self) -> Iterator[tuple[int, float]]:
        """The width of the gap before each word that is measured, but the first."""
        for at in range(1, len(self.starts)):
            yield at, self.starts[at] - self.ends[at - 1]


Column = list[Line]


def with_whole_lines(lines: Sequence[Line]) -> list[Line]:
    """Put together lines that pdfium parts: beside a raised mark, and after a drop cap."""
    lines = _without_drop_caps(lines)
    whole: list[Line] = []
    for line in lines:
        last = whole[-1] if whole else None
        if last is not None and _goes_on(last, line):
            whole[-1] = _beside(last, line)
        else:
            whole.append(line)
    return whole


def _goes_on(last: Line, line: Line) -> bool:
    height = max(last.size, line.size)
    return abs(last.y - line.y) < _SAME_BASE_LINE * height and line.x0 >= last.x1 - 0.1 * height


def _beside(last: Line, line: Line) -> Line:
    longer = last if len(last.words) >= len(line.words) else line
    starts, ends = [*last.starts, *line.starts], [*last.ends, *line.ends]
    if len(starts) < len(last.words) + len(line.words):
        starts, ends = [last.x0], [last.ends[0], line.x1]
    return Line([*last.words, *line.words], starts, ends, last.y, longer.size, longer.bold)


def _without_drop_caps(lines: Sequence[Line]) -> Sequence[Line]:
    usual = median(line.size for line in lines) if lines else 1.0
    capitals = [line for line in lines if _may_be_drop_cap(line, usual)]
    for capital in capitals[:_MAX_DROP_CAPS]:
        lines = _with_capital(lines, capital)
    return lines


def _may_be_drop_cap(line: Line, usual: float) -> bool:
    word = line.words[0]
    large = line.size > _DROP_CAP * usual
    return large and len(line.words) == 1 and len(word) <= _DROP_CAP_LETTERS and word.isalpha()


def _with_capital(lines: Sequence[Line], capital: Line) -> Sequence[Line]:
    """Put the capital before the first of the lines beside it; all of them begin at its edge."""
    beside = [
        line
        for line in lines
        if capital.y - 0.2 * line.size < line.y < capital.y + capital.size - 0.5 * line.size
        and capital.x1 - 0.5 * line.size <= line.x0 < capital.x1 + 2 * line.size
    ]
    if not beside:
        return lines
    top = max(beside, key=lambda line: line.y)
    lowest = capital.y - _BELOW_CAPITAL * top.size
    beside = [line for line in lines if abs(line.x0 - top.x0) < 1 and lowest < line.y <= top.y]
    moved = {}
    for line in beside:
        words = [capital.words[0] + line.words[0], *line.words[1:]] if line is top else line.words
        starts = [capital.x0, *line.starts[1:]]
        moved[id(line)] = Line(words, starts, line.ends, line.y, line.size, line.bold)
    return [moved.get(id(line), line) for line in lines if line is not capital]


def upward_jumps(lines: Sequence[Line]) -> list[int]:
    """Where lines, in the order of the file, go up the page again."""
    pairs = enumerate(pairwise(lines), start=1)
    return [at for at, (a, b) in pairs if b.y > a.y + 0.5 * b.size]
