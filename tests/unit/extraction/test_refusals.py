"""Every kind of bad file has its code, fast, and nothing of the file is in the message."""

import random
import time
import tracemalloc

import pytest

from huleedu_dagster.extraction import dispatch
from huleedu_dagster.extraction.direct import DirectExtractor
from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.sink import Reading
from tests.factory import documents
from tests.unit.extraction.helpers import code_of, extract, text_of

_PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
_RANDOM = random.Random(7).randbytes(3_000)
_XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"


def _flagged_encrypted(data: bytes) -> bytes:
    """Set the flag of encryption in every header of a zip file."""
    raw = bytearray(data)
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = raw.find(magic)
        while at >= 0:
            raw[at + offset] |= 1
            at = raw.find(magic, at + 4)
    return bytes(raw)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "EMPTY_CONTENT"),
        (b" \r\n\t\xc2\xa0", "EMPTY_CONTENT"),
        (b"\xef\xbb\xbf", "EMPTY_CONTENT"),
        (b"MZ\x90\x00" + b"\0" * 200, "UNSUPPORTED_FORMAT"),
        (b"\x7fELF\x02\x01\x01" + b"\0" * 200, "UNSUPPORTED_FORMAT"),
        (b"\xcf\xfa\xed\xfe" + b"\0" * 200, "UNSUPPORTED_FORMAT"),
        (_PNG, "UNSUPPORTED_FORMAT"),
        (b"\xff\xd8\xff\xe0" + _RANDOM, "UNSUPPORTED_FORMAT"),
        (b"\0\0\0\x18ftypheic" + _RANDOM, "UNSUPPORTED_FORMAT"),
        (b"\x1f\x8b\x08" + _RANDOM, "UNSUPPORTED_FORMAT"),
        (documents.zip_bytes({"a.txt": b"hej"}), "UNSUPPORTED_FORMAT"),
        (documents.zip_bytes({"mimetype": b"application/epub+zip"}), "UNSUPPORTED_FORMAT"),
        (documents.zip_bytes({"word/document.xml": b"<a/>"}), "UNSUPPORTED_FORMAT"),
        (documents.zip_bytes({"Index/Document.iwa": b"x"}), "UNSUPPORTED_FORMAT"),
        (documents.legacy_doc_bytes(), "UNSUPPORTED_FORMAT"),
        (documents.legacy_doc_bytes()[:600], "CORRUPTED_FILE"),
        (b"PK\x03\x04" + _RANDOM, "CORRUPTED_FILE"),
        (b"%PDF-1.7\n" + _RANDOM, "CORRUPTED_FILE"),
        (b"%PDF-1.7\n" + _RANDOM + b"\nstartxref\n0\n%%EOF", "CORRUPTED_FILE"),
        (documents.encrypted_docx_bytes(), "PASSWORD_PROTECTED"),
        (documents.encrypted_odt_bytes(), "PASSWORD_PROTECTED"),
        (documents.encrypted_pdf_bytes(), "PASSWORD_PROTECTED"),
        (_flagged_encrypted(documents.docx_bytes(["x"])), "PASSWORD_PROTECTED"),
        (documents.scanned_pdf_bytes(), "NO_TEXT_LAYER"),
        (_RANDOM, "UNDECODABLE_TEXT"),
        (b"text \0 with \0 zeros in odd places", "UNDECODABLE_TEXT"),
    ],
)
def test_a_file_is_told_by_its_content_whatever_its_suffix(data: bytes, code: str) -> None:
    for suffix in ("docx", "txt", ""):
        assert code_of(data, suffix) == code


def test_xml_of_an_unknown_kind_is_unsupported_unless_it_is_handed_in_as_text() -> None:
    data = b"<?xml version='1.0'?><a>b</a>"
    assert code_of(data, "docx") == "UNSUPPORTED_FORMAT"
    assert text_of(data, "txt") == data.decode()


