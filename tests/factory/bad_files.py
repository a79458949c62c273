"""Files that nobody can read, each with the one code that helps its teacher."""

import random
import zipfile
from io import BytesIO

from huleedu_dagster.domain.outcomes import Code
from tests.factory import documents
from tests.factory.case import Case, essay
from tests.factory.ole import ole_bytes
from tests.factory.pdf import pdf_bytes, pdf_of_objects

_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
_WORDS = essay("bad")


def bad_cases() -> list[Case]:
    """The cases of this module."""
    return [*_empty(), *_other_kinds(), *_renamed(), *_locked(), *_damaged(), *_unreadable()]


def _noise(seed: str, size: int = 3_000) -> bytes:
    return random.Random(seed).randbytes(size)


def _program() -> bytes:
    return (
        b"MZ\x90\x00\x03\x00\x00\x00" + _noise("exe") + b"This program cannot be run in DOS mode."
    )


def _empty() -> list[Case]:
    empty, short, long = Code.EMPTY_CONTENT, Code.CONTENT_TOO_SHORT, Code.CONTENT_TOO_LONG
    return [
        Case("empty/nothing.txt", lambda: b"", code=empty),
        Case("empty/nothing.docx", lambda: b"", code=empty),
        Case("empty/white space.txt", lambda: b" \r\n\t\xc2\xa0\r\n" * 40, code=empty),
        Case("empty/only a mark.txt", lambda: b"\xef\xbb\xbf", code=empty),
        Case("empty/no words.docx", lambda: documents.docx_bytes([" ", ""]), code=empty),
        Case("empty/no words.odt", lambda: documents.odt_bytes([" ", ""]), code=empty),
        Case("empty/no words.pdf", lambda: pdf_bytes([]), code=empty),
        Case("empty/no words.rtf", lambda: documents.rtf_bytes([" ", ""]), code=empty),
        Case("empty/only a script.html", lambda: b"<script>var words;</script><p> ", code=empty),
        Case("empty/only a picture.md", lambda: b"# \n\n![](photo.png)\n", code=empty),
        Case("empty/signs.txt", lambda: b"*** --- !!! ... ??? ###", code=empty),
        Case("short/three words.txt", lambda: b"I was ill.", code=short),
        Case("long/12000 words.txt", lambda: b"sea and " * 6_000, code=long),
    ]


def _other_kinds() -> list[Case]:
    """Files a student hands in by mistake."""
    files = {
        "old.doc": documents.legacy_doc_bytes(),
        "essay.pages": documents.zip_bytes(
            {"Index/Document.iwa": _noise("iwa"), "preview.jpg": b"\xff\xd8\xff\xe0" + _noise("p")}
        ),
        "slides.ppt": ole_bytes({"PowerPoint Document": b"\x0f\x00\xe8\x03"}),
        "link.url": b"[InternetShortcut]\r\nURL=https://example.org/one two three four\r\n",
        "link.webloc": b'<?xml version="1.0"?><plist version="1.0"><dict/></plist>',
        "photo.png": b"\x89PNG\r\n\x1a\n" + _noise("png"),
        "photo.jpg": b"\xff\xd8\xff\xe0\x00\x10JFIF" + _noise("jpeg"),
        "photo.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + _noise("heic"),
        "film.mp4": b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2" + _noise("mp4"),
        "book.epub": documents.zip_bytes(
            {"mimetype": b"application/epub+zip", "a.xhtml": b"<html/>"}
        ),
        "sheet.xlsx": documents.zip_bytes(
            {
                "[Content_Types].xml": (
                    f'<Types xmlns="{_TYPES}"><Override PartName="/xl/workbook.xml" '
                    f'ContentType="{_SHEET}"/></Types>'
                ).encode(),
                "xl/workbook.xml": b"<workbook/>",
            }
        ),
        # What a synchronised folder of an online editor holds: a link, not the essay.
        "online.gdoc": b'{"":"Open this file only online.","doc_id":"1a2b3c4d5e6f","email":"a@b"}',
        # A word processor's single web page, headers and all.
        "saved as web page.mht": (
            b'MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary="x"\r\n\r\n'
            b'--x\r\nContent-Type: text/html; charset="us-ascii"\r\n\r\n'
            b"<html><body><p>The class went to the museum.</p></body></html>\r\n--x--"
        ),
        "print.ps": b"%!PS-Adobe-3.0\n/Helvetica findfont 11 scalefont setfont 56 700 moveto\n" * 9,
    }
    return [
        _constant(f"other/{name}", data, Code.UNSUPPORTED_FORMAT) for name, data in files.items()
    ]


