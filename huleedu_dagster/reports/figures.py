"""Figures: rates, distributions and percentiles. Pure functions over values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

MOST_BINS = 10
"""Bars of a distribution, at most."""


@dataclass(frozen=True, slots=True)
class Bin:
    """How many values are in a range.

    Attributes:
        low: The smallest value that belongs to it.
        high: The smallest value that belongs to the next one.
        count: How many values.
    """

    low: int
    high: int
    count: int


def per_hundred(misspellings: int | None, words: int | None) -> float | None:
    """Misspellings per 100 words, to one decimal; `None` where there are no words."""
    if misspellings is None or not words:
        return None
    return round(100 * misspellings / words, 1)


def middle(values: Sequence[float]) -> float | None:
    """The median, `None` of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


@dataclass(frozen=True, slots=True)
class Spread:
    """How long something took, in seconds; times are `None` where there is nothing.

    Attributes:
        count: How many values.
        p50: Half of them are this or less; the others likewise, of a hundred.
    """

    count: int
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    max: float | None


def spread(values: Sequence[float]) -> Spread:
    """The percentiles of some values, to milliseconds."""
    if not values:
        return Spread(0, None, None, None, None, None)
    ordered = sorted(values)
    shares = (0.5, 0.9, 0.95, 0.99, 1.0)
    return Spread(len(ordered), *(round(percentile(ordered, it), 3) for it in shares))


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that a share of the others is below, between two of them in proportion.

    Args:
        ordered: At least one value, the smallest first.
        share: From 0 (the smallest) to 1 (the largest).
    """
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def distribution(values: Sequence[float], most: int = MOST_BINS) -> tuple[Bin, ...]:
    """Count values in ranges of one round width (1, 2 or 5 times a power of ten).

    Args:
        values: Values of 0 or more; every one is in exactly one range.
        most: How many ranges at most, at least 2.

    Returns:
        The ranges in order without gaps, from the smallest value to the largest; none of nothing.
    """
    if not values:
        return ()
    low, high = min(values), max(values)
    width = 1
    while math.floor(high / width) - math.floor(low / width) >= most:
        width = _wider(width)
    first = math.floor(low / width)
    counts = [0] * (math.floor(high / width) - first + 1)
    for it in values:
        counts[math.floor(it / width) - first] += 1
    return tuple(
        Bin((first + number) * width, (first + number + 1) * width, count)
        for number, count in enumerate(counts)
    )


def _wider(width: int) -> int:
    """The next round width: 1, 2, 5, 10, 20, 50 and so on."""
    return width * 5 // 2 if str(width)[0] == "2" else width * 2
