"""Bars with names, as inline SVG like the other charts: amounts side by side, or one by one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH = 640
_HEIGHT = 262
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 74, 52
_MOST_LABELS = 24
_MOST_LINES = 5
_ROW = 24
_NAMES = 230
_VALUES = 64
_HEAD = 34
_LETTERS = 30


@dataclass(frozen=True, slots=True)
class Series:
    """Values under one name, as many as there are places."""

    name: str
    values: Sequence[int]


def columns(
    places: Sequence[str], series: Sequence[Series], *, name: str, title: str, axis: str
) -> str:
    """Amounts side by side, the bars of one place together.

    Args:
        places: What is below the bars; at least one.
        series: One or two; the second one is drawn as an outline.
        name: An id that no other chart of the page has: letters, digits and `-`.
        title: What is shown, for everyone.
        axis: What the places are.
    """
    highest = max(1, *(value for it in series for value in it.values))
    room = (_WIDTH - _LEFT - _RIGHT) / len(places)
    width = max(room / len(series) - 1.5, 0.5)
    base = _HEIGHT - _BOTTOM
    every = math.ceil(len(places) / _MOST_LABELS)
    top = _top_of_scale(highest)
    shapes = [_scale(top, base)]
    for number, place in enumerate(places):
        left = _LEFT + room * number
        if number % every == 0:
            shapes.append(f'<text x="{left + room / 2:.1f}" y="{base + 18}">{escape(place)}</text>')
        for which, it in enumerate(series):
            height = (base - _TOP) * it.values[number] / top
            shapes.append(
                f'<rect class="{_class(which)}" x="{left + which * (width + 1):.1f}" '
                f'y="{base - height:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
            )
    said = "; ".join(f"{it.name}: {_said(places, it.values)}" for it in series)
    return _framed(
        f"{_legend(series)}{''.join(shapes)}"
        f'<line class="axis" x1="{_LEFT}" y1="{base}" x2="{_WIDTH - _RIGHT}" y2="{base}"/>'
        f'<text class="axis-name" x="{_WIDTH / 2:.0f}" y="{_HEIGHT - 10}">{escape(axis)}</text>',
        height=_HEIGHT,
        name=name,
        title=title,
        said=f"{axis}. {said}.",
    )


def rows(
    values: Sequence[tuple[str, float]], *, name: str, title: str, axis: str, digits: int = 0
) -> str:
    """One bar below the other, each with its name before it and its value behind it.

    Args:
        values: Names and values, at least one.
        name: An id that no other chart of the page has: letters, digits and `-`.
        title: What is shown, for everyone.
        axis: What the values are.
        digits: Digits behind the point of a value.
    """
    highest = max(value for _, value in values) or 1
    room = _WIDTH - _NAMES - _VALUES
    shapes = []
    names = _short([label for label, _ in values])
    for number, (short, (_, value)) in enumerate(zip(names, values, strict=True)):
        top = _HEAD + number * _ROW
        long = room * value / highest
        shapes.append(
            f'<text class="row" x="{_NAMES - 8}" y="{top + 16}">{escape(short)}</text>'
            f'<rect class="bar" x="{_NAMES}" y="{top + 3}" width="{long:.1f}" height="{_ROW - 6}"/>'
            f'<text class="value" x="{_NAMES + long + 6:.1f}" y="{top + 16}">{value:.{digits}f}'
            "</text>"
        )
    base = _HEAD + len(values) * _ROW
    middle = _NAMES + room / 2
    said = ", ".join(f"{label}: {value:.{digits}f}" for label, value in values)
    return _framed(
        f"{''.join(shapes)}"
        f'<line class="axis" x1="{_NAMES}" y1="{_HEAD}" x2="{_NAMES}" y2="{base}"/>'
        f'<text class="axis-name" x="{middle:.0f}" y="{base + 22}">{escape(axis)}</text>',
        height=base + 32,
        name=name,
        title=title,
        said=f"{axis}. {said}.",
    )


def _framed(shapes: str, *, height: int, name: str, title: str, said: str) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-labelledby="{name}-title {name}-values">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-values">{escape(said)}</desc>'
        f'<text class="name" x="12" y="18">{escape(title)}</text>{shapes}</svg>'
    )


def _top_of_scale(highest: int) -> int:
    """The first round value that no bar is higher than."""
    step = _step(highest)
    return math.ceil(highest / step) * step


def _scale(top: int, base: int) -> str:
    """Lines at round values, from the ground to the top."""
    shapes = [f'<text class="row" x="{_LEFT - 6}" y="{base + 4}">0</text>']
    step = _step(top)
    for value in range(step, top + 1, step):
        y = base - (base - _TOP) * value / top
        shapes.append(
            f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>'
            f'<text class="row" x="{_LEFT - 6}" y="{y + 4:.1f}">{value}</text>'
        )
    return "".join(shapes)


def _step(highest: int) -> int:
    """The distance of two lines: 1, 2 or 5 times a power of ten."""
    power = 1
    while True:
        for it in (power, 2 * power, 5 * power):
            if math.ceil(highest / it) <= _MOST_LINES:
                return it
        power *= 10


def _legend(series: Sequence[Series]) -> str:
    shapes = []
    for which, it in enumerate(series):
        left = _LEFT + which * 150
        shapes.append(
            f'<rect class="{_class(which)}" x="{left}" y="34" width="14" height="14"/>'
            f'<text class="value" x="{left + 20}" y="46">{escape(it.name)}</text>'
        )
    return "".join(shapes)


def _class(which: int) -> str:
    return "bar" if which == 0 else "bar second"


def _said(places: Sequence[str], values: Sequence[int]) -> str:
    """Only what is there: of a day most hours are empty."""
    found = [f"{place}: {value}" for place, value in zip(places, values, strict=True) if value]
    return ", ".join(found) or "none"


def _short(labels: Sequence[str]) -> list[str]:
    """The labels, long ones without their middle; those that would then be alike are numbered."""
    found: list[str] = []
    for label in labels:
        short, number = _without_middle(label, "…"), 1
        while len(label) > _LETTERS and short in found:
            number += 1
            short = _without_middle(label, f"…{number}…")
        found.append(short)
    return found


def _without_middle(label: str, gap: str) -> str:
    if len(label) <= _LETTERS:
        return label
    kept = _LETTERS - len(gap)
    return f"{label[: kept - kept // 2]}{gap}{label[-(kept // 2) :]}"
