"""The one final normaliser: every format's text passes it, so that they all look alike."""

import re
import unicodedata

_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x85\u2028]")
_PARAGRAPH_ENDS = re.compile(r"[\x0c\u2029]")
# Possessive and begun only where a run begins: a long run inside a line is passed over once.
_TRAILING_SPACE = re.compile(r"(?<![^\S\n])[^\S\n]++(?=\n|\Z)")
_MOST_MARKS = 30
_JOINER = "\u034f"
# One character stands for two marks, or a letter with three, at most: shorter runs have few enough.
_LONG_RUN = re.compile(r"[^\x00-\x7f\s]{15,}")
_BLANK_LINES = re.compile(r"\n{3,}")
_LIGATURES = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)}
_CONTROLS = [*range(0x20), *range(0x7F, 0xA0)]
_INVISIBLE = [
    0xAD,
    0x61C,
    0x180E,
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    0xFEFF,
    *range(0xFFF9, 0xFFFC),
    0xFFFE,
    0xFFFF,
]
# A lone surrogate cannot be written as UTF-8, so nothing downstream could store it.
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
_TABLE: dict[int, str | None] = {
    **dict.fromkeys(_CONTROLS, None),
    **dict.fromkeys(_INVISIBLE, None),
    **_SURROGATES,
    **_LIGATURES,
    0x09: "\t",
    0x0A: "\n",
}


def normalise(text: str) -> str:
    """Bring text to its final form; doing it twice changes nothing.

    NFC; LF line ends; Latin ligatures U+FB00 to U+FB06 written out; soft hyphens, zero-width and
    control characters gone; no space at line ends; one empty line between paragraphs and none at
    either end; at most 30 combining marks in a row, parted by U+034F (the stream-safe text format
    of Unicode Standard Annex 15), because composing longer runs takes quadratic time.

    Args:
        text: Text of any reader.

    Returns:
        The same words in one form.
    """
    text = _PARAGRAPH_ENDS.sub("\n\n", _LINE_ENDS.sub("\n", text))
    text = _LONG_RUN.sub(_stream_safe, text.translate(_TABLE))
    text = unicodedata.normalize("NFC", text)
    text = _TRAILING_SPACE.sub("", text)
    return _BLANK_LINES.sub("\n\n", text).strip("\n")


def _stream_safe(found: re.Match[str]) -> str:
    if found[0].isalpha():
        # No mark stands alone among letters.
        return found[0]
    out, marks = [], 0
    for char in found[0]:
        parts = unicodedata.normalize("NFD", char)
        marks = marks + len(parts) if unicodedata.combining(parts[0]) else 0
        if marks > _MOST_MARKS:
            out.append(_JOINER)
            marks = len(parts)
        out.append(char)
        if not marks:
            marks = _trailing_marks(parts)
    return "".join(out)


def _trailing_marks(parts: str) -> int:
    return next((n for n, part in enumerate(reversed(parts)) if not unicodedata.combining(part)), 0)


def looks_garbled(text: str) -> bool:
    """Whether so many characters are replacements or private use that letters were lost.

    Args:
        text: Text of a reader, before it is normalised.

    Returns:
        True when at least three characters and two in a hundred are of that kind.
    """
    bad = sum(1 for char in text if char == "\ufffd" or "\ue000" <= char <= "\uf8ff")
    return bad >= 3 and bad * 50 >= len(text)