def test_a_spreadsheet_renamed_docx_is_unsupported() -> None:
    assert code_of(documents.zip_bytes({}), "docx") == "UNSUPPORTED_FORMAT"
    listing = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_XLSX_TYPE}"/></Types>'
    )
    parts = {"[Content_Types].xml": listing.encode()}
    sheet = documents.docx_bytes(["x"], main_part="xl/workbook.xml", extra_parts=parts)
    assert code_of(sheet, "docx") == "UNSUPPORTED_FORMAT"


def test_a_text_that_begins_like_a_program_or_picture_is_still_a_text() -> None:
    assert text_of(b"MZ is two letters.", "txt") == "MZ is two letters."
    assert text_of(b"BMW is a car.", "txt") == "BMW is a car."
    assert text_of(b"ID3 is a tag, PK an army.", "txt") == "ID3 is a tag, PK an army."


def test_a_zip_bomb_is_refused_at_once() -> None:
    bomb = b"<a>" + b" " * 100_000_000 + b"</a>"
    for build, part in (
        (documents.docx_bytes, "word/document.xml"),
        (documents.odt_bytes, "content.xml"),
    ):
        data = build(["x"], extra_parts={part: bomb})
        tracemalloc.start()
        try:
            assert code_of(data, "docx") == "TOO_LARGE"
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < len(bomb) / 10


def test_a_zip_with_a_lying_size_gives_no_partial_text() -> None:
    body = b"<a>" + b" " * 9_000_000 + b"</a>"
    raw = bytearray(documents.odt_bytes([], extra_parts={"content.xml": body}))
    lie = (100).to_bytes(4, "little")
    raw = bytearray(bytes(raw).replace(len(body).to_bytes(4, "little"), lie))
    assert code_of(bytes(raw), "odt") == "CORRUPTED_FILE"


def test_many_parts_below_the_cap_are_too_large_together() -> None:
    data = documents.docx_bytes(["x" * 600])
    limits = ExtractionLimits(max_part_bytes=3_000, max_total_bytes=2_000)
    assert DirectExtractor(limits).extract(data, "docx").code == "TOO_LARGE"
    roomy = ExtractionLimits(max_part_bytes=3_000, max_total_bytes=30_000)
    assert DirectExtractor(roomy).extract(data, "docx").text == "x" * 600


def test_too_many_zip_members_are_too_large() -> None:
    parts = {f"word/media/{i}.bin": b"x" for i in range(2_100)}
    assert code_of(documents.docx_bytes(["x"], extra_parts=parts)) == "TOO_LARGE"


def test_a_huge_picture_in_a_small_essay_is_not_read() -> None:
    parts = {"word/media/image1.bmp": b"\0" * 80_000_000}
    assert text_of(documents.docx_bytes(["Hej"], extra_parts=parts)) == "Hej"


_ENTITIES = "".join(f"<!ENTITY e{i} '{f'&e{i - 1};' * 10}'>" for i in range(1, 10))
_DTDS = {
    "billion laughs": f"<!DOCTYPE x [<!ENTITY e0 'ha'>{_ENTITIES}]><x>&e9;</x>",
    "outside entity": "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>",
    "quadratic": f"<!DOCTYPE x [<!ENTITY e '{'a' * 50_000}'>]><x>{'&e;' * 5_000}</x>",
    "harmless": "<!DOCTYPE x><x/>",
}


