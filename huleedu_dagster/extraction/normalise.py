"""The one final normaliser: every format's text passes it, so that they all look alike."""

import re
import unicodedata

_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x85\u2028]")
_PARAGRAPH_ENDS = re.compile(r"[\x0c\u2029]")
_TRAILING_SPACE = re.compile(r"[^\S\n]+(?=\n|\Z)")
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
    either end.

    Args:
        text: Text of any reader.

    Returns:
        The same words in one form.
    """
    text = _PARAGRAPH_ENDS.sub("\n\n", _LINE_ENDS.sub("\n", text))
    text = unicodedata.normalize("NFC", text.translate(_TABLE))
    text = _TRAILING_SPACE.sub("", text)
    return _BLANK_LINES.sub("\n\n", text).strip("\n")


def looks_garbled(text: str) -> bool:
    """Whether so many characters are replacements or private use that letters were lost.

    Args:
        text: Text of a reader, before it is normalised.

    Returns:
        True when at least three characters and two in a hundred are of that kind.
    """
    bad = sum(1 for char in text if char == "\ufffd" or "\ue000" <= char <= "\uf8ff")
    return bad >= 3 and bad * 50 >= len(text)
