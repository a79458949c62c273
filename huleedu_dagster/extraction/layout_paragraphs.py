"""Paragraphs from lines in reading order."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from huleedu_dagster.extraction.layout import Column, Line
from huleedu_dagster.extraction.layout_join import compounds_of, glue
from huleedu_dagster.extraction.layout_measure import INDENT_EMS, Margins, Style, measure

_SIZE_CHANGE = 1.12
_NOTE_SIZE = 0.92
_NOTE_GAP = 1.4
_END_REACH = 12
_BULLETS = ("•", "▪", "◦", "‣", "●", "○", "■", "□", "►", "➢", "✓", "\uf0b7", "\uf0a7")
_DASHES = frozenset({"-", "\N{EN DASH}", "\N{EM DASH}", "*"})
_MARKER = re.compile(r"\(?(\d{1,2}|[a-z])[.)]\Z")
_NOTE_MARK = re.compile(r"\d{1,3}\b|[*†‡]")
_SENTENCE_END = re.compile(r"[.?!:;…][\"'”’»)\]]*\Z")


class _Seam(Enum):
    PARAGRAPH = "\n\n"
    BREAK = "\n"
    NONE = ""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a line stands: its run, its number in it, and the margins of the run."""

    run: Column
    at: int
    margins: Margins

    @property
    def line(self) -> Line:
        return self.run[self.at]

    def near(self, by: int) -> Line | None:
        """The line `by` lines on in the same run."""
        at = self.at + by
        return self.run[at] if 0 <= at < len(self.run) else None

    def indent(self, line: Line | None) -> float:
        """How far a line is indented, in font sizes; 0 if there is none."""
        return 0.0 if line is None else (line.x0 - self.margins.start) / line.size


def paragraphs(pages: Sequence[Sequence[Column]], page_width: float) -> list[str]:
    """Join lines to paragraphs, over columns and pages.

    A paragraph ends at a wider gap, a change of size, a first-line indent or an item of a list. It
    also ends where the next word would still have fit on the line, unless the document parts
    paragraphs by gaps: then that is a line break. Notes at the foot of a page do not part the
    paragraph that goes on over the page; they follow it.

    Args:
        pages: The runs of lines of each page, in reading order.
        page_width: Width of a page.

    Returns:
        The paragraphs; a line feed is a line break within one.
    """
    body = _body_height(pages)
    runs: list[Column] = []
    alone: list[bool] = []
    notes: dict[int, Column] = {}
    for page in pages:
        for run in page:
            text, foot = _without_notes(run, body)
            if foot:
                notes[len(runs)] = foot
            runs.append(text)
            alone.append(len(page) == 1)
    return _Builder(measure(runs, alone, page_width)).build(runs, notes) if runs else []


def _body_height(pages: Sequence[Sequence[Column]]) -> float:
    letters: Counter[float] = Counter()
    for page in pages:
        for run in page:
            for line in run:
                letters[round(line.size, 1)] += len(line.words)
    return max(letters, key=lambda height: (letters[height], height), default=1.0)


def _without_notes(run: Column, body: float) -> tuple[Column, Column]:
    """Part the small print at the foot of a run from the rest, if it begins like notes do."""
    begin = len(run)
    while begin > 1 and run[begin - 1].size < _NOTE_SIZE * body:
        begin -= 1
    if begin == len(run) or begin == 0 or run[begin - 1].size < _NOTE_SIZE * body:
        return run, []
    apart = run[begin - 1].y - run[begin].y > _NOTE_GAP * run[begin].size
    if apart and _NOTE_MARK.match(run[begin].words[0]):
        return run[:begin], run[begin:]
    return run, []


