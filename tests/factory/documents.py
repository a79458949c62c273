"""Documents made by script: every format an essay may come in, deterministic to the byte.

A paragraph is a string; a line feed in it is an explicit line break.
"""

import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from html import escape

from tests.factory.ole import ole_bytes
from tests.factory.pdf import encrypted_pdf_bytes, pdf_bytes, scanned_pdf_bytes

__all__ = [
    "docx_bytes",
    "encrypted_docx_bytes",
    "encrypted_odt_bytes",
    "encrypted_pdf_bytes",
    "html_bytes",
    "legacy_doc_bytes",
    "md_bytes",
    "odt_bytes",
    "pdf_bytes",
    "rtf_bytes",
    "scanned_pdf_bytes",
    "txt_bytes",
    "zip_bytes",
]

_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_WORD_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml"
_DOCX_NAMESPACES = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    f'xmlns:r="{_OFFICE}/relationships" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" '
    'xmlns:v="urn:schemas-microsoft-com:vml" '
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
    'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
)
_ODF = "urn:oasis:names:tc:opendocument:xmlns"
_ODT_NAMESPACES = " ".join(
    f'xmlns:{prefix}="{_ODF}:{name}:1.0"'
    for prefix, name in (
        ("office", "office"),
        ("text", "text"),
        ("draw", "drawing"),
        ("table", "table"),
        ("style", "style"),
    )
)
_ODT_MIME = "application/vnd.oasis.opendocument.text"


