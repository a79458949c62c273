"""The lines of one PDF page, from the characters pdfium finds and the places they stand at."""

import math
import re
from collections import Counter
from collections.abc import Callable
from ctypes import byref, c_double, create_string_buffer
from dataclasses import dataclass, field
from typing import Any

import pypdfium2.raw as pdfium_c

from huleedu_dagster.extraction.layout import GUTTER_EMS, Line, with_whole_lines

LINE_END_HYPHEN = "\ufffe"
_LINE_END = re.compile(f"[\r\n{LINE_END_HYPHEN}]+")
_WORD = re.compile("[^ \t]+")
_SAMPLED = 8
_BOLD = re.compile(rb"bold|black|heavy", re.IGNORECASE)
_NAME_BYTES = 128
_TINY = 2.0
_FAR = 1e6
_QUARTER = math.pi / 2
_ASKEW = 4
_MAX_SKEW = 0.15
_MIN_OF_EXTENT, _MAX_OF_EXTENT, _USUAL_EXTENT = 0.4, 3.0, 1.17
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]+")

_Box = tuple[float, float, float, float]
_Span = tuple[str, int, int]
_Row = tuple[int, int, bool]


@dataclass(slots=True)
class PageText:
    """What stands on one page.

    Attributes:
        lines: Lines in the main direction of the page, in the order of the file.
        characters: How many characters pdfium found.
        asides: Lines in any other direction, as a watermark has.
        hidden: Whether there was text that a reader of the page cannot see; it was left out.
    """

    lines: list[Line] = field(default_factory=list)
    characters: int = 0
    asides: list[str] = field(default_factory=list)
    hidden: bool = False


def page_text(text_page: Any, width: float, is_hidden: Callable[[int], bool] | None) -> PageText:
    """Read a page.

    Args:
        text_page: The page's characters, as pypdfium2 hands them over.
        width: Width of the page.
        is_hidden: Tells for the number of a character whether it cannot be seen; None if all can.
    """
    return _Page(text_page, width, is_hidden).read()


