"""Documents made to hurt their reader, each with the code its teacher must be told."""

from huleedu_dagster.domain.outcomes import Code
from tests.factory import nasty
from tests.factory.bombs import with_bomb, with_entries
from tests.factory.case import Case
from tests.factory.documents import docx_bytes, odt_bytes
from tests.factory.pdf import pdf_of_objects

_MIB = 1024**2
_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_DOCX_START = f"<w:document {_W}><w:body><w:p><w:r><w:t>The class went".encode()
_DOCX_END = b"</w:t></w:r></w:p></w:body></w:document>"
_MAIN, _CONTENT = "word/document.xml", "content.xml"
_LEVELS = 100_000


def attack_cases() -> list[Case]:
    """The cases of this module."""
    return [*_bombs(), *_document_types(), *_nested(), *_long(), *_hungry(), *_killers()]


def _killers() -> list[Case]:
    """What only the end of its process stops, and of its second process as well."""
    return [
        Case("hang/10^9 forms.pdf", nasty.nested_forms_pdf, code=Code.TIMEOUT),
        Case("crash/colours in colours.pdf", nasty.crashing_pdf, code=Code.PARSER_CRASHED),
    ]


def _bombs() -> list[Case]:
    docx, odt = docx_bytes(["x"]), odt_bytes(["x"])
    odt_start = b"<office:document-content><office:body>"
    return [
        Case(
            "bomb/2 GB.docx",
            lambda: with_bomb(docx, _MAIN, _DOCX_START, 2_048 * _MIB, _DOCX_END),
            code=Code.TOO_LARGE,
        ),
        Case(
            "bomb/2 GB.odt",
            lambda: with_bomb(odt, _CONTENT, odt_start, 2_048 * _MIB, b"</office:body>"),
            code=Code.TOO_LARGE,
        ),
        # A header that lies is damage, and the start of the text is not the text.
        Case(
            "bomb/lying size.docx",
            lambda: with_bomb(docx, _MAIN, _DOCX_START, 256 * _MIB, _DOCX_END, declared=9_000),
            code=Code.CORRUPTED_FILE,
        ),
        Case(
            "bomb/lying size.odt",
            lambda: with_bomb(odt, _CONTENT, odt_start, 256 * _MIB, b"", declared=9_000),
            code=Code.CORRUPTED_FILE,
        ),
        Case(
            "bomb/types.docx",
            lambda: with_bomb(docx, "[Content_Types].xml", b"<a>", 512 * _MIB, b"</a>"),
            code=Code.TOO_LARGE,
        ),
        Case(
            "bomb/130k entries.docx",
            lambda: with_entries(docx, 130_000),
            code=Code.TOO_LARGE,
        ),
        Case(
            "bomb/2500 members.docx",
            lambda: docx_bytes(["x"], extra_parts={f"a/{i}": b"" for i in range(2_500)}),
            code=Code.TOO_LARGE,
        ),
    ]


_LAUGHS = "".join(f"<!ENTITY e{i} '{f'&e{i - 1};' * 10}'>" for i in range(1, 10))
_LAUGHING = f"<!DOCTYPE x [<!ENTITY e0 'ha'>{_LAUGHS}]><x>&e9;</x>"
_QUADRATIC = f"<!DOCTYPE x [<!ENTITY e '{'a' * 50_000}'>]><x>{'&e;' * 5_000}</x>"
_OUTSIDE = "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>"
_PARAMETER = "<!DOCTYPE x [<!ENTITY % p SYSTEM 'http://127.0.0.1:9/x.dtd'> %p;]><x/>"


def _document_types() -> list[Case]:
    cases = []
    for name, xml in (
        ("laughs", _LAUGHING),
        ("quadratic", _QUADRATIC),
        ("outside", _OUTSIDE),
        ("parameter", _PARAMETER),
    ):
        cases.append(_dtd(f"dtd/{name}.docx", xml, "utf-8"))
        cases.append(_dtd(f"dtd/{name}.odt", xml, "utf-16"))
    return cases


def _dtd(path: str, xml: str, encoding: str) -> Case:
    part = f'<?xml version="1.0" encoding="{encoding}"?>{xml}'.encode(encoding)
    if path.endswith("docx"):
        return Case(path, lambda: docx_bytes([], extra_parts={_MAIN: part}), code=_BROKEN)
    return Case(path, lambda: odt_bytes([], extra_parts={_CONTENT: part}), code=_BROKEN)


_BROKEN = Code.CORRUPTED_FILE


def _nested() -> list[Case]:
    tags = "<w:smartTag>" * _LEVELS + "</w:smartTag>" * _LEVELS
    spans = "<text:span>" * _LEVELS + "x" + "</text:span>" * _LEVELS
    return [
        Case("deep/100k levels.docx", lambda: docx_bytes([], body_xml=tags), code=_BROKEN),
        Case("deep/100k levels.odt", lambda: odt_bytes([], body_xml=spans), code=_BROKEN),
        Case("deep/90k levels.html", nasty.deep_html, code=Code.TOO_LARGE),
        Case("deep/200k attributes.html", nasty.many_attributes_html, code=Code.TOO_LARGE),
        Case("deep/100k brackets.md", nasty.open_brackets_md, code=Code.TOO_LARGE),
        Case("deep/100k levels.rtf", _deep_rtf, code=Code.TOO_LARGE),
    ]


def _deep_rtf() -> bytes:
    return b"{\\rtf1 " + b"{" * _LEVELS + b"The class went." + b"}" * (_LEVELS + 1)


def _long() -> list[Case]:
    return [
        Case("large/25 MB.txt", lambda: b"sea and " * 3_276_801, code=Code.TOO_LARGE),
        Case("large/2 MB of text.txt", lambda: b"sea and " * 260_000, code=Code.TOO_LARGE),
        Case("large/250k tags.html", lambda: b"<p>sea" * 250_000, code=Code.TOO_LARGE),
        Case("large/100k pages.pdf", lambda: _many_pages(100_000), code=Code.TOO_LARGE),
    ]


def _many_pages(count: int) -> bytes:
    return pdf_of_objects(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Count %d /Kids [%b] >>" % (count, b"3 0 R " * count),
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>",
        ]
    )


def _hungry() -> list[Case]:
    """What passes no cap before 192 MiB of memory are used up."""
    return [
        Case("hungry/flate bomb.pdf", lambda: nasty.flate_bomb_pdf(250), code=Code.TOO_LARGE),
        Case("hungry/paragraphs.docx", nasty.docx_bomb, code=Code.TOO_LARGE),
    ]
