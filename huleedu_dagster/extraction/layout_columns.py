"""Reading order of a page: columns one after the other, between lines that cross all of them."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from huleedu_dagster.extraction.layout import GUTTER_EMS, Column, Line, upward_jumps

_ALIGNED_SHARE = 0.1
_CANDIDATES = 12
_MIN_EDGE_LINES = 3
_MIN_COLUMN_LINES = 4
_MIN_FILL = 0.6
_MIN_RIGHT_FILL = 0.3
_MIN_SHARE = 0.6
_OUTER_SHARE = 0.12
_MAX_SPLITS = 2
_SKIP = 3.0
_LEFT_OF, _RIGHT_FROM = 3.0, 2.0


def ordered(pages: Sequence[Sequence[Line]]) -> list[list[Column]]:
    """Put every page into reading order.

    Args:
        pages: The lines of each page, as the file gives them.

    Returns:
        For each page its runs of lines, one below the other: the whole page, or each column
        between lines that cross the gutters.
    """
    pieces = [_cut(page) for page in pages]
    found = [_gutters([piece for line in page for piece in line]) for page in pieces]
    # A page where one column holds few lines has the columns of its neighbours.
    counts = Counter(tuple(map(round, gutters)) for gutters in found if gutters)
    usual = max(counts, key=lambda gutters: (counts[gutters], len(gutters), gutters), default=())
    runs = []
    for page, lines, gutters in zip(pages, pieces, found, strict=True):
        if len(gutters) < len(usual) and _holds(lines, usual):
            gutters = list(usual)
        runs.append(_by_bands(page, lines, gutters) if gutters else _by_blocks(page))
    return runs


def _cut(page: Sequence[Line]) -> list[list[Line]]:
    """Cut lines at wide gaps, where what follows begins at the same place in several lines."""
    gaps = [[at for at, gap in line.gaps() if gap > GUTTER_EMS * line.size] for line in page]
    if not any(gaps):
        return [[line] for line in page]
    begins = Counter(round(line.x0) for line in page)
    begins.update(
        round(line.starts[at]) for line, cuts in zip(page, gaps, strict=True) for at in cuts
    )
    needed = max(_MIN_EDGE_LINES, len(page) * _ALIGNED_SHARE)
    aligned = {x for x in begins if sum(begins[x + by] for by in (-1, 0, 1)) >= needed}
    return [
        _parts(line, [at for at in cuts if round(line.starts[at]) in aligned])
        for line, cuts in zip(page, gaps, strict=True)
    ]


def _parts(line: Line, cuts: Sequence[int]) -> list[Line]:
    if not cuts:
        return [line]
    return [line.part(a, b) for a, b in pairwise([0, *cuts, len(line.words)])]


def _gutters(pieces: Sequence[Line], splits: int = _MAX_SPLITS) -> list[float]:
    """Left edges of all columns but the first."""
    edge = _gutter(pieces) if len(pieces) >= 2 * _MIN_COLUMN_LINES else None
    if edge is None:
        return []
    found = [edge]
    if splits > 1:
        left, right = _sides(pieces, edge)
        found += _gutters(left, splits - 1) + _gutters(right, splits - 1)
    return sorted(found)


def _gutter(pieces: Sequence[Line]) -> float | None:
    start = min(piece.x0 for piece in pieces)
    width = max(piece.x1 for piece in pieces) - start
    if width <= 0:
        return None
    edges = Counter(round(piece.x0) for piece in pieces)
    inner = {
        x: count
        for x, count in edges.items()
        if count >= _MIN_EDGE_LINES and _OUTER_SHARE < (x - start) / width < 1 - _OUTER_SHARE
    }
    for edge in sorted(inner, key=lambda x: (-inner[x], x))[:_CANDIDATES]:
        if _is_gutter(pieces, edge, start):
            return edge
    return None


def _sides(pieces: Sequence[Line], edge: float) -> tuple[list[Line], list[Line]]:
    left = [piece for piece in pieces if piece.x1 < edge - _LEFT_OF]
    return left, [piece for piece in pieces if piece.x0 >= edge - _RIGHT_FROM]


def _is_gutter(pieces: Sequence[Line], edge: float, start: float) -> bool:
    left, right = _sides(pieces, edge)
    if min(len(left), len(right)) < _MIN_COLUMN_LINES:
        return False
    if len(left) + len(right) < _MIN_SHARE * len(pieces):
        return False
    # The cells of a table are short, the lines of a column are not.
    if _fill(left, start, edge) < _MIN_FILL:
        return False
    if _fill(right, edge, max(piece.x1 for piece in right)) < _MIN_RIGHT_FILL:
        return False
    return min(_top(left), _top(right)) > max(_foot(left), _foot(right))


def _fill(side: Sequence[Line], start: float, end: float) -> float:
    return median(piece.x1 - piece.x0 for piece in side) / max(1.0, end - start)


def _top(side: Sequence[Line]) -> float:
    return max(piece.y for piece in side)


def _foot(side: Sequence[Line]) -> float:
    return min(piece.y for piece in side)


def _holds(lines: Sequence[Sequence[Line]], gutters: Sequence[float]) -> bool:
    pieces = [piece for line in lines for piece in line]
    free = sum(_column(piece, gutters) is not None for piece in pieces)
    return free >= _MIN_SHARE * len(pieces) and any(p.x0 >= gutters[0] - 2 for p in pieces)


def _column(piece: Line, gutters: Sequence[float]) -> int | None:
    """The number of the column a piece stands in, None when it crosses a gutter."""
    for number, edge in enumerate(gutters):
        if piece.x0 < edge - _RIGHT_FROM:
            return number if piece.x1 < edge - _LEFT_OF else None
    return len(gutters)


def _by_bands(
    page: Sequence[Line], lines: Sequence[Sequence[Line]], gutters: Sequence[float]
) -> list[Column]:
    placed: list[tuple[int | None, Line]] = []
    for line, pieces in zip(page, lines, strict=True):
        numbers = [_column(piece, gutters) for piece in pieces]
        if None in numbers:
            placed.append((None, line))
        else:
            placed += _regrouped(line, pieces, numbers)
    placed.sort(key=lambda item: -item[1].y)
    runs: list[Column] = []
    columns: list[Column] = [[] for _ in range(len(gutters) + 1)]
    crossing: Column = []
    for number, line in placed:
        if number is None:
            runs += [column for column in columns if column]
            columns = [[] for _ in columns]
            crossing.append(line)
            continue
        if crossing:
            runs.append(crossing)
            crossing = []
        columns[number].append(line)
    return runs + [run for run in (crossing, *columns) if run]


def _regrouped(
    line: Line, pieces: Sequence[Line], numbers: Sequence[int | None]
) -> list[tuple[int | None, Line]]:
    """Pieces of one line in the same column are one line again: their gap was a wide space."""
    found = []
    begin = end = 0
    for at, number in enumerate(numbers):
        end += len(pieces[at].words)
        if at + 1 == len(numbers) or numbers[at + 1] != number:
            found.append((number, line.part(begin, end)))
            begin = end
    return found


def _by_blocks(lines: Sequence[Line]) -> list[Column]:
    """One column: the order of the file, but blocks that stand clear of each other go by height."""
    jumps = upward_jumps(lines)
    if not jumps:
        return [list(lines)] if lines else []
    skips = [at for at, (a, b) in enumerate(pairwise(lines), start=1) if a.y - b.y > _SKIP * b.size]
    cuts = sorted({0, *jumps, *skips, len(lines)})
    blocks = [list(lines[a:b]) for a, b in pairwise(cuts)]
    falling = sorted(blocks, key=lambda block: -block[0].y)
    if all(a[-1].y > b[0].y for a, b in pairwise(falling)):
        blocks = falling
    return [[line for block in blocks for line in block]]