def _renamed() -> list[Case]:
    """Files whose name says something else than their content."""
    inner = documents.docx_bytes(_WORDS)
    files = {
        "program.rtf": _program(),
        "program.html": _program(),
        "program.md": _program(),
        "program.docx": _program(),
        "program.txt": b"\x7fELF\x02\x01\x01" + _noise("elf"),
        "old word.docx": documents.legacy_doc_bytes(),
        "zip.docx": documents.zip_bytes({"notes.txt": b"The class went to the museum."}),
        "zip in docx.docx": documents.zip_bytes({"essay.docx": inner, "essay2.docx": inner}),
        "no main part.docx": documents.zip_bytes({"word/document.xml": b"<a/>"}),
        "photo.docx": b"\x89PNG\r\n\x1a\n" + _noise("png as docx"),
        "packed.docx": b"\x1f\x8b\x08\x00" + _noise("gz"),
    }
    return [
        _constant(f"renamed/{name}", data, Code.UNSUPPORTED_FORMAT) for name, data in files.items()
    ]


def _locked() -> list[Case]:
    locked = Code.PASSWORD_PROTECTED
    return [
        Case("locked/essay.docx", documents.encrypted_docx_bytes, code=locked),
        Case("locked/essay.odt", documents.encrypted_odt_bytes, code=locked),
        Case("locked/essay.pdf", documents.encrypted_pdf_bytes, code=locked),
        Case("locked/members.docx", lambda: _flagged(documents.docx_bytes(_WORDS)), code=locked),
    ]


def _flagged(data: bytes) -> bytes:
    """Set the flag of encryption in every header of a zip file."""
    raw = bytearray(data)
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = raw.find(magic)
        while at >= 0:
            raw[at + offset] |= 1
            at = raw.find(magic, at + 4)
    return bytes(raw)


def _damaged() -> list[Case]:
    """Files that were whole once: never a part of the text as if it were all of it."""
    builders = {
        "docx": documents.docx_bytes,
        "odt": documents.odt_bytes,
        "rtf": documents.rtf_bytes,
        "pdf": pdf_bytes,
    }
    halves = {f"half.{name}": _cut(build(_WORDS), 0.6) for name, build in builders.items()}
    docx = documents.docx_bytes(_WORDS)
    start = b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
    files = {
        **halves,
        "one bit.docx": _with_flipped_bit(docx),
        # Word processors know one way of packing; others expand without a bound when read.
        "bzip2.docx": _packed_with_bzip2(docx),
        "noise.docx": b"PK\x03\x04" + _noise("zip"),
        "noise.pdf": b"%PDF-1.7\n" + _noise("pdf") + b"\nstartxref\n0\n%%EOF",
        "half.doc": documents.legacy_doc_bytes()[:600],
        "half of the xml.docx": documents.docx_bytes(
            [],
            extra_parts={"word/document.xml": start + b"<w:body><w:p><w:r><w:t>The class went"},
        ),
        "no content.odt": documents.odt_bytes([], extra_parts={"content.xml": b""}),
        "pages in pages.pdf": pdf_of_objects(
            [
                b"<< /Type /Catalog /Pages 2 0 R >>",
                b"<< /Type /Pages /Count 3 /Kids [2 0 R 3 0 R] /Parent 3 0 R >>",
                b"<< /Type /Pages /Count 3 /Kids [2 0 R 3 0 R] /Parent 2 0 R >>",
            ]
        ),
    }
    return [_constant(f"damaged/{name}", data, Code.CORRUPTED_FILE) for name, data in files.items()]


def _cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


def _packed_with_bzip2(data: bytes) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as source, zipfile.ZipFile(buffer, "w") as target:
        for info in source.infolist():
            copy = zipfile.ZipInfo(info.filename, date_time=(1980, 1, 1, 0, 0, 0))
            copy.compress_type = zipfile.ZIP_BZIP2
            target.writestr(copy, source.read(info))
    return buffer.getvalue()


def _with_flipped_bit(data: bytes) -> bytes:
    """Change one bit in the packed text of the main part."""
    raw = bytearray(data)
    at = raw.find(b"word/document.xml") + 120
    raw[at] ^= 0x10
    return bytes(raw)


def _unreadable() -> list[Case]:
    zeros = b"text \0 with \0 zeros in odd places\n" * 20
    return [
        Case("noise/noise.txt", lambda: _noise("txt"), code=Code.UNDECODABLE_TEXT),
        Case("noise/zeros.txt", lambda: zeros, code=Code.UNDECODABLE_TEXT),
        Case("noise/no suffix", lambda: _noise("no suffix"), code=Code.UNDECODABLE_TEXT),
        Case("scan/one page.pdf", documents.scanned_pdf_bytes, code=Code.NO_TEXT_LAYER),
        Case("scan/pages.pdf", lambda: documents.scanned_pdf_bytes(5), code=Code.NO_TEXT_LAYER),
    ]


def _constant(path: str, data: bytes, code: Code) -> Case:
    return Case(path, lambda: data, code=code)
