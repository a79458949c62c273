"""A small hand-written PDF writer: Helvetica text, pictures of pages, and 40-bit protection."""

import hashlib
import struct
import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

PAGE_WIDTH, PAGE_HEIGHT = 595, 842
MARGIN = 56
SIZE = 11
LEADING = 14
PARAGRAPH_GAP = 24

_PADDING = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")
_FILE_ID = b"0123456789abcdef"
# Helvetica advance widths of U+0020 to U+007E, in thousandths of the font size.
_WIDTHS = (
    "278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 "
    "556 556 556 278 278 584 584 584 556 1015 667 667 722 722 667 611 778 722 278 500 667 556 833 "
    "722 778 667 778 722 667 611 722 667 944 667 667 611 278 278 278 469 556 333 556 556 500 556 "
    "556 278 556 556 222 222 500 222 833 556 556 556 556 333 500 278 556 500 722 500 500 500 334 "
    "260 334 584"
)
_ADVANCE = {chr(32 + i): int(width) for i, width in enumerate(_WIDTHS.split())}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text at a fixed place.

    Attributes:
        x: Left edge, points from the left of the page.
        y: Base line, points from the bottom of the page.
        text: What it says; must be writable in Windows-1252.
        size: Font size, points.
    """

    x: float
    y: float
    text: str
    size: float = SIZE


def text_width(text: str, size: float = SIZE) -> float:
    """Width of `text` in Helvetica, points."""
    bases = (unicodedata.normalize("NFD", char)[0] for char in text)
    return sum(_ADVANCE.get(base, 556) for base in bases) * size / 1000


def wrap(text: str, width: float) -> list[str]:
    """Break `text` at spaces into lines at most `width` points wide."""
    lines: list[str] = []
    for piece in text.split("\n"):
        words = piece.split(" ")
        current = words[0]
        for word in words[1:]:
            if text_width(f"{current} {word}") > width:
                lines.append(current)
                current = word
            else:
                current = f"{current} {word}"
        lines.append(current)
    return lines


def layout(paragraphs: Sequence[str], *, title: str | None = None) -> list[list[Line]]:
    """Set paragraphs on A4 pages, one column, a wider gap between paragraphs.

    Args:
        paragraphs: The paragraphs; a line feed forces a new line.
        title: A larger first line, when given.

    Returns:
        The lines of each page.
    """
    pages: list[list[Line]] = [[]]
    y: float = PAGE_HEIGHT - MARGIN
    if title is not None:
        pages[0].append(Line(MARGIN, y, title, 18))
        y -= 36
    for paragraph in paragraphs:
        for line in wrap(paragraph, PAGE_WIDTH - 2 * MARGIN):
            if y < MARGIN:
                pages.append([])
                y = PAGE_HEIGHT - MARGIN
            pages[-1].append(Line(MARGIN, y, line))
            y -= LEADING
        y -= PARAGRAPH_GAP - LEADING
    return pages


def pdf_bytes(
    paragraphs: Sequence[str], *, title: str | None = None, user_password: bytes | None = None
) -> bytes:
    """Build a PDF of running text.

    Args:
        paragraphs: The paragraphs, in Windows-1252 characters.
        title: A larger first line and the document title, when given.
        user_password: Protect with 40-bit RC4; an empty one opens without being asked.

    Returns:
        The bytes of the file, the same for the same input.
    """
    return pdf_of_lines(layout(paragraphs, title=title), title=title, user_password=user_password)


def pdf_of_lines(
    pages: Sequence[Sequence[Line]],
    *,
    title: str | None = None,
    user_password: bytes | None = None,
) -> bytes:
    """Build a PDF from lines at fixed places, one sequence for each page."""
    contents = [b"\n".join(_show(line) for line in page) for page in pages]
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    resources = b"<< /Font << /F1 3 0 R >> >>"
    return _assemble(contents, font, resources, title=title, user_password=user_password)


def scanned_pdf_bytes(page_count: int = 1) -> bytes:
    """Build a PDF whose pages are pictures: no text at all."""
    head = b"<< /Type /XObject /Subtype /Image /Width 8 /Height 8 /ColorSpace /DeviceGray"
    image = head + b" /BitsPerComponent 8 /Length 64 >>\nstream\n" + bytes(range(64))
    content = b"q 500 0 0 700 40 60 cm /Im1 Do Q"
    resources = b"<< /XObject << /Im1 3 0 R >> >>"
    return _assemble([content] * page_count, image + b"\nendstream", resources)


def encrypted_pdf_bytes() -> bytes:
    """Build a PDF that asks for a password before it opens."""
    return pdf_bytes(["Locked away."], user_password=b"hemligt")


def pdf_of_objects(objects: Sequence[bytes]) -> bytes:
    """Build a PDF from the bodies of its objects; the first is number 1 and the catalogue."""
    return _write(objects, b"")


def _show(line: Line) -> bytes:
    text = line.text.encode("cp1252")
    for raw, escaped in ((b"\\", rb"\\"), (b"(", rb"\("), (b")", rb"\)")):
        text = text.replace(raw, escaped)
    return b"BT /F1 %g Tf %g %g Td (%b) Tj ET" % (line.size, line.x, line.y, text)


def _assemble(
    contents: Sequence[bytes],
    shared: bytes,
    resources: bytes,
    *,
    title: str | None = None,
    user_password: bytes | None = None,
) -> bytes:
    key, encrypt = _protection(user_password) if user_password is not None else (None, b"")
    page_numbers = [4 + 2 * i for i in range(len(contents))]
    kids = b" ".join(b"%d 0 R" % number for number in page_numbers)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count %d /Kids [%b] >>" % (len(contents), kids),
        shared,
    ]
    box = b"[0 0 %d %d]" % (PAGE_WIDTH, PAGE_HEIGHT)
    for number, content in zip(page_numbers, contents, strict=True):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox %b /Resources %b /Contents %d 0 R >>"
            % (box, resources, number + 1)
        )
        stream = content if key is None else _rc4(_object_key(key, number + 1), content)
        objects.append(b"<< /Length %d >>\nstream\n%b\nendstream" % (len(stream), stream))
    trailer = b""
    if title is not None and key is None:
        objects.append(b"<< /Title <feff%b> >>" % title.encode("utf-16-be").hex().encode())
        trailer += b" /Info %d 0 R" % len(objects)
    if key is not None:
        objects.append(encrypt)
        file_id = _FILE_ID.hex().encode()
        trailer += b" /Encrypt %d 0 R /ID [<%b> <%b>]" % (len(objects), file_id, file_id)
    return _write(objects, trailer)


def _write(objects: Sequence[bytes], trailer: bytes) -> bytes:
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count = len(objects) + 1
    tail = textwrap.dedent("""\
        trailer
        << /Size %d /Root 1 0 R%b >>
        startxref
        %d
        %%%%EOF
        """).encode()
    xref = b"xref\n0 %d\n0000000000 65535 f \n%b" % (count, table)
    return bytes(out) + xref + tail % (count, trailer, len(out))


def _protection(password: bytes) -> tuple[bytes, bytes]:
    padded = (password + _PADDING)[:32]
    owner_key = hashlib.md5((b"owner" + _PADDING)[:32]).digest()[:5]
    owner = _rc4(owner_key, padded)
    permissions = struct.pack("<i", -4)
    key = hashlib.md5(padded + owner + permissions + _FILE_ID).digest()[:5]
    user = _rc4(key, _PADDING)
    entry = b"<< /Filter /Standard /V 1 /R 2 /P -4 /O <%b> /U <%b> >>"
    return key, entry % (owner.hex().encode(), user.hex().encode())


def _object_key(key: bytes, number: int) -> bytes:
    return hashlib.md5(key + number.to_bytes(3, "little") + b"\0\0").digest()[:10]


def _rc4(key: bytes, data: bytes) -> bytes:
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    i = j = 0
    out = bytearray()
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)
