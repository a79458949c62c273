"""What a document's pages have in common: margins, line pitch, indents and how paragraphs part."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from huleedu_dagster.extraction.layout import Column, Line
from huleedu_dagster.extraction.layout_join import is_hyphenated

_GAP = 1.25
_CLUSTER = 0.07
_CLUSTER_SPAN = 0.14
_PITCH_DRIFT = 0.05
_COMMON_SHARE = 8
_SPACE_EMS = 0.28
_SLACK_EMS = 0.2
_REACH_EMS = 0.2
_EDGE_POINTS = 0.5
_PROTRUDES_EMS = 1.5
_MIN_PAGE_FILL = 0.75
INDENT_EMS = 0.7
_MAX_INDENT_EMS = 8.0
_START_DRIFT = 3.0
_FEW_LINES = 6
_BREAKS_PER_GAP = 4


@dataclass(slots=True)
class Margins:
    """Where the lines of a column begin and end.

    Attributes:
        start: Left edge of lines that are not indented.
        edge: Right edge that full lines reach.
        justified: Whether full lines end exactly there.
    """

    start: float
    edge: float
    justified: bool = False

    def has_room(self, last: Line, line: Line) -> bool:
        """Whether the first word of `line` would still have fit at the end of `last`."""
        if is_hyphenated(last.words[-1]):
            return False
        if self.justified and len(last.words) > 1:
            return last.x1 < self.edge - _REACH_EMS * last.size
        needed = line.ends[0] - line.starts[0] + (_SPACE_EMS + _SLACK_EMS) * last.size
        return last.x1 + needed <= self.edge


@dataclass(slots=True)
class Style:
    """How one document sets its lines.

    Attributes:
        margins: Those of each run, in order.
        pitch: Usual distance of lines, in font sizes.
        wider: Other distances that lines within a paragraph have, in font sizes.
        indents: How far the first line of a paragraph is indented, rounded to points.
        blocks: Margins of lines that are indented on both sides, as quotations are, by `id`.
        gapped: Whether paragraphs are parted by gaps, so that a short line without one is a line
            break.
    """

    margins: list[Margins]
    pitch: float = 1.2
    wider: list[float] = field(default_factory=list)
    indents: frozenset[int] = frozenset()
    blocks: dict[int, Margins] = field(default_factory=dict)
    gapped: bool = False

    def has_room(self, run: int, last: Line, line: Line) -> bool:
        """Whether the first word of `line` would have fit after `last`, a line of that run."""
        return self.blocks.get(id(last), self.margins[run]).has_room(last, line)

    def is_gap(self, last: Line, line: Line) -> bool:
        """Whether two lines of one run stand wider apart than lines of a paragraph do."""
        step = (last.y - line.y) / line.size
        if step < 0:
            return True
        if step <= _GAP * self.pitch:
            return False
        return not any(abs(step - usual) <= _PITCH_DRIFT * usual for usual in self.wider)

    def is_first_line(self, line: Line, start: float) -> bool:
        """Whether a line is indented as the first lines of this document are."""
        offset = line.x0 - start
        return any(abs(offset - indent) <= 1.5 for indent in self.indents)


def measure(runs: Sequence[Column], alone: Sequence[bool], page_width: float) -> Style:
    """Measure a document.

    Args:
        runs: All runs of lines, in reading order.
        alone: For each run whether it is its page's only one.
        page_width: Width of a page.
    """
    style = Style(_margins(runs, alone, page_width))
    style.pitch, style.wider = _pitches(runs, style.margins)
    style.indents = _indents(runs, style)
    style.blocks = _blocks(runs, style.margins)
    style.gapped = _is_gapped(runs, style)
    return style


def _margins(runs: Sequence[Column], alone: Sequence[bool], width: float) -> list[Margins]:
    """Runs that begin at the same place are one column, so that a short one knows its edge."""
    groups: list[tuple[float, list[int]]] = []
    starts = [_start(run) for run in runs]
    ends = [max(line.x1 for line in run) for run in runs]
    order = sorted(range(len(runs)), key=lambda at: (len(runs[at]) < _FEW_LINES, -len(runs[at])))
    for at in order:
        slack = _MAX_INDENT_EMS / 2 * runs[at][0].size if len(runs[at]) < _FEW_LINES else 0.0
        for start, members in groups[:_FEW_LINES]:
            inside = ends[at] <= ends[members[0]] + _START_DRIFT
            if -_START_DRIFT <= starts[at] - start <= _START_DRIFT + (slack if inside else 0):
                members.append(at)
                break
        else:
            groups.append((starts[at], [at]))
    found: dict[int, Margins] = {}
    for start, members in groups:
        lines = [line for at in members for line in runs[at]]
        shared = _edge(lines)
        if all(alone[at] for at in members) and shared.edge < _MIN_PAGE_FILL * (width - start):
            # No line is full, so none shows the right margin; take it for as wide as the left.
            shared = Margins(start, width - start)
        for at in members:
            own = starts[at] if abs(starts[at] - start) <= _START_DRIFT else start
            found[at] = Margins(own, shared.edge, shared.justified)
    return [found[at] for at in range(len(runs))]


def _start(run: Column) -> float:
    starts = Counter(round(line.x0) for line in run)
    most = max(starts.values())
    return float(min(x for x, count in starts.items() if count * 3 >= most))


def _edge(lines: Sequence[Line]) -> Margins:
    ends = sorted((line.x1 for line in lines), reverse=True)
    height = lines[0].size
    skip = 0
    # A line or two that stick out, a table or an address, do not move the margin.
    for at in range(1, 1 + len(ends) // 20):
        if ends[at - 1] - ends[at] > _PROTRUDES_EMS * height:
            skip = at
    edge = ends[skip]
    halves = Counter(round(2 * end) for end in ends[skip:])
    usual = max(halves, key=lambda half: (halves[half], half)) / 2
    reached = sum(abs(end - usual) <= _EDGE_POINTS for end in ends)
    justified = len(ends) >= _FEW_LINES and reached * 2 >= len(ends)
    return Margins(0.0, usual if justified else edge, justified)


def _pitches(runs: Sequence[Column], margins: Sequence[Margins]) -> tuple[float, list[float]]:
    steps = []
    for number, run in enumerate(runs):
        before = 0.0
        for last, line in pairwise(run):
            step = (last.y - line.y) / line.size
            if step > 0.5:
                full = not margins[number].has_room(last, line)
                steps.append((step, abs(step - before) <= _CLUSTER, full))
            before = step
    clusters = list(_clusters(sorted(steps)))
    common = [it for it in clusters if len(it) * _COMMON_SHARE >= len(steps)]
    if not common:
        return 1.2, []
    pitch = _middle(common[0])
    wider = [_middle(it) for it in clusters if _middle(it) > _GAP * pitch and _is_pitch(it)]
    return pitch, wider


_Step = tuple[float, bool, bool]


def _clusters(steps: Iterable[_Step]) -> Iterator[list[_Step]]:
    cluster: list[_Step] = []
    for step in steps:
        near = cluster and step[0] - cluster[-1][0] <= _CLUSTER
        if cluster and not (near and step[0] - cluster[0][0] <= _CLUSTER_SPAN):
            yield cluster
            cluster = []
        cluster.append(step)
    if cluster:
        yield cluster


def _middle(cluster: Sequence[_Step]) -> float:
    return cluster[len(cluster) // 2][0]


def _is_pitch(cluster: Sequence[_Step]) -> bool:
    """Lines of a paragraph follow full lines, and one step is like the one before."""
    alike = sum(same for _, same, _ in cluster)
    full = sum(full for _, _, full in cluster)
    return len(cluster) >= 5 and alike * 2 >= len(cluster) and full * 5 >= len(cluster) * 3


def _indents(runs: Sequence[Column], style: Style) -> frozenset[int]:
    """Offsets of lines that are indented alone, between lines that are not."""
    offsets: Counter[int] = Counter()
    hanging: Counter[int] = Counter()
    for run, margin in zip(runs, style.margins, strict=True):
        inner = [line.x0 - margin.start for line in run]
        for at, line in enumerate(run[:-1]):
            least = INDENT_EMS * line.size
            if not least <= inner[at] <= _MAX_INDENT_EMS * line.size:
                continue
            before = at == 0 or inner[at - 1] < least
            if before and abs(inner[at + 1]) < least:
                # After a line that had room, or across a page, an indent begins a paragraph.
                had_room = at == 0 or margin.has_room(run[at - 1], line)
                (offsets if had_room else hanging)[round(inner[at])] += 1
    return frozenset(
        offset for offset, count in offsets.items() if count >= 2 and count * 2 >= hanging[offset]
    )


def _blocks(runs: Sequence[Column], margins: Sequence[Margins]) -> dict[int, Margins]:
    found: dict[int, Margins] = {}
    for run, margin in zip(runs, margins, strict=True):
        begin = 0
        for at in range(1, len(run) + 1):
            if at < len(run) and abs(run[at].x0 - run[begin].x0) <= 1.0:
                continue
            block = run[begin:at]
            begin = at
            if len(block) < 3 or block[0].x0 - margin.start < INDENT_EMS * block[0].size:
                continue
            own = Margins(block[0].x0, max(line.x1 for line in block))
            full = sum(not own.has_room(last, line) for last, line in pairwise(block))
            # The lines of a verse end where they like, those of a quotation at its edge.
            if full * 5 >= (len(block) - 1) * 4:
                found.update((id(line), own) for line in block)
    return found


def _is_gapped(runs: Sequence[Column], style: Style) -> bool:
    gaps = breaks = full = 0
    for number, run in enumerate(runs):
        for last, line in pairwise(run):
            gap = style.is_gap(last, line)
            has_room = style.has_room(number, last, line)
            full += not has_room
            breaks += has_room and not gap
            gaps += gap and abs(last.size - line.size) < 0.1 * line.size
    return gaps > 0 and (full < breaks or gaps * _BREAKS_PER_GAP >= breaks)
