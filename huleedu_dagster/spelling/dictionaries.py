"""The dictionaries there are, and pyspellchecker's rules on what it searches.

The rules are those of version 0.9 of the library (`spellchecker.py`); tests hold them equal.
"""

import gzip
import hashlib
import importlib.util
import json
import string
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OVER_LONGEST = 3
"""A word may be this many letters longer than the longest of the dictionary to be looked at."""

_SUFFIX = ".json.gz"
_WORDS_OF_FLOAT = ("nan", "inf", "infinity")


class DictionaryError(OSError, ValueError):
    """There is no dictionary for a language, or it is damaged; the message says which."""


@dataclass(frozen=True, slots=True)
class Dictionary:
    """A word list with counts, and what identifies it.

    Attributes:
        language: ISO 639-1 code.
        path: `{word: count}` as JSON, compressed if the name ends in `.gz`.
        source: The library and its version, or "own".
        sha256: Hash of the file's bytes, hexadecimal.
    """

    language: str
    path: Path
    source: str
    sha256: str

    @classmethod
    def installed(cls, language: str) -> "Dictionary":
        """The dictionary that the installed pyspellchecker brings for a language.

        Raises:
            DictionaryError: It brings none for `language`.
        """
        from importlib.metadata import version

        if language not in installed_languages():
            raise DictionaryError(f"there is no dictionary for language {language!r}")
        path = _resources() / f"{language}{_SUFFIX}"
        return cls(language, path, f"pyspellchecker {version('pyspellchecker')}", _sha256(path))

    @classmethod
    def own(cls, language: str, path: Path) -> "Dictionary":
        """A dictionary of one's own, in the form of the library's.

        Raises:
            OSError: The file cannot be read.
        """
        return cls(language, path, "own", _sha256(path))

    @property
    def is_own(self) -> bool:
        """Whether it is not one of the library's."""
        return self.source == "own"

    def counts(self) -> dict[str, int]:
        """Read the words with their counts, in lower case as the library holds them.

        Of an own file the library lowers the text and lets the last of two spellings count: a
        capital written as an escape stays one, and its word is never found. Of its own files it
        adds up the counts of words that differ in case only.

        Raises:
            OSError: The file cannot be read.
            DictionaryError: It is no JSON object of words and whole numbers from 0 up, or not the
                file any more that `sha256` is of.
        """
        data = self.path.read_bytes()
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise DictionaryError(
                f"the dictionary {self.path.name} was replaced while it was read; do it again"
            )
        try:
            packed = self.path.suffix.lower() == ".gz"
            text = (gzip.decompress(data) if packed else data).decode()
            loaded = json.loads(text.lower() if self.is_own else text)
        except (EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
            raise DictionaryError(f"the dictionary {self.path.name} is damaged") from error
        if not isinstance(loaded, dict) or not all(map(_is_count, loaded.values())):
            raise DictionaryError(f"{self.path.name} is no JSON object of words and counts")
        if self.is_own:
            return loaded
        found: Counter[str] = Counter()
        for word, count in loaded.items():
            found[word.lower()] += count
        return dict(found)


def installed_languages() -> frozenset[str]:
    """The languages (ISO 639-1) the installed pyspellchecker has dictionaries for."""
    names = (it.name for it in _resources().iterdir() if it.name.endswith(_SUFFIX))
    return frozenset(name.removesuffix(_SUFFIX) for name in names)


def is_searched(word: str, longest: int) -> bool:
    """Whether the library looks at `word` at all; its `_check_if_should_check`.

    Args:
        word: In lower case.
        longest: Letters of the longest word of the dictionary.
    """
    if len(word) == 1 and word in string.punctuation:
        return False
    if len(word) > longest + OVER_LONGEST:
        return False
    return word in _WORDS_OF_FLOAT or not _is_number(word)


def edits(word: str, letters: str) -> Iterator[str]:
    """All strings one edit from `word`, inserting and replacing with `letters`; some twice."""
    for at in range(len(word) + 1):
        left, right = word[:at], word[at:]
        for letter in letters:
            yield left + letter + right
            if right:
                yield left + letter + right[1:]
        if right:
            yield left + right[1:]
        if len(right) > 1:
            yield left + right[1] + right[0] + right[2:]


def is_near_unsearched(word: str, letters: str) -> bool:
    """Whether a string at one edit from `word` may be one that `is_searched` refuses.

    The library goes to two edits by way of all strings at one edit, but not by way of those. Only
    words that are almost a number or a punctuation mark have such neighbours; for some others the
    answer is true as well.

    Args:
        word: In lower case.
        letters: The dictionary's letters.
    """
    # "--" is two edits from nothing, but by way of "-" only.
    if not word or (len(word) < 3 and any(char in string.punctuation for char in word)):
        return True
    if any(char.isdecimal() for char in word + letters):
        # One edit mends one character that no number has.
        foreign = sum(not (char.isdecimal() or char in "._e" or _is_edge(char)) for char in word)
        if foreign < 2:
            return True
    # "-inf" and " nan" are numbers too, although "inf" and "nan" pass.
    if not any(map(_is_edge, word + letters)):
        return False
    bare = "".join(char for char in word if not _is_edge(char))
    return any(_is_at_most_one_edit(bare, it) for it in _WORDS_OF_FLOAT)


def is_reached(word: str, target: str, longest: int) -> bool:
    """Whether the library finds `target` at two edits from `word`.

    Args:
        word: In lower case.
        target: A word of the dictionary, at a distance of exactly two.
        longest: Letters of the longest word of the dictionary.
    """
    letters = "".join(set(target))
    return any(
        is_searched(step, longest) and _is_at_most_one_edit(step, target)
        for step in set(edits(word, letters))
    )


def _resources() -> Path:
    # Finding the package is enough; importing it costs 40 ms.
    spec = importlib.util.find_spec("spellchecker")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "resources"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _is_edge(char: str) -> bool:
    """Whether it may stand before or behind a number: a sign or white space."""
    return char in "+-" or char.isspace()


def _is_at_most_one_edit(one: str, other: str) -> bool:
    from rapidfuzz.distance import DamerauLevenshtein

    return DamerauLevenshtein.distance(one, other, score_cutoff=1) <= 1
