"""From bytes of unknown encoding to text: certain signs first, a guess last."""

import codecs
import re

from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.extraction.errors import ExtractionError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_ZERO_SAMPLE = 4_096
_GUESS_SAMPLE = 100_000
_NOT_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufffd]")

# The legacy encodings of a Nordic classroom: Windows and Latin-1, old Mac, DOS. A guesser needs
# pages to tell them apart; their Swedish letters lie on different bytes, so a few words do.
_NORDIC_ENCODINGS = ("cp1252", "mac_roman", "cp850")
_NORDIC_LETTERS = frozenset("åäöÅÄÖéÉèÈàÀáÁüÜæÆøØëËêôçñß")
_NORDIC_SIGNS = frozenset("–—‘’“”„…€´§°«»½¼¾·•²³×£\xa0\xad")
_CLOSED_IN = re.compile(r"[^\W\d_][“”„…€§°«»½¼¾•²³×£—][^\W\d_]")


def decode_text(data: bytes) -> str:
    """Decode a text file: BOM, UTF-16 by its zero bytes, strict UTF-8, then legacy encodings.

    Args:
        data: The raw bytes.

    Returns:
        The text, without a byte order mark.

    Raises:
        ExtractionError: UNDECODABLE_TEXT, binary or in no encoding that gives readable text.
    """
    text = _by_bom(data)
    if text is None:
        encoding = _zero_pattern(data)
        text = _strict(data, encoding) if encoding else _without_zeros(data)
    if text is None or _is_binary(text):
        raise ExtractionError(Code.UNDECODABLE_TEXT, "the bytes are not text in any encoding")
    return text


def _by_bom(data: bytes) -> str | None:
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            # A mark is a claim; when it is false, the other tests may still find the truth.
            text = _strict(data[len(bom) :], encoding)
            if text is not None:
                return text
    return None


def _zero_pattern(data: bytes) -> str | None:
    """UTF-16 without a mark: nearly all zero bytes on one side of each pair."""
    sample = data[:_ZERO_SAMPLE]
    pairs = len(sample) // 2
    if pairs == 0 or len(data) % 2:
        return None
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd * 10 >= pairs * 6 and even * 20 <= pairs:
        return "utf-16-le"
    if even * 10 >= pairs * 6 and odd * 20 <= pairs:
        return "utf-16-be"
    return None


def _without_zeros(data: bytes) -> str | None:
    if 0 in data:
        return None
    return _strict(data, "utf-8") or _nordic(data) or _guess(data)


def _nordic(data: bytes) -> str | None:
    best, most = None, -1
    for encoding in _NORDIC_ENCODINGS:
        text = _strict(data, encoding)
        if text is None or _CLOSED_IN.search(text):
            continue
        if not {char for char in text if ord(char) > 127} <= _NORDIC_LETTERS | _NORDIC_SIGNS:
            continue
        swedish = sum(map(text.count, "åäöÅÄÖ"))
        if swedish > most:
            best, most = text, swedish
    return best


def _guess(data: bytes) -> str | None:
    import chardet

    # Only lines with high bytes tell encodings apart; plain ones would crowd out the sample.
    lines = (line for line in data.split(b"\n") if not line.isascii())
    telling = b"\n".join(lines)[:_GUESS_SAMPLE]
    encoding = chardet.detect(telling or data[:_GUESS_SAMPLE])["encoding"]
    if encoding is None:
        return None
    # What calls itself Latin-1 is Windows-1252 wherever the two differ.
    name = "cp1252" if encoding.lower() in ("iso-8859-1", "iso8859-1") else encoding
    return _strict(data, name)


def _strict(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None


def _is_binary(text: str) -> bool:
    odd = len(_NOT_TEXT.findall(text))
    # A stray sign or two in a short text come from a slip of the keyboard, not from a program.
    return odd > 2 and odd * 100 > len(text)