@pytest.mark.parametrize("name", _DTDS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xml_with_a_document_type_is_corrupted(name: str, encoding: str) -> None:
    xml = f'<?xml version="1.0" encoding="{encoding}"?>{_DTDS[name]}'.encode(encoding)
    docx = documents.docx_bytes([], extra_parts={"word/document.xml": xml})
    odt = documents.odt_bytes([], extra_parts={"content.xml": xml})
    begun = time.process_time()
    assert (code_of(docx), code_of(odt)) == ("CORRUPTED_FILE", "CORRUPTED_FILE")
    assert time.process_time() - begun < 5


def test_xml_nested_too_deeply_is_corrupted() -> None:
    deep = "<w:smartTag>" * 100_000 + "</w:smartTag>" * 100_000
    assert code_of(documents.docx_bytes([], body_xml=deep)) == "CORRUPTED_FILE"
    just = "<w:p>" + "<w:smartTag>" * 240 + "<w:r><w:t>x</w:t></w:r>" + "</w:smartTag>" * 240
    assert text_of(documents.docx_bytes([], body_xml=f"{just}</w:p>")) == "x"
    spans = "<text:span>" * 240 + "x" + "</text:span>" * 240
    assert text_of(documents.odt_bytes([], body_xml=f"<text:p>{spans}</text:p>")) == "x"


def test_half_an_xml_part_is_corrupted() -> None:
    part = b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
    data = documents.docx_bytes([], extra_parts={"word/document.xml": part + b"<w:body><w:p>"})
    assert code_of(data) == "CORRUPTED_FILE"


def test_too_many_pages_or_tags_are_too_large() -> None:
    limits = ExtractionLimits(max_pdf_pages=2, max_markup_tags=50)
    extractor = DirectExtractor(limits)
    assert extractor.extract(documents.scanned_pdf_bytes(3), "pdf").code == "TOO_LARGE"
    assert extractor.extract(b"<p>" * 60, "html").code == "TOO_LARGE"


@pytest.mark.parametrize(
    ("error", "code", "transient"),
    [
        (MemoryError(), "TOO_LARGE", True),
        (RecursionError("deep"), "TOO_LARGE", False),
        (ZeroDivisionError("secret words"), "CORRUPTED_FILE", False),
    ],
)
def test_whatever_a_parser_raises_becomes_a_code(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: str, transient: bool
) -> None:
    class Failing:
        def read(self, data: bytes, limits: ExtractionLimits) -> Reading:
            raise error

    monkeypatch.setattr(dispatch, "_reader", lambda kind: Failing())
    result = extract(b"hej", "txt")
    assert (result.code, result.transient) == (code, transient)
    assert "secret" not in result.message


def test_a_reader_that_cannot_be_imported_is_not_the_files_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(kind: object) -> dispatch.Reader:
        raise ImportError("no such library")

    monkeypatch.setattr(dispatch, "_reader", broken)
    with pytest.raises(OSError, match="installation"):
        extract(b"hej", "txt")


def test_no_message_quotes_the_file() -> None:
    body = "<w:p><hemlighet>"
    for data in (
        documents.docx_bytes([], body_xml=body),
        documents.odt_bytes([], body_xml=body),
        b"{\\rtf1 hemlighet",
        b"%PDF-1.4 hemlighet",
    ):
        result = extract(data, "docx")
        assert result.code == "CORRUPTED_FILE"
        assert "hemlighet" not in result.message


def test_random_damage_never_raises() -> None:
    rng = random.Random(2026)
    for build in (documents.docx_bytes, documents.odt_bytes, documents.rtf_bytes):
        original = build(["Hej på dig", "Åter"])
        for _ in range(60):
            raw = bytearray(original)
            for _ in range(rng.randint(1, 12)):
                raw[rng.randrange(len(raw))] = rng.randrange(256)
            extract(bytes(raw), "docx")


@pytest.mark.parametrize("declaration", [b'<?xml version="1.0"?>\n', b""])
def test_a_flat_odt_is_no_text_with_markup(declaration: bytes) -> None:
    flat = b"<office:document><office:body><text:p>An essay</text:p></office:body>"
    assert code_of(declaration + flat + b"</office:document>", "fodt") == "UNSUPPORTED_FORMAT"


def test_a_stray_control_sign_makes_no_short_text_binary() -> None:
    assert text_of(b"A short essay with a bell\x07 in it.", "txt").startswith("A short")
    assert code_of(b"\x01\x02\x03\x04 a program", "txt") == "UNDECODABLE_TEXT"