class _Builder:
    """Walks over the lines and decides at each seam."""

    def __init__(self, style: Style) -> None:
        self._style = style
        self._found: list[str] = []
        self._waiting: list[str] = []
        self._markers: Counter[tuple[int, int]] = Counter()
        self._lines: list[Line] = []

    def build(self, runs: Sequence[Column], notes: dict[int, Column]) -> list[str]:
        self._lines = [line for run in runs for line in run]
        for number, run in enumerate(runs):
            self._count_markers(run, self._style.margins[number])
        style = self._style
        last: Line | None = None
        parts: list[str] = []
        for number, run in enumerate(runs):
            margins = style.margins[number]
            for at, line in enumerate(run):
                place = _Place(run, at, margins)
                room = last is not None and style.has_room(number if at else number - 1, last, line)
                seam = _Seam.PARAGRAPH if last is None else self._seam(last, place, room)
                if seam is _Seam.PARAGRAPH:
                    self._finish(parts)
                    parts = [line.text]
                elif seam is _Seam.BREAK:
                    parts.append(f"\n{line.text}")
                else:
                    self._go_on(parts, last, line)
                last = line
            if number in notes:
                self._waiting += paragraphs([[notes[number]]], margins.edge + margins.start)
        self._finish(parts)
        return self._found

    def _go_on(self, parts: list[str], last: Line | None, line: Line) -> None:
        word = last.words[-1] if last is not None else ""
        hyphen_goes, between = glue(word, line.words[0], self._compounds)
        if hyphen_goes:
            parts[-1] = parts[-1][:-1]
        parts.append(f"{between}{line.text}")

    def _finish(self, parts: list[str]) -> None:
        if parts:
            self._found.append("".join(parts))
        self._found += self._waiting
        self._waiting = []

    def _compounds(self) -> frozenset[str]:
        return self._all_compounds

    @cached_property
    def _all_compounds(self) -> frozenset[str]:
        return compounds_of("\n".join(line.text for line in self._lines))

    def _seam(self, last: Line, place: _Place, has_room: bool) -> _Seam:
        line = place.line
        if self._is_parted(last, place) or (place.at and self._style.is_gap(last, line)):
            return _Seam.PARAGRAPH
        if not has_room:
            return _Seam.NONE
        # Over a page a line break cannot be told from a paragraph.
        is_break = self._style.gapped and place.at and not (last.bold and not line.bold)
        return _Seam.BREAK if is_break else _Seam.PARAGRAPH

    def _is_parted(self, last: Line, place: _Place) -> bool:
        """Whether the form of two lines alone parts them."""
        line = place.line
        sizes = sorted((last.size, line.size))
        if sizes[1] > _SIZE_CHANGE * sizes[0] or self._is_item(last, place):
            return True
        indent = place.indent(line)
        before = place.indent(last) if place.at else 0.0
        if indent < INDENT_EMS:
            return self._leaves_block(place)
        follower = place.near(1)
        if self._style.is_first_line(line, place.margins.start):
            block = place.at and _alike(last, line) and _alike(follower, line)
            return not block or _ends_sentence(last)
        if before >= INDENT_EMS or last.words[0].startswith(_BULLETS):
            return False
        # A hanging indent, as in a list of sources, goes on over several lines.
        return not _alike(follower, line)

    def _leaves_block(self, place: _Place) -> bool:
        """Whether a line at the margin follows a block that is indented as a whole."""
        last, before = place.near(-1), place.near(-2)
        if last is None or before is None or self._style.indents:
            return False
        return place.indent(last) >= INDENT_EMS and _alike(last, before)

    def _is_item(self, last: Line, place: _Place) -> bool:
        first = place.line.words[0]
        if first.startswith(_BULLETS):
            return True
        if len(place.line.words) < 2:
            return False
        ended = _ends_sentence(last)
        if first in _DASHES:
            return ended
        match = _MARKER.match(first)
        if match is None:
            return False
        key = _marker_key(match[1], place)
        return ended or any(self._markers[(key[0] + by, key[1])] for by in (-1, 1))

    def _count_markers(self, run: Column, margins: Margins) -> None:
        for at, line in enumerate(run):
            match = _MARKER.match(line.words[0]) if len(line.words) > 1 else None
            if match is not None:
                self._markers[_marker_key(match[1], _Place(run, at, margins))] += 1


def _marker_key(marker: str, place: _Place) -> tuple[int, int]:
    """The number of an item, and how far it is indented."""
    number = int(marker) if marker.isdigit() else ord(marker)
    return number, round(place.indent(place.line))


def _ends_sentence(line: Line) -> bool:
    return _SENTENCE_END.search(line.words[-1][-_END_REACH:]) is not None


def _alike(a: Line | None, b: Line) -> bool:
    return a is not None and abs(a.x0 - b.x0) < INDENT_EMS / 2 * b.size
