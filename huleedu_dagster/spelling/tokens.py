"""Words of a plain text, with the place of each.

Engines and the policy of names both look at the same tokens, so that a correction can be put
back by offset and the rest of the text stays untouched.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

# The accents are what Swedish keyboards offer next to the apostrophe, and what many type.
APOSTROPHES = "'\u2019\u2018\u02bc\u00b4`"
"""Every character that stands for an apostrophe between two letters."""

# Combining marks, because text from PDF files and from macOS comes decomposed; the zero-width
# joiners, because Persian spells with them.
_LETTER = r"[^\W_]"
_INSIDE = r"[^\W_\u0300-\u036f]|[\u0300-\u036f\u064b-\u065f\u0670\u200c\u200d\u00ad]"
_WORD = rf"{_LETTER}(?:{_INSIDE})*(?:[{APOSTROPHES}]{_LETTER}(?:{_INSIDE})*)*"
# Few endings: a full stop without its space ("home.It") is commoner in essays than most domains.
_DOMAIN = r"(?:com|org|net|edu|gov|eu|se|nu|io|uk)"

# Repetitions are bounded, so that a hostile text ("a.a.a.a" by the megabyte) stays linear.
_PIECE = re.compile(
    rf"""
      (?P<skip>
          [A-Za-z][A-Za-z0-9+.-]{{0,20}}://\S*[\w/]
        | www\.\S*[\w/]
        | \w[\w.+-]{{0,63}}@\w[\w-]{{0,63}}(?:\.[\w-]{{1,63}}){{1,5}}
        | \b\w[\w-]{{0,63}}(?:\.\w[\w-]{{0,63}}){{0,5}}\.{_DOMAIN}\b(?:/(?:\S*[\w/])?)?
      )
    | (?P<word>{_WORD})
    """,
    re.VERBOSE,
)
_SENTENCE_BREAK = re.compile(
    r"""[.!?\u2026\u061f]                               # the end of a sentence
      | \n[^\S\n]*(?:\n|[-\u2013\u2014*\u2022\u25aa])      # a paragraph, an item of a list
      | [,:]\s+["'\u201c\u201d\u201e\u201a\u00ab\u2018\u2013\u2014]   # direct speech
    """,
    re.VERBOSE,
)
_SHORT_LINE = 45
"""A line of fewer characters ends where its writer wanted it: verse, a heading, a list."""

_PLAIN_STOP = re.compile(r"\.\s+")
_TITLES = frozenset({"mr", "mrs", "ms", "dr", "prof", "st"})
_PLURAL_OR_POSSESSIVE = re.compile(rf"[{APOSTROPHES}]?s$")
_STRAIGHT = {ord(char): "'" for char in APOSTROPHES} | {0xAD: ""}


@dataclass(frozen=True, slots=True)
class Token:
    """One word that a speller may look up.

    Attributes:
        offset: Where it starts in the text, in characters.
        text: The word exactly as written; the text holds it at `offset`.
        lookup: The word for dictionaries: lower case, composed (NFC), straight apostrophes, no
            soft hyphens.
        sentence_start: Whether a sentence or a paragraph starts here, so that a capital letter
            says nothing about the word.
    """

    offset: int
    text: str
    lookup: str
    sentence_start: bool


def composed(word: str) -> str:
    """Return `word` in its own case, composed (NFC), straight apostrophes, no soft hyphens."""
    return unicodedata.normalize("NFC", word.translate(_STRAIGHT))


def normalise(word: str) -> str:
    """Return `word` as dictionaries hold it: lower case, composed, straight apostrophes."""
    return composed(word).lower()


def tokenise(text: str) -> Iterator[Token]:
    """Yield the words of `text` in order.

    A hyphen ends a word, an apostrophe between letters does not. Left out, because no dictionary
    can judge them: web and e-mail addresses, numbers, anything with a digit (21st), and acronyms
    (two or more letters, all capitals; also NASA's and DVDs).

    Args:
        text: Plain text; blank lines separate paragraphs.
    """
    end = 0
    before = ""
    for piece in _PIECE.finditer(text):
        written = piece.group()
        gap = text[end : piece.start()]
        starts = end == 0 or _breaks_sentence(gap, before) or _begins_line(text, end, gap, written)
        end, before = piece.end(), written
        if piece.lastgroup == "word":
            lookup = _lookup(written)
            if lookup is not None:
                yield Token(piece.start(), written, lookup, starts)


def count_words(text: str) -> int:
    """Return the number of words of `text`, as a word processor counts them.

    Everything between white space that holds a letter or a digit is one word: "well-known",
    "don't", "2024" and an address count once each, a dash on its own does not count.
    """
    return sum(chunk.isalnum() or any(char.isalnum() for char in chunk) for chunk in text.split())


# Texts say the same words over and over.
@lru_cache(maxsize=2**14)
def _lookup(written: str) -> str | None:
    """What dictionaries are asked for, `None` if they cannot judge the word."""
    return None if _is_unspellable(written) else normalise(written)


def _begins_line(text: str, end: int, gap: str, written: str) -> bool:
    """Whether a capital begins a line after a short one, which ends at `end`."""
    if "\n" not in gap or not written[:1].isupper():
        return False
    return end < _SHORT_LINE or text.rfind("\n", end - _SHORT_LINE, end) != -1


def _breaks_sentence(gap: str, before: str) -> bool:
    """Whether a sentence starts after `gap`; the stop of "Mr. Berg" and "J. Berg" ends none."""
    if gap == " " or _SENTENCE_BREAK.search(gap) is None:
        return False
    initial = len(before) == 1 and before.isupper() and before != "I"
    return not (_PLAIN_STOP.fullmatch(gap) and (initial or before.lower() in _TITLES))


def _is_unspellable(written: str) -> bool:
    if any(char.isdigit() for char in written):
        return True
    letters = _PLURAL_OR_POSSESSIVE.sub("", written)
    return sum(char.isalpha() for char in letters) > 1 and letters.isupper()
