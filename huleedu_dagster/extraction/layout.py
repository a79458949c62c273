"""Reading order and paragraphs of set pages, from where words stand. All lengths in points."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import median

_GUTTER_EMS = 0.9
_MIN_COLUMN_LINES = 4
_MIN_COLUMN_FILL = 0.6
_MIN_COLUMN_SHARE = 0.6
_MIN_PAGE_FILL = 0.75
_GAP = 1.25
_SIZE_CHANGE = 1.12
_INDENT_EMS = 0.6
_SPACE_EMS = 0.25
_SLACK_EMS = 0.5
_HEAD_LINES = 2
_HEAD_PAGES = 3
_HEAD_DRIFT = 4.0
_BULLETS = ("•", "▪", "◦", "‣", "●", "○", "\uf0b7")
_NUMBER = re.compile(r"\d{1,6}")
# A hyphen before these stands for the rest of a compound: `barn- och ungdom`.
_SUSPENDED = frozenset({"och", "eller", "samt", "respektive", "and", "or", "to", "till"})
_HYPHENATED = re.compile(r"[^\W\d_]-\Z")


@dataclass(frozen=True, slots=True)
class Word:
    """A word on a page.

    Attributes:
        text: Its characters, no spaces.
        x0: Left edge.
        x1: Right edge.
        y: Base line, from the bottom of the page.
        height: Height of its font, from the lowest to the highest letter.
    """

    text: str
    x0: float
    x1: float
    y: float
    height: float


@dataclass(frozen=True)
class Line:
    """Words on one base line, from left to right; never empty."""

    words: tuple[Word, ...]

    @cached_property
    def text(self) -> str:
        """The words, parted by one space."""
        return " ".join(word.text for word in self.words)

    @cached_property
    def x0(self) -> float:
        """Left edge."""
        return self.words[0].x0

    @cached_property
    def x1(self) -> float:
        """Right edge."""
        return max(word.x1 for word in self.words)

    @cached_property
    def y(self) -> float:
        """Base line of the first word."""
        return self.words[0].y

    @cached_property
    def height(self) -> float:
        """Font height of the middle word, at least one point."""
        return max(1.0, median(word.height for word in self.words))


Column = list[Line]


def without_heads(pages: Sequence[Sequence[Line]]) -> list[list[Line]]:
    """Drop running heads and page numbers.

    A line goes when it is among the outermost of its page and the same words, but for a number
    that counts pages, stand at the same height on at least three pages and on half of all.
    """
    places = [
        {id(line): _places(line, number) for line in _outer(page)}
        for number, page in enumerate(pages)
    ]
    seen = Counter(
        place for lines in places for place in {p for found in lines.values() for p in found}
    )
    needed = max(_HEAD_PAGES, len(pages) / 2)
    kept = []
    for page, lines in zip(pages, places, strict=True):
        heads = {key for key, found in lines.items() if any(seen[p] >= needed for p in found)}
        kept.append([line for line in page if id(line) not in heads])
    return kept


def _outer(page: Sequence[Line]) -> list[Line]:
    by_height = sorted(page, key=lambda line: line.y)
    if len(by_height) <= 2 * _HEAD_LINES:
        return by_height
    return by_height[:_HEAD_LINES] + by_height[-_HEAD_LINES:]


def _places(line: Line, page: int) -> set[tuple[str, int]]:
    """What and where a line is, in forms that agree for a head from page to page."""
    numbers = list(_NUMBER.finditer(line.text))
    forms = {line.text}
    # A number that counts pages is the same once the page's own is taken off.
    for match in numbers[:1] + numbers[-1:]:
        offset = int(match[0]) - page
        forms.add(f"{line.text[: match.start()]}<{offset}>{line.text[match.end() :]}")
    # Two overlapping grids, so that no height lies between two cells of both.
    step = int(line.y // _HEAD_DRIFT)
    half = int((line.y + _HEAD_DRIFT / 2) // _HEAD_DRIFT)
    return {(form, cell) for form in forms for cell in (2 * step, 2 * half + 1)}


def order_page(lines: Sequence[Line]) -> list[Column]:
    """Put a page into reading order.

    Args:
        lines: As the file gives them.

    Returns:
        Runs of lines, one below the other: the whole page, or each column between lines that
        cross the gutter.
    """
    if not lines:
        return []
    segments = [segment for line in lines for segment in _split(line)]
    gutter = _gutter(segments)
    return [list(lines)] if gutter is None else _by_bands(segments, gutter)


def _split(line: Line) -> list[Line]:
    cuts = [0]
    for at, (left, right) in enumerate(pairwise(line.words), start=1):
        if right.x0 - left.x1 > _GUTTER_EMS * line.height:
            cuts.append(at)
    cuts.append(len(line.words))
    return [Line(line.words[a:b]) for a, b in pairwise(cuts)]


def _gutter(segments: Sequence[Line]) -> float | None:
    """The left edge of a second column, when most of the page stands in two."""
    start = min(line.x0 for line in segments)
    width = max(line.x1 for line in segments) - start
    edges = Counter(round(line.x0) for line in segments)
    candidates = [x for x in edges if 0.3 * width < x - start < 0.7 * width]
    for edge in sorted(candidates, key=lambda x: (-edges[x], x)):
        left = [line for line in segments if line.x1 < edge - 3]
        right = [line for line in segments if line.x0 >= edge - 2]
        if min(len(left), len(right)) < _MIN_COLUMN_LINES:
            return None
        share = (len(left) + len(right)) / len(segments)
        filled = median(line.x1 - line.x0 for line in left) / (edge - start)
        overlap = min(left[0].y, right[0].y) > max(left[-1].y, right[-1].y)
        # The cells of a table are short, the lines of a column are not.
        if share >= _MIN_COLUMN_SHARE and filled >= _MIN_COLUMN_FILL and overlap:
            return edge
    return None


def _by_bands(segments: Sequence[Line], edge: float) -> list[Column]:
    runs: list[Column] = []
    crossing: Column = []
    left: Column = []
    right: Column = []
    for line in sorted(segments, key=lambda line: -line.y):
        if line.x0 < edge - 2 and line.x1 >= edge - 3:
            runs += [run for run in (left, right) if run]
            left, right = [], []
            crossing.append(line)
            continue
        if crossing:
            runs.append(crossing)
            crossing = []
        (right if line.x0 >= edge - 2 else left).append(line)
    return runs + [run for run in (crossing, left, right) if run]


def paragraphs(pages: Sequence[Sequence[Column]], page_width: float) -> list[str]:
    """Join lines to paragraphs, over columns and pages.

    A paragraph ends at a wider gap, a change of size, an indented line or a bullet. It also ends
    where the next word would still have fit on the line, unless the document parts paragraphs by
    gaps: then that is a line break.

    Args:
        pages: The runs of lines of each page, in reading order.
        page_width: Width of a page.

    Returns:
        The paragraphs; a line feed is a line break within one.
    """
    runs = [run for page in pages for run in page]
    alone = {id(page[0]) for page in pages if len(page) == 1}
    pitch = _pitch(runs)
    gapped = any(_is_gap(a, b, pitch) for run in runs for a, b in pairwise(run))
    found: list[str] = []
    last: Line | None = None
    last_edge = 0.0
    for run in runs:
        start, edge = _margins(run)
        if id(run) in alone and edge < _MIN_PAGE_FILL * (page_width - start):
            # No line is full, so none shows the right margin; take it for as wide as the left.
            edge = page_width - start
        for at, line in enumerate(run):
            follower = run[at + 1] if at + 1 < len(run) else None
            if last is None:
                found.append(line.text)
            else:
                apart = _is_parted(last, line, follower, start)
                if apart or (at and _is_gap(last, line, pitch)):
                    found.append(line.text)
                elif _would_have_fit(last, line, last_edge):
                    # Over a page a line break cannot be told from a paragraph.
                    _append(found, "\n\n" if not (gapped and at) else "\n", line.text)
                else:
                    found[-1] = _joined(found[-1], line.text)
            last, last_edge = line, edge
    return found


def _append(found: list[str], seam: str, text: str) -> None:
    if seam == "\n":
        found[-1] = f"{found[-1]}\n{text}"
    else:
        found.append(text)


def _is_parted(last: Line, line: Line, follower: Line | None, start: float) -> bool:
    """Whether the form of two lines alone parts them."""
    sizes = sorted((last.height, line.height))
    if sizes[1] > _SIZE_CHANGE * sizes[0] or line.text.startswith(_BULLETS):
        return True
    indent = _INDENT_EMS * line.height
    if line.x0 - start < indent or last.x0 - start >= indent:
        return False
    # A hanging indent, as in a list of sources, goes on over several lines.
    hanging = follower is not None and abs(follower.x0 - line.x0) < indent / 2
    return not hanging and not last.text.startswith(_BULLETS)


def _margins(run: Iterable[Line]) -> tuple[float, float]:
    lines = list(run)
    starts = Counter(round(line.x0) for line in lines)
    most = max(starts.values())
    common = min(x for x, count in starts.items() if count * 3 >= most)
    return float(common), max(line.x1 for line in lines)


def _pitch(runs: Iterable[Column]) -> float:
    """The usual distance of lines, in font heights: the smallest one that is common."""
    steps = Counter(
        round((a.y - b.y) / b.height, 1)
        for run in runs
        for a, b in pairwise(run)
        if a.y - b.y > 0.5 * b.height
    )
    common = [step for step, count in steps.items() if count * 8 >= steps.total()]
    return min(common, default=1.2)


def _is_gap(last: Line, line: Line, pitch: float) -> bool:
    step = last.y - line.y
    return step < 0 or step > _GAP * pitch * line.height


def _would_have_fit(last: Line, line: Line, edge: float) -> bool:
    if _HYPHENATED.search(last.text):
        return False
    first = line.words[0]
    needed = first.x1 - first.x0 + (_SPACE_EMS + _SLACK_EMS) * last.height
    return last.x1 + needed <= edge


def _joined(text: str, following: str) -> str:
    if not _HYPHENATED.search(text):
        return f"{text} {following}"
    if following.split(" ", 1)[0] in _SUSPENDED:
        return f"{text} {following}"
    if following[:1].islower():
        return text[:-1] + following
    return text + following
