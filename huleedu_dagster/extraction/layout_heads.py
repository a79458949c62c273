"""Running heads and page numbers: which lines belong to the page and not to the text."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from huleedu_dagster.extraction.layout import Line

_REACH = 4
_DRIFT = 4.0
_CLEAR = 1.6
_SURE_PAGES = 3
_NUMBER = re.compile(r"\d{1,6}|\b[ivxl]{1,7}\b|\b[IVXL]{1,7}\b")
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50}
_PAGE_NUMBER = re.compile(
    r"\W*(?:sida|sid\.?|s\.|page|p\.)?\s*(\d{1,4})\s*(?:(?:av|of|/|\()\s*(\d{1,4})\s*\)?)?\W*",
    re.IGNORECASE,
)
_Place = tuple[str, int]


def without_heads(pages: Sequence[Sequence[Line]]) -> list[list[Line]]:
    """Drop running heads, running feet and page numbers.

    A line goes when it is among the outermost of its page and the same words, but for a number
    that counts pages, stand at the same height on half of all pages. Where that is less than
    three pages, it must also stand clear of the text, and the number must be all it says. A file
    of one page keeps everything.

    Args:
        pages: The lines of each page, in any order.

    Returns:
        The pages without those lines, in the same order.
    """
    if len(pages) < 2:
        return [list(page) for page in pages]
    outer = [_outer(page) for page in pages]
    places = [
        {id(line): _places(line, number) for side in sides for line, _ in side}
        for number, sides in enumerate(outer)
    ]
    seen = Counter(
        place for lines in places for place in {p for found in lines.values() for p in found}
    )
    kept = []
    for number, page in enumerate(pages):
        heads: set[int] = set()
        for side in outer[number]:
            judge = _Judge(seen, places[number], number, len(pages))
            heads.update(_heads_of(side, judge))
        kept.append([line for line in page if id(line) not in heads])
    return kept


class _Judge:
    """Tells a head of one page by what stands on all of them."""

    def __init__(
        self, seen: Counter[_Place], places: dict[int, set[_Place]], page: int, count: int
    ) -> None:
        self._seen = seen
        self._places = places
        self._page = page
        self._count = count

    def is_head(self, line: Line, clear: bool) -> bool:
        if clear and _says_page(line.text, self._page + 1, self._count):
            return True
        needed = max(2, self._count // 2)
        found = [place for place in self._places[id(line)] if self._seen[place] >= needed]
        if any(self._seen[place] >= _SURE_PAGES for place in found):
            return True
        text = line.text
        return clear and any(form == text for form, _ in found)


def _heads_of(side: Iterable[tuple[Line, bool]], judge: _Judge) -> list[int]:
    """From the edge inwards, until two lines in a row are none."""
    heads, misses = [], 0
    for line, clear in side:
        if judge.is_head(line, clear):
            heads.append(id(line))
            misses = 0
        else:
            misses += 1
        if misses == 2:
            break
    return heads


def _outer(page: Sequence[Line]) -> list[list[tuple[Line, bool]]]:
    """The outermost lines at the top and at the foot, each with whether it stands clear."""
    rising = sorted(page, key=lambda line: line.y)
    return [_clear(rising[:-1]), _clear(rising[:0:-1])] if len(rising) > 1 else [_clear(rising)]


def _clear(lines: Sequence[Line]) -> list[tuple[Line, bool]]:
    """Lines up to the first wide gap are clear of the text, if it is near enough."""
    reach = lines[: _REACH + 1]
    clear = 0
    for at in range(1, len(reach)):
        step = abs(reach[at].y - reach[at - 1].y)
        if step > _CLEAR * max(reach[at].size, reach[at - 1].size):
            clear = at
            break
    return [(line, at < clear) for at, line in enumerate(reach[:_REACH])]


def _places(line: Line, page: int) -> set[_Place]:
    """What and where a line is, in forms that agree for a head from page to page."""
    text = line.text
    numbers = list(_NUMBER.finditer(text))
    forms = {text}
    # A number that counts pages is the same once the page's own is taken off.
    for match in numbers[:1] + numbers[-1:]:
        offset = _value(match[0]) - page
        forms.add(f"{text[: match.start()]}<{offset}>{text[match.end() :]}")
    # Two overlapping grids, so that no height lies between two cells of both.
    step = int(line.y // _DRIFT)
    half = int((line.y + _DRIFT / 2) // _DRIFT)
    return {(form, cell) for form in forms for cell in (2 * step, 2 * half + 1)}


def _value(number: str) -> int:
    if number.isdigit():
        return int(number)
    values = [_ROMAN[digit] for digit in number.lower()]
    following = [*values[1:], 0]
    return sum(-a if a < b else a for a, b in zip(values, following, strict=True))


def _says_page(text: str, page: int, count: int) -> bool:
    """Whether a line says nothing but which page this is, and perhaps of how many."""
    match = _PAGE_NUMBER.fullmatch(text)
    return match is not None and int(match[1]) == page and int(match[2] or count) == count
