"""Misspellings in any number, made the way people make them; the same for the same seed."""

import random
from collections.abc import Callable, Iterator

from huleedu_dagster.spelling.dictionaries import Dictionary

_COMMONEST = 8000
_SHORTEST = 4
_VOWELS = "aeiou"
_SILENT = (
    ("wh", "w"),
    ("kn", "n"),
    ("gh", "g"),
    ("mb", "m"),
    ("sc", "s"),
    ("ck", "k"),
    ("th", "t"),
)
_SOUNDS = (
    *(
        ("ph", "f"),
        ("tion", "sion"),
        ("ci", "si"),
        ("ce", "se"),
        ("c", "k"),
        ("ai", "a"),
        ("ea", "ee"),
    ),
    *(("ie", "ei"), ("ei", "ie"), ("ou", "ow"), ("igh", "i"), ("ough", "off"), ("er", "or")),
    *(("ant", "ent"), ("ent", "ant"), ("able", "ible"), ("ible", "able"), ("z", "s"), ("v", "b")),
)
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")

Mistake = Callable[[str, random.Random], str]


def misspelled(language: str, size: int, seed: str) -> Iterator[tuple[str, list[str]]]:
    """Yield misspellings of common words with the words meant.

    Two in three hold one mistake, the others two; the kinds are as likely as in `MISTAKES`.

    Args:
        language: ISO 639-1 code; the words are the commonest of its dictionary.
        size: How many.
        seed: What the choice depends on.
    """
    counts = Dictionary.installed(language).counts()
    common = sorted(counts, key=lambda word: (-counts[word], word))[:_COMMONEST]
    words = [word for word in common if len(word) >= _SHORTEST and word.isalpha()]
    chance = random.Random(f"{seed} {language}")
    done = 0
    while done < size:
        right = wrong = chance.choice(words)
        for _ in range(chance.choice((1, 1, 2))):
            wrong = _mistaken(wrong, chance)
        if wrong != right:
            done += 1
            yield wrong, [right]


def _mistaken(word: str, chance: random.Random) -> str:
    """`word` with one mistake, or as it is if the kind that was drawn does not fit it."""
    kinds, shares = zip(*MISTAKES, strict=True)
    made: str = chance.choices(kinds, shares)[0](word, chance)
    return made


def keyboard(word: str, chance: random.Random) -> str:
    """A letter beside the one that was meant."""
    at = chance.randrange(len(word))
    row = next((it for it in _ROWS if word[at] in it), "")
    beside = row.find(word[at]) + chance.choice((-1, 1))
    return word[:at] + row[beside] + word[at + 1 :] if 0 <= beside < len(row) else word


def doubled(word: str, chance: random.Random) -> str:
    """A consonant twice."""
    at = _place(word, lambda it: word[it] not in _VOWELS and it > 0, chance)
    return word if at is None else word[:at] + word[at] + word[at:]


def undoubled(word: str, chance: random.Random) -> str:
    """One of two equal letters."""
    at = _place(word, lambda it: word[it] == word[it - 1 : it], chance)
    return word if at is None else word[:at] + word[at + 1 :]


def swapped(word: str, chance: random.Random) -> str:
    """Two neighbours in each other's place; the first letter is seldom wrong."""
    at = chance.randrange(1, len(word) - 1) if len(word) > 2 else 0
    return word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :]


def vowel(word: str, chance: random.Random) -> str:
    """Another vowel."""
    at = _place(word, lambda it: word[it] in _VOWELS, chance)
    return word if at is None else word[:at] + chance.choice(_VOWELS) + word[at + 1 :]


def left_out(word: str, chance: random.Random) -> str:
    """A letter inside the word is missing."""
    at = chance.randrange(1, len(word)) if len(word) > 1 else 0
    return word[:at] + word[at + 1 :] if len(word) > 2 else word


def silent(word: str, chance: random.Random) -> str:
    """A letter that is not heard is missing."""
    return _rewritten(word, (*_SILENT, ("e", "")), chance)


def sound(word: str, chance: random.Random) -> str:
    """Written as it is heard."""
    return _rewritten(word, _SOUNDS, chance)


MISTAKES: tuple[tuple[Mistake, int], ...] = (
    (keyboard, 2),
    (doubled, 2),
    (undoubled, 3),
    (swapped, 2),
    (vowel, 4),
    (left_out, 3),
    (silent, 2),
    (sound, 4),
)
"""The kinds of mistakes, each with its share."""


def _place(word: str, fits: Callable[[int], bool], chance: random.Random) -> int | None:
    places = [it for it in range(len(word)) if fits(it)]
    return chance.choice(places) if places else None


def _rewritten(word: str, pairs: tuple[tuple[str, str], ...], chance: random.Random) -> str:
    fitting = [it for it in pairs if it[0] in word[1:]]
    if not fitting:
        return word
    old, new = chance.choice(fitting)
    at = word.rindex(old)
    return word[:at] + new + word[at + len(old) :]
