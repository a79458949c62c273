"""Good essays as PDF: paragraphs, columns, hyphens, ligatures and harmless oddities."""

from collections.abc import Sequence

from huleedu_dagster.domain.outcomes import Warn
from tests.factory.case import Case, essay, joined
from tests.factory.pdf import (
    LEADING,
    MARGIN,
    PARAGRAPH_GAP,
    Line,
    pdf_bytes,
    pdf_of_lines,
    pdf_of_objects,
    wrap,
)

_COLUMN = 225
_SECOND = 314
_TOP = 730


def pdf_cases() -> list[Case]:
    """The cases of this module."""
    plain, owner, titled = essay("pdf"), essay("pdf owner"), essay("pdf title", 4)
    moved, tailed, columns = essay("pdf moved"), essay("pdf tail"), essay("pdf columns", 6)
    long = essay("pdf long", 30)
    return [
        Case("pdf/plain.pdf", lambda: pdf_bytes(plain), joined(plain)),
        Case(
            "pdf/title.pdf",
            lambda: pdf_bytes(titled, title="A day at sea"),
            joined(["A day at sea", *titled]),
        ),
        Case("pdf/owner only.pdf", lambda: pdf_bytes(owner, user_password=b""), joined(owner)),
        Case("pdf/many pages.pdf", lambda: _with_running_heads(long), joined(long)),
        Case(
            "pdf/columns.pdf",
            lambda: pdf_of_lines([_columns("A day at sea, told in two columns", columns)]),
            joined(["A day at sea, told in two columns", *columns]),
        ),
        Case("pdf/hyphens.pdf", lambda: pdf_of_lines([_hyphens()]), _HYPHENATED),
        Case("pdf/ligatures.pdf", _ligatures, "They had an efficient office and a fine flag."),
        Case("pdf/garbled.pdf", _garbled, _GARBLED_TEXT, warnings=(Warn.GARBLED_TEXT,)),
        Case("pdf/named.docx", lambda: pdf_bytes(moved), joined(moved)),
        Case("pdf/sent by a server.pdf", lambda: pdf_bytes(tailed) + b"\r\n" * 90, joined(tailed)),
        # Every viewer leaves out the picture that holds itself and shows the rest.
        Case("pdf/form in itself.pdf", _form_in_itself, "The form of this page draws itself."),
    ]


def _column(x: float, paragraphs: Sequence[str], width: float, top: float) -> list[Line]:
    lines, y = [], top
    for paragraph in paragraphs:
        for text in wrap(paragraph, width):
            lines.append(Line(x, y, text))
            y -= LEADING
        y -= PARAGRAPH_GAP - LEADING
    return lines


def _columns(title: str, paragraphs: Sequence[str]) -> list[Line]:
    half = len(paragraphs) // 2
    return [
        Line(MARGIN, _TOP + 50, title, 18),
        *_column(MARGIN, paragraphs[:half], _COLUMN, _TOP),
        *_column(_SECOND, paragraphs[half:], _COLUMN, _TOP),
    ]


def _with_running_heads(paragraphs: Sequence[str]) -> bytes:
    """Whole paragraphs on each page, with the writer's name above and a number below."""
    parts = [paragraphs[at : at + 6] for at in range(0, len(paragraphs), 6)]
    pages = [
        [
            Line(MARGIN, 810, "Astrid Ek, class 7b"),
            *_column(MARGIN, part, 483, 760),
            Line(280, 30, f"Page {number} of {len(parts)}"),
        ]
        for number, part in enumerate(parts, start=1)
    ]
    return pdf_of_lines(pages)


_HYPHENATED = (
    "On the third day of our trip through the old harbours of the western coast we met Anna-Lisa, "
    "who is a well-known sailor, and she told us that nobody who has passed a whole winter at "
    "sea is ever quite the same."
)


def _hyphens() -> list[Line]:
    texts = (
        "On the third day of our trip through the old harbours of the western coast we met Anna-",
        "Lisa, who is a well-known sailor, and she told us that nobody who has passed a whole win-",
        "ter at sea is ever quite the same.",
    )
    return [Line(MARGIN, 700 - LEADING * at, text) for at, text in enumerate(texts)]


def _page(content: bytes, font: bytes, resources: bytes = b"", *more: bytes) -> bytes:
    return pdf_of_objects(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Count 1 /Kids [4 0 R] >>",
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding %b >>" % font,
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R "
            b"/Resources << /Font << /F1 3 0 R >> %b >> >>" % resources,
            b"<< /Length %d >>\nstream\n%b\nendstream" % (len(content), content),
            *more,
        ]
    )


def _shown(text: bytes) -> bytes:
    return b"BT /F1 11 Tf 56 700 Td (%b) Tj ET" % text


def _ligatures() -> bytes:
    font = b"<< /BaseEncoding /WinAnsiEncoding /Differences [88 /fi /fl 90 /f_f_i] >>"
    return _page(_shown(b"They had an efXcient ofXce and a Xne Yag."), font)


def _garbled() -> bytes:
    names = b" ".join(b"/uniE%03d" % number for number in range(26))
    font = b"<< /BaseEncoding /WinAnsiEncoding /Differences [97 %b] >>" % names
    return _page(_shown(_LOST.encode()), font)


_LOST = "IN THIS FILE ALL THE small letters are lost"
_GARBLED_TEXT = "".join(
    chr(int(f"E{ord(char) - 97:03d}", 16)) if char.islower() else char for char in _LOST
)


def _form_in_itself() -> bytes:
    content = _shown(b"The form of this page draws itself.") + b"\n/F Do"
    form = (
        b"<< /Type /XObject /Subtype /Form /BBox [0 0 595 842] "
        b"/Resources << /XObject << /F 6 0 R >> >> /Length 5 >>\nstream\n/F Do\nendstream"
    )
    return _page(content, b"/WinAnsiEncoding", b"/XObject << /F 6 0 R >>", form)