class _Page:
    def __init__(
        self, text_page: Any, width: float, is_hidden: Callable[[int], bool] | None
    ) -> None:
        self._width = width
        self._text_page = text_page
        self._handle = text_page.raw
        self._is_hidden = is_hidden
        self._loose = pdfium_c.FS_RECTF()
        self._name = create_string_buffer(_NAME_BYTES)
        self._matrix = pdfium_c.FS_MATRIX()
        self._x, self._y = c_double(), c_double()
        self._hidden = False

    def read(self) -> PageText:
        text = self._text()
        rows = _rows(text)
        quick = self._is_hidden is None and not self._has_wide_gaps(text, rows)
        turned: dict[int, list[Line]] = {}
        direction = 0
        for row in rows:
            line = self._quick_line(text, row) if quick else None
            if line is None:
                spans = self._seen(_spans(text, row))
                if not spans:
                    continue
                direction, line = self._line(spans, direction)
            else:
                direction = 0
            turned.setdefault(direction, []).append(line)
        main = max(turned, key=lambda it: (it != _ASKEW, _letters(turned[it]), -it), default=0)
        lines = turned.pop(main, [])
        if _reads_from_right(lines):
            lines = [_mirrored(line, self._width) for line in lines]
        lines = self._without_tiny(lines)
        asides = [line.text for others in turned.values() for line in others]
        return PageText(with_whole_lines(lines), len(text), asides, self._hidden)

    def _without_tiny(self, lines: list[Line]) -> list[Line]:
        seen = [line for line in lines if line.size >= _TINY]
        if not seen:
            return lines
        self._hidden |= len(seen) < len(lines)
        return seen

    def _seen(self, spans: list[_Span]) -> list[_Span]:
        if self._is_hidden is None:
            return spans
        seen = [span for span in spans if not self._is_hidden(span[1])]
        self._hidden |= len(seen) < len(spans)
        return seen

    def _has_wide_gaps(self, text: str, rows: list[_Row]) -> bool:
        """Whether some of the page's lines have gaps as wide as those between columns."""
        step = max(1, len(rows) // _SAMPLED)
        for row in rows[::step]:
            spans = _spans(text, row)
            if len(spans) > 1:
                _, line = self._line(spans, 0)
                if any(gap > GUTTER_EMS * line.size for _, gap in line.gaps()):
                    return True
        return False

    def _text(self) -> str:
        """One character for each of pdfium's, so that positions in both agree."""
        count = self._text_page.count_chars()
        text = str(self._text_page.get_text_range()) if count else ""
        if len(text) == count:
            return text
        codes = (pdfium_c.FPDFText_GetUnicode(self._handle, i) for i in range(count))
        return "".join(map(_character, codes))

    def _quick_line(self, text: str, row: _Row) -> Line | None:
        """A line of which only the first word and the end are measured, if it is level and near."""
        begin, end, hyphen = row
        x, y = self._origin(begin)
        last = end if hyphen else end - 1
        if not self._is_level(x, y, last):
            return None
        words = [word for word in text[begin:end].replace("\t", " ").split(" ") if word]
        handle, loose = self._handle, self._loose
        get = pdfium_c.FPDFText_GetLooseCharBox
        get(handle, begin, loose)
        start, extent = loose.left, loose.top - loose.bottom
        first_end = begin + len(words[0]) - 1
        get(handle, first_end, loose)
        ends = [max(start, loose.right)]
        if hyphen:
            words[-1] += "-"
        if last != first_end:
            get(handle, last, loose)
            ends.append(max(start, loose.right))
        if not _is_near(start, sum(ends)):
            return None
        middle = (begin + end) // 2
        middle += text[middle] in " \t"
        return Line(words, (start,), ends, y, *self._font(middle, extent))

    def _is_level(self, x: float, y: float, last: int) -> bool:
        """Whether the line of that first origin runs from left to right up to `last`."""
        x_end, y_end = self._origin(last)
        return 0 < x_end - x < _FAR and abs(y_end - y) < 0.1 * (x_end - x) and _is_near(x, y)

    def _line(self, spans: list[_Span], before: int) -> tuple[int, Line]:
        x, y = self._origin(spans[0][1])
        if self._is_level(x, y, spans[-1][2]):
            return 0, self._level_line(spans, y)
        return self._turned_line(spans, before)

    def _level_line(self, spans: list[_Span], y: float) -> Line:
        handle, loose = self._handle, self._loose
        box, get = byref(loose), pdfium_c.FPDFText_GetLooseCharBox
        words, starts, ends = [], [], []
        extent = 0.0
        for word, first, last in spans:
            get(handle, first, box)
            start = loose.left
            if last != first:
                get(handle, last, box)
            words.append(word)
            starts.append(start)
            ends.append(max(start, loose.right))
            extent = max(extent, loose.top - loose.bottom)
        if not _is_near(sum(starts), sum(ends)):
            starts, ends = [_near(it) for it in starts], [_near(it) for it in ends]
        return Line(words, starts, ends, y, *self._font(spans[len(spans) // 2][1], extent))

    def _font(self, at: int, extent: float) -> tuple[float, bool]:
        """Size and weight of a character; size by its box where the font's cannot be right."""
        matrix = self._matrix
        pdfium_c.FPDFText_GetMatrix(self._handle, at, matrix)
        size = pdfium_c.FPDFText_GetFontSize(self._handle, at) * math.hypot(matrix.c, matrix.d)
        if not _MIN_OF_EXTENT * extent <= size <= min(_FAR, _MAX_OF_EXTENT * extent):
            size = abs(_near(extent)) / _USUAL_EXTENT
        length = pdfium_c.FPDFText_GetFontInfo(self._handle, at, self._name, _NAME_BYTES, None)
        bold = 0 < length <= _NAME_BYTES and _BOLD.search(self._name.value) is not None
        return max(1.0, size), bold

    def _turned_line(self, spans: list[_Span], before: int) -> tuple[int, Line]:
        """A line that does not simply run from left to right."""
        direction = before
        if spans[0][1] != spans[-1][2]:
            angle = pdfium_c.FPDFText_GetCharAngle(self._handle, spans[0][1])
            turns = round(angle / _QUARTER) if math.isfinite(angle) else 0
            askew = abs(angle - turns * _QUARTER) > _MAX_SKEW
            direction = _ASKEW if askew else turns % 4
        words, starts, ends = [], [], []
        extent = 0.0
        for word, first, last in spans:
            word, ends_at = self._logical(word, first, last)
            boxes = [self._box(at, direction) for at in ends_at]
            words.append(word)
            starts.append(min(box[0] for box in boxes))
            ends.append(max(box[2] for box in boxes))
            extent = max(extent, boxes[0][3] - boxes[0][1])
        x, y = self._origin(spans[0][1])
        base = _turn((x, y, x, y), direction)[1]
        return direction, Line(
            words, starts, ends, base, *self._font(spans[len(spans) // 2][1], extent)
        )

    def _origin(self, at: int) -> tuple[float, float]:
        pdfium_c.FPDFText_GetCharOrigin(self._handle, at, self._x, self._y)
        return self._x.value, self._y.value

    def _logical(self, word: str, first: int, last: int) -> tuple[str, tuple[int, ...]]:
        """A word in the order it is read, and the characters that may be its outermost.

        Some of Arabic pdfium hands over in the order it is seen, from left to right.
        """
        match = _RIGHT_TO_LEFT.search(word)
        if match is None or len(match[0]) < 2:
            return word, (first, last)
        begin, end = match.span()
        ends = (first, last, first + begin, first + end - 1)
        if self._origin(ends[2])[0] > self._origin(ends[3])[0]:
            return word, ends
        return word[:begin] + match[0][::-1] + word[end:], ends

    def _box(self, at: int, direction: int) -> _Box:
        loose = self._loose
        pdfium_c.FPDFText_GetLooseCharBox(self._handle, at, loose)
        return _turn((loose.left, loose.bottom, loose.right, loose.top), direction)


def _rows(text: str) -> list[_Row]:
    """Lines as pdfium parts them, without the spaces around them."""
    rows: list[_Row] = []
    begin = 0
    for match in _LINE_END.finditer(f"{text}\n"):
        end = match.start()
        row = text[begin:end]
        first = begin + len(row) - len(row.lstrip(" \t"))
        hyphen = match[0] == LINE_END_HYPHEN
        if hyphen and (first == end or text[end - 1] in " \t"):
            # A hyphen that stands alone is a dash.
            hyphen = False
            end += 1
        last = begin + len(text[begin:end].rstrip(" \t"))
        if first < last:
            rows.append((first, last, hyphen))
        begin = match.end()
    return rows


def _spans(text: str, row: _Row) -> list[_Span]:
    """The words of a line with the numbers of their first and last characters."""
    begin, end, hyphen = row
    found = []
    for match in _WORD.finditer(text, begin, end):
        word = match[0].replace(LINE_END_HYPHEN, "-")
        found.append((word, match.start(), match.end() - 1))
    if hyphen:
        word, first, last = found[-1]
        found[-1] = (f"{word}-", first, last + 1)
    return found


def _is_near(x: float, y: float) -> bool:
    return -_FAR < x < _FAR and -_FAR < y < _FAR


def _near(value: float) -> float:
    """A length that can be reckoned with, whatever the file says."""
    return min(_FAR, max(-_FAR, value)) if value == value else 0.0


def _turn(box: _Box, direction: int) -> _Box:
    """A box on the page turned so that its text runs from left to right."""
    left, bottom, right, top = map(_near, box)
    if direction == 1:
        left, bottom, right, top = -top, left, -bottom, right
    elif direction == 2:
        left, bottom, right, top = -right, -top, -left, -bottom
    elif direction == 3:
        left, bottom, right, top = bottom, -right, top, -left
    return left, bottom, right, top


def _letters(lines: list[Line]) -> int:
    return sum(len(word) for line in lines for word in line.words)


def _reads_from_right(lines: list[Line]) -> bool:
    votes: Counter[bool] = Counter()
    for line in lines:
        if len(line.words) > 1:
            votes[line.x0 > line.x1 and _RIGHT_TO_LEFT.search(line.text) is not None] += 1
    return votes[True] > votes[False]


def _mirrored(line: Line, width: float) -> Line:
    starts = [width - end for end in line.ends]
    ends = [width - start for start in line.starts]
    return Line(line.words, starts, ends, line.y, line.size, line.bold)


def _character(code: int) -> str:
    if code == 2:
        return LINE_END_HYPHEN
    if code == 0 or 0xD800 <= code < 0xE000 or code > 0x10FFFF:
        return "\ufffd"
    return chr(code)
