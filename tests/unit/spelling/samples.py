"""Which words of a dictionary are asked for in the tests of equality."""

import random
from collections.abc import Iterator
from itertools import accumulate, islice

from tests.unit.spelling.misspellings import COMMON, damaged
from tests.unit.spelling.yardstick import Yardstick

FOREIGN = "øжß漢😀\u0301"


def sample(yardstick: Yardstick, language: str, size: int) -> list[str]:
    """Some `size` words of every kind, the same each time.

    Args:
        yardstick: The dictionary.
        language: ISO 639-1 code; the hand-written misspellings are English.
        size: How many are damaged at random; there are some dozens more.
    """
    generator = random.Random(f"{language} {size}")
    chosen = [*edges(yardstick, generator), *islice(_damaged(yardstick, generator), size)]
    if language == "en":
        chosen += generator.sample(COMMON, min(size, len(COMMON)))
    return list(dict.fromkeys(it.lower() for it in chosen))


def edges(yardstick: Yardstick, generator: random.Random) -> Iterator[str]:
    """Words at the limits of length and alphabet, numbers, marks, nothing."""
    words, letters = yardstick.words, yardstick.letters
    yield from ["", "7", "21", "3.5", "1e5", "-1", "21st", "1a", "a1", "nan", "inf", "infinity"]
    yield from [
        "'",
        "-",
        "?",
        "''",
        "x'",
        "'x",
        "qzx",
        "xqzwvkjq",
        "😀",
        "Straße",
        "don'tt",
        "o'clok",
    ]
    yield from (letters[0], letters[-1], letters[-1] * 3, letters[0] + letters[-1])
    longest = max(words, key=len)
    # Up to three letters longer than the longest are looked at, four are not.
    yield from (longest[1:], longest[:-2], longest + "x", longest + "xy", longest[:9] + longest)
    yield from (longest + "xyz", longest + "wxyz")
    marked = [word for word in words if not word.isalpha() or not word.isascii()]
    some = generator.sample(marked, min(10, len(marked)))
    yield from islice(damaged(some or words, letters, generator, (1, 2)), 10)
    yield from islice(damaged(words, FOREIGN + letters[0] + letters[-1], generator, (1, 2)), 10)
    short = [word for word in words if len(word) < 4]
    yield from islice(damaged(short, letters, generator, (1, 2)), 6)
    yield from (word.upper() for word in generator.sample(words, 3))


def _damaged(yardstick: Yardstick, generator: random.Random) -> Iterator[str]:
    """Every other word common, every other from anywhere in the dictionary."""
    running = list(accumulate(yardstick.counts.values()))
    common = generator.choices(yardstick.words, cum_weights=running, k=5000)
    sources = [
        damaged(words, yardstick.letters, generator, (1, 2, 3))
        for words in (common, yardstick.words)
    ]
    while True:
        yield from map(next, sources)
