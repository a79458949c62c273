"""Documents that attack their reader: hangs, crashes and hunger for memory, made by script."""

import random
import zlib

from tests.factory.documents import docx_bytes
from tests.factory.pdf import pdf_of_objects

_FIRST_FREE = 6
_DRAW_TEXT = b"BT /F1 12 Tf 10 10 Td (x) Tj ET\n"


def nested_forms_pdf(depth: int = 9, fan: int = 10) -> bytes:
    """Build a PDF of 80 KB in which forms draw forms: `fan ** depth` draws.

    The innermost form has much to read and nothing to keep, so time runs out long before memory.
    """
    forms = []
    for level in range(depth + 1):
        last = level == depth
        inner = b"" if last else b"/XObject << /F %d 0 R >>" % (_FIRST_FREE + level + 1)
        content = b"q Q " * 20_000 if last else b"/F Do " * fan
        head = b"/Type /XObject /Subtype /Form /BBox [0 0 595 842] /Resources << %b >>" % inner
        forms.append(_stream(content, head))
    return _page(b"/F Do", b"/XObject << /F 6 0 R >>", *forms)


def crashing_pdf(links: int = 100_000) -> bytes:
    """Build a PDF whose colour space refers to another, and so on, until the stack is used up."""
    chain = [b"[/Pattern %d 0 R]" % (_FIRST_FREE + 1 + link) for link in range(links)]
    return _page(b"/C cs", b"/ColorSpace << /C 6 0 R >>", *chain, b"/DeviceGray")


def flate_bomb_pdf(megabytes: int = 100) -> bytes:
    """Build a small PDF whose page has that many megabytes of drawing instructions."""
    packer = zlib.compressobj(9)
    block = _DRAW_TEXT * (1024 * 1024 // len(_DRAW_TEXT))
    packed = b"".join(packer.compress(block) for _ in range(megabytes)) + packer.flush()
    return _page(packed, b"/Font << /F1 3 0 R >>", filtered=b"/Filter /FlateDecode")


def docx_bomb(paragraphs: int = 700_000) -> bytes:
    """Build a docx that unpacks to less than every cap and needs some hundred MB as a tree."""
    rng = random.Random(5)
    texts = (str(rng.randrange(10**6)) for _ in range(paragraphs))
    body = "".join(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in texts)
    return docx_bytes([], body_xml=body)


def deep_html(depth: int = 90_000) -> bytes:
    """Build an HTML page of nested elements."""
    return b"<div>" * depth + b"x" + b"</div>" * depth


def many_attributes_html(count: int = 200_000) -> bytes:
    """Build an HTML page with one element of many attributes."""
    return b"<p " + b" ".join(b"a%d=1" % number for number in range(count)) + b">x</p>"


def open_brackets_md(count: int = 100_000) -> bytes:
    """Build a Markdown file of nothing but opening brackets."""
    return b"[" * count


def _page(content: bytes, resources: bytes, *more: bytes, filtered: bytes = b"") -> bytes:
    return pdf_of_objects(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Count 1 /Kids [4 0 R] >>",
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << %b >> "
            b"/Contents 5 0 R >>" % resources,
            _stream(content, filtered),
            *more,
        ]
    )


def _stream(content: bytes, head: bytes) -> bytes:
    return b"<< %b /Length %d >>\nstream\n%b\nendstream" % (head, len(content), content)
