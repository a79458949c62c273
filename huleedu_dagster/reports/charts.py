"""Charts as inline SVG: pure functions from values to text, without scripts or other files.

Shapes have classes and no colours: the style sheet of the page gives them, also on paper.
"""

from collections.abc import Sequence
from html import escape

from huleedu_dagster.reports.figures import Bin

_WIDTH = 640
_HEIGHT = 276
_LEFT, _RIGHT, _TOP, _BOTTOM = 12, 12, 50, 66
_LETTER = 8
"""Width of a digit with room to its neighbour, at most."""
_GAP = 6
_WIDEST = 90


def histogram(
    bins: Sequence[Bin],
    *,
    name: str,
    title: str,
    axis: str,
    step: float = 1,
    of: str = "essays",
) -> str:
    """A distribution as bars, each with its count above it and its range below.

    Args:
        bins: At least one.
        name: An id that no other chart of the page has: letters, digits and `-`.
        title: What is shown, for everyone.
        axis: What the ranges are of.
        step: The distance between two neighbouring values, to write the end of a range.
        of: What is counted.
    """
    highest = max(1, *(it.count for it in bins))
    room = (_WIDTH - _LEFT - _RIGHT) / len(bins)
    width = min(room, _WIDEST) - _GAP
    base = _HEIGHT - _BOTTOM
    broken = room < _LETTER * max(len(range_of(it, step)) for it in bins)
    shapes = []
    for number, it in enumerate(bins):
        center = _LEFT + room * (number + 0.5)
        height = (base - _TOP) * it.count / highest
        shapes.append(
            f'<rect class="bar" x="{center - width / 2:.1f}" y="{base - height:.1f}" '
            f'width="{width:.1f}" height="{height:.1f}"/>'
            f'<text class="count" x="{center:.1f}" y="{base - height - 6:.1f}">{it.count}</text>'
            f"{_label(range_of(it, step), center, base + 18, broken=broken)}"
        )
    said = ", ".join(f"{range_of(it, step)}: {it.count}" for it in bins)
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-labelledby="{name}-title {name}-values">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-values">{escape(axis)}, with the number of {of}: {said}</desc>'
        f'<text class="name" x="{_LEFT}" y="18">{escape(title)}</text>'
        f"{''.join(shapes)}"
        f'<line class="axis" x1="{_LEFT}" y1="{base}" x2="{_WIDTH - _RIGHT}" y2="{base}"/>'
        f'<text class="axis-name" x="{_WIDTH / 2:.0f}" y="{_HEIGHT - 10}">{escape(axis)}</text>'
        "</svg>"
    )


def _label(text: str, x: float, y: int, *, broken: bool) -> str:
    """The name of a range below its bar, in two lines where one is too long."""
    low, dash, high = text.partition("–")
    if not broken or not high:
        return f'<text x="{x:.1f}" y="{y}">{text}</text>'
    second = f'<tspan x="{x:.1f}" dy="15">{high}</tspan>'
    return f'<text x="{x:.1f}" y="{y}">{low}{dash}{second}</text>'


def range_of(it: Bin, step: float = 1) -> str:
    """The values of a range as people write it: `50–99`, `0–0.9`, or one alone."""
    last = it.high - step
    end = f"{last:.0f}" if step >= 1 else f"{last:.1f}"
    return f"{it.low}" if f"{it.low}" == end else f"{it.low}–{end}"