def zip_bytes(members: Mapping[str, bytes]) -> bytes:
    """Build a zip file; a member named `mimetype` is stored, all others are deflated.

    Args:
        members: Member name to content, in the order they are written.

    Returns:
        The bytes of the archive; every member is dated 1980-01-01.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.compress_type = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return buffer.getvalue()


def docx_bytes(
    paragraphs: Sequence[str],
    *,
    body_xml: str | None = None,
    extra_parts: Mapping[str, bytes] | None = None,
    main_part: str = "word/document.xml",
) -> bytes:
    """Build a docx.

    Args:
        paragraphs: The paragraphs of the body.
        body_xml: Raw content of `w:body` instead of the paragraphs; the prefixes w, r, mc, wps,
            v, m, wp and a are bound.
        extra_parts: Further members of the archive; one with a name used here replaces it.
        main_part: Where the body is kept.

    Returns:
        The bytes of the file, the same for the same input.
    """
    body = body_xml if body_xml is not None else "".join(map(_docx_paragraph, paragraphs))
    types = (
        f'{_XML}<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/{main_part}" ContentType="{_WORD_TYPE}.document.main+xml"/></Types>'
    )
    rels = (
        f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
        f'Type="{_OFFICE}/relationships/officeDocument" Target="{main_part}"/></Relationships>'
    )
    document = (
        f"{_XML}<w:document {_DOCX_NAMESPACES}><w:body>{body}<w:sectPr/></w:body></w:document>"
    )
    members = {
        "[Content_Types].xml": types.encode(),
        "_rels/.rels": rels.encode(),
        main_part: document.encode(),
    }
    return zip_bytes(members | dict(extra_parts or {}))


def docx_notes_part(root: str, inner_xml: str) -> bytes:
    """Build a further part of a docx (`footnotes`, `endnotes`, `comments`, `hdr`, `styles`)."""
    return f"{_XML}<w:{root} {_DOCX_NAMESPACES}>{inner_xml}</w:{root}>".encode()


def odt_bytes(
    paragraphs: Sequence[str],
    *,
    body_xml: str | None = None,
    extra_parts: Mapping[str, bytes] | None = None,
) -> bytes:
    """Build an odt.

    Args:
        paragraphs: The paragraphs of the body.
        body_xml: Raw content of `office:text` instead of the paragraphs; the prefixes office,
            text, draw, table and style are bound.
        extra_parts: Further members of the archive; one with a name used here replaces it.

    Returns:
        The bytes of the file, the same for the same input.
    """
    body = body_xml if body_xml is not None else "".join(map(_odt_paragraph, paragraphs))
    content = (
        f'{_XML}<office:document-content {_ODT_NAMESPACES} office:version="1.3"><office:body>'
        f"<office:text>{body}</office:text></office:body></office:document-content>"
    )
    members = {
        "mimetype": _ODT_MIME.encode(),
        "content.xml": content.encode(),
        "META-INF/manifest.xml": _odt_manifest("").encode(),
    }
    return zip_bytes(members | dict(extra_parts or {}))


def encrypted_odt_bytes() -> bytes:
    """Build an odt whose manifest says that its content is encrypted."""
    manifest = _odt_manifest('<manifest:encryption-data manifest:checksum="AAAA"/>')
    parts = {"content.xml": b"\x8a\x01\xfe" * 50, "META-INF/manifest.xml": manifest.encode()}
    return odt_bytes([], extra_parts=parts)


def rtf_bytes(paragraphs: Sequence[str]) -> bytes:
    r"""Build an RTF; every character outside ASCII is written as `\uN?`."""
    body = "\n".join(rf"{_rtf_escape(paragraph)}\par" for paragraph in paragraphs)
    head = r"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fswiss Helvetica;}}\uc1\pard\f0\fs22 "
    return f"{head}{body}\n}}\n".encode("ascii")


def html_bytes(paragraphs: Sequence[str]) -> bytes:
    """Build an HTML page in UTF-8 with one `p` for each paragraph."""
    body = "\n".join(f"<p>{escape(text).replace(chr(10), '<br>')}</p>" for text in paragraphs)
    head = '<!DOCTYPE html>\n<html lang="sv"><head><meta charset="utf-8"><title>T</title></head>'
    return f"{head}\n<body>\n{body}\n</body></html>\n".encode()


def md_bytes(paragraphs: Sequence[str]) -> bytes:
    """Build a Markdown file in UTF-8; characters with a meaning are escaped."""
    return ("\n\n".join(map(_md_escape, paragraphs)) + "\n").encode()


def txt_bytes(paragraphs: Sequence[str], encoding: str = "utf-8") -> bytes:
    """Build a text file, paragraphs parted by one empty line, in the given encoding."""
    return ("\n\n".join(paragraphs) + "\n").encode(encoding)


def encrypted_docx_bytes() -> bytes:
    """Build what Word writes for a docx with a password: an OLE file with `EncryptedPackage`."""
    return ole_bytes({"EncryptionInfo": b"\x04\x00\x04\x00", "EncryptedPackage": b"\x5a" * 64})


def legacy_doc_bytes() -> bytes:
    """Build an OLE file with a `WordDocument` stream, as Word 97 to 2003 wrote."""
    return ole_bytes({"WordDocument": b"\xec\xa5\xc1\x00", "1Table": b"\x00" * 16})


def _docx_paragraph(text: str) -> str:
    lines = (f'<w:t xml:space="preserve">{escape(line)}</w:t>' for line in text.split("\n"))
    return f"<w:p><w:r>{'<w:br/>'.join(lines)}</w:r></w:p>"


def _odt_paragraph(text: str) -> str:
    return f"<text:p>{escape(text).replace(chr(10), '<text:line-break/>')}</text:p>"


def _odt_manifest(entry_xml: str) -> str:
    return (
        f'{_XML}<manifest:manifest xmlns:manifest="{_ODF}:manifest:1.0">'
        f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{_ODT_MIME}"/>'
        '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml">'
        f"{entry_xml}</manifest:file-entry></manifest:manifest>"
    )


def _rtf_escape(text: str) -> str:
    out = []
    for unit in memoryview(text.encode("utf-16-le")).cast("H").tolist():
        char = chr(unit)
        if char in "\\{}":
            out.append("\\" + char)
        elif char == "\n":
            out.append("\\line ")
        elif unit < 128:
            out.append(char)
        else:
            # The number is a signed 16-bit value by the format.
            out.append(f"\\u{unit - 65536 if unit > 32767 else unit}?")
    return "".join(out)


def _md_escape(text: str) -> str:
    escaped = re.sub(r"([\\`*_{}\[\]<>#|~&])", r"\\\1", text)
    escaped = re.sub(r"(?m)^([-+=])", r"\\\1", escaped)
    escaped = re.sub(r"(?m)^(\d+)([.)])", r"\1\\\2", escaped)
    return escaped.replace("\n", "\\\n")
