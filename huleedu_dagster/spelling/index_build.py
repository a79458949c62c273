"""Builds a spelling index from a dictionary, as arrays with numpy: about a second for English."""

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING

from huleedu_dagster.spelling.dictionaries import Dictionary, is_searched
from huleedu_dagster.spelling.index_file import (
    FOREIGN,
    PREFIX,
    WORDS_AT,
    Contents,
    index_key,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.uint32]

_CRC32_POLYNOMIAL = 0xEDB88320
_PER_BUCKET = 3
"""Numbers of words for each bucket, at the most."""


def build_index(dictionary: Dictionary) -> Contents:
    """Make the contents of an index; needs about four times the memory of the finished file.

    Raises:
        OSError: The dictionary cannot be read.
        ValueError: It is no dictionary, or has more letters than a byte can tell apart.
    """
    import numpy as np

    counts = dictionary.counts()
    words = sorted(counts, key=lambda word: (len(word), word))
    letters = "".join(sorted(set().union(*words)))
    longest = len(words[-1]) if words else 0
    text = _Text(words, letters)
    searched = np.array([_is_found(word, longest) for word in words], dtype=bool)
    ids = np.arange(len(words), dtype=np.uint32)
    arrays = {
        "words": text.bytes.tobytes(),
        "offsets": (text.starts + np.uint32(WORDS_AT)).tobytes(),
        "counts": np.array([counts[word] for word in words], dtype=np.uint64).tobytes(),
        "lengths": np.searchsorted(text.lengths, range(longest + 2)).astype(np.uint32).tobytes(),
    }
    for number, prefix in ((0, longest), (1, PREFIX), (2, PREFIX)):
        starts, found = _tier(text, ids if number == 0 else ids[searched], number, prefix)
        arrays |= {f"starts{number}": starts.tobytes(), f"ids{number}": found.tobytes()}
    key = index_key(dictionary.language, dictionary.source, dictionary.sha256)
    return Contents(key, letters, longest, arrays)


def _is_found(word: str, longest: int) -> bool:
    # The library lowers what it tries: a word with a capital, written as an escape, is never found.
    return word == word.lower() and is_searched(word, longest)


class _Text:
    """All words, one after the other, one byte for each letter."""

    def __init__(self, words: list[str], letters: str) -> None:
        import numpy as np

        if len(letters) > FOREIGN:
            raise ValueError(f"{len(letters)} different letters; at most {FOREIGN}")
        code = str.maketrans({letter: chr(number) for number, letter in enumerate(letters)})
        text = "".join(words).translate(code).encode("latin-1")
        self.bytes = np.frombuffer(text, np.uint8)
        self.lengths = np.fromiter(map(len, words), np.uint32, len(words))
        self.starts = np.zeros(len(words) + 1, np.uint32)
        np.cumsum(self.lengths, out=self.starts[1:])


def _tier(text: _Text, ids: "Numbers", deletions: int, prefix: int) -> "tuple[Numbers, Numbers]":
    """Buckets of word numbers, by what deletions leave of the words' first letters."""
    import numpy as np

    lengths = np.minimum(text.lengths[ids], prefix)
    total = sum(
        int(np.count_nonzero(lengths == length)) * _choices(length, deletions)
        for length in range(prefix + 1)
    )
    bits = (total // _PER_BUCKET).bit_length()
    # Bucket and number in one integer: sorting brings each bucket's numbers together.
    pairs = np.empty(total, np.uint64)
    end = 0
    for length in range(prefix + 1):
        group = ids[lengths == length]
        for checksums in _remains(text, group, length, deletions):
            buckets = (checksums >> np.uint64(32 - bits)) << np.uint64(32)
            pairs[end : end + len(group)] = buckets | group
            end += len(group)
    pairs.sort()
    first = np.ones(total, bool)
    np.not_equal(pairs[1:], pairs[:-1], out=first[1:])
    pairs = pairs[first]
    bounds = np.arange(2**bits + 1, dtype=np.uint64) << np.uint64(32)
    return np.searchsorted(pairs, bounds).astype(np.uint32), pairs.astype(np.uint32)


def _choices(length: int, deletions: int) -> int:
    return sum(1 for _ in _deleted(length, deletions))


def _deleted(length: int, deletions: int) -> Iterator[tuple[int, ...]]:
    """The places of every choice of up to so many letters out of `length`."""
    for number in range(min(deletions, length) + 1):
        yield from combinations(range(length), number)


def _remains(
    text: _Text, ids: "Numbers", length: int, deletions: int
) -> "Iterator[NDArray[np.uint64]]":
    """The checksums of what is left of the first `length` letters, as `zlib.crc32` has them."""
    import numpy as np

    if not len(ids):
        return
    table = _crc32_table()
    letters = [text.bytes[text.starts[ids] + np.uint32(at)] for at in range(length)]
    for gone in _deleted(length, deletions):
        checksum = np.full(len(ids), 0xFFFFFFFF, np.uint32)
        for at in range(length):
            if at not in gone:
                checksum = table[(checksum ^ letters[at]) & 0xFF] ^ (checksum >> np.uint32(8))
        yield (~checksum).astype(np.uint64)


def _crc32_table() -> "Numbers":
    import numpy as np

    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        odd = (table & 1).astype(bool)
        table = (table >> np.uint32(1)) ^ np.where(odd, np.uint32(_CRC32_POLYNOMIAL), np.uint32(0))
    return table
