"""What kind of file it is, told by its content; the name decides only between kinds of text."""

import io
import re
from enum import StrEnum

from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.extraction.archive import Archive
from huleedu_dagster.extraction.errors import ExtractionError
from huleedu_dagster.extraction.limits import ExtractionLimits


class Kind(StrEnum):
    """A kind of file, readable or not."""

    DOCX = "docx"
    ODT = "odt"
    RTF = "rtf"
    PDF = "pdf"
    HTML = "html"
    MD = "md"
    TXT = "txt"
    ZIP = "zip"
    OLE_ENCRYPTED = "ole-encrypted"
    OLE_DOC = "ole-doc"
    OLE_OTHER = "ole-other"
    IMAGE = "image"
    EXECUTABLE = "executable"
    ARCHIVE = "archive"
    MEDIA = "media"
    XML = "xml"
    MAIL = "mail"
    LINK = "link"
    PRINT = "print"
    EMPTY = "empty"


REFUSALS: dict[Kind, tuple[Code, str]] = {
    Kind.ZIP: (Code.UNSUPPORTED_FORMAT, "a zip archive that is neither docx nor odt"),
    Kind.OLE_ENCRYPTED: (Code.PASSWORD_PROTECTED, "an encrypted Office document"),
    Kind.OLE_DOC: (Code.UNSUPPORTED_FORMAT, "an old Word document; save it as docx or PDF"),
    Kind.OLE_OTHER: (Code.UNSUPPORTED_FORMAT, "an old Office file that is not a document"),
    Kind.IMAGE: (Code.UNSUPPORTED_FORMAT, "an image"),
    Kind.EXECUTABLE: (Code.UNSUPPORTED_FORMAT, "a program"),
    Kind.ARCHIVE: (Code.UNSUPPORTED_FORMAT, "a packed archive"),
    Kind.MEDIA: (Code.UNSUPPORTED_FORMAT, "sound or film"),
    Kind.XML: (Code.UNSUPPORTED_FORMAT, "an XML file of an unknown kind"),
    Kind.MAIL: (Code.UNSUPPORTED_FORMAT, "a mail message or a web page saved as one file"),
    Kind.LINK: (Code.UNSUPPORTED_FORMAT, "a link to a document kept elsewhere"),
    Kind.PRINT: (Code.UNSUPPORTED_FORMAT, "PostScript, made for a printer"),
    Kind.EMPTY: (Code.EMPTY_CONTENT, "the file has no bytes"),
}
"""The kinds that no reader takes, with the code and an operator's words for each."""

_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"\x7fELF", Kind.EXECUTABLE),
    (b"\xfe\xed\xfa\xce", Kind.EXECUTABLE),
    (b"\xfe\xed\xfa\xcf", Kind.EXECUTABLE),
    (b"\xce\xfa\xed\xfe", Kind.EXECUTABLE),
    (b"\xcf\xfa\xed\xfe", Kind.EXECUTABLE),
    (b"\xca\xfe\xba\xbe", Kind.EXECUTABLE),
    (b"\x89PNG\r\n\x1a\n", Kind.IMAGE),
    (b"\xff\xd8\xff", Kind.IMAGE),
    (b"GIF87a", Kind.IMAGE),
    (b"GIF89a", Kind.IMAGE),
    (b"II*\x00", Kind.IMAGE),
    (b"MM\x00*", Kind.IMAGE),
    (b"8BPS\x00", Kind.IMAGE),
    (b"\x00\x00\x01\x00", Kind.IMAGE),
    (b"\x1f\x8b\x08", Kind.ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", Kind.ARCHIVE),
    (b"Rar!\x1a\x07", Kind.ARCHIVE),
    (b"\xfd7zXZ\x00", Kind.ARCHIVE),
    (b"\x28\xb5\x2f\xfd", Kind.ARCHIVE),
    (b"\x00\x05\x16\x07", Kind.ARCHIVE),
    (b"OggS\x00", Kind.MEDIA),
    (b"\x1aE\xdf\xa3", Kind.MEDIA),
    (b"ID3\x02", Kind.MEDIA),
    (b"ID3\x03", Kind.MEDIA),
    (b"ID3\x04", Kind.MEDIA),
    (b"\xdb\xa5\x2d\x00", Kind.OLE_DOC),
    (b"\xffWPC", Kind.OLE_DOC),
)
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HEAD = 1_024
_ODT_TYPE = b"application/vnd.oasis.opendocument.text"
_TEXT_SUFFIXES = {
    "txt": Kind.TXT,
    "text": Kind.TXT,
    "md": Kind.MD,
    "markdown": Kind.MD,
    "html": Kind.HTML,
    "htm": Kind.HTML,
    "xhtml": Kind.HTML,
}
# Atomic groups: a row of comments could else be divided in exponentially many ways.
_HTML_START = re.compile(
    rb"(?i)(?:(?><!--.*?-->)\s*+)*+<(?:!doctype\s+html|html|head|body)\b", re.S
)
# Text to the eye, but none of it is the student's: headers and encoded parts, or an id.
_TEXT_STARTS: tuple[tuple[re.Pattern[bytes], Kind], ...] = (
    (_HTML_START, Kind.HTML),
    (re.compile(rb"%!PS-Adobe-"), Kind.PRINT),
    (re.compile(rb"(?ims)(?=[\w-]+:).{0,1000}?^mime-version:\s*\d"), Kind.MAIL),
    (re.compile(rb'(?s)\{\s*".*"doc_id"\s*:\s*"'), Kind.LINK),
    (re.compile(rb"\[InternetShortcut\]"), Kind.LINK),
)


def sniff(data: bytes, suffix: str, limits: ExtractionLimits) -> Kind:
    """Tell the kind of a file.

    Args:
        data: The raw bytes.
        suffix: Lower-case suffix without the dot; decides only between txt, md and html.
        limits: Caps on what is read to tell.

    Returns:
        The kind; anything unknown is TXT, whose reader refuses what is not text.

    Raises:
        ExtractionError: A container is damaged, locked or too large to look into.
    """
    if not data:
        return Kind.EMPTY
    if data.startswith(_ZIP_MAGIC):
        return _zip_kind(Archive(data, limits))
    if data.startswith(_OLE_MAGIC):
        return _ole_kind(data)
    return _binary_kind(data) or _text_kind(data, suffix)


def _binary_kind(data: bytes) -> Kind | None:
    head = data[:_HEAD]
    start = _start(head)
    if start.startswith(b"{\\rtf"):
        return Kind.RTF
    if start.startswith(b"%PDF-") or (b"%PDF-" in head and b"startxref" in data):
        return Kind.PDF
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    # Two letters alone are no proof: a text may begin with them.
    if head.startswith((b"MZ", b"BM")) and b"\0" in head[:256]:
        return Kind.EXECUTABLE if head.startswith(b"MZ") else Kind.IMAGE
    if head.startswith(b"RIFF") and len(head) >= 12:
        return Kind.IMAGE if head[8:12] == b"WEBP" else Kind.MEDIA
    if head[4:8] == b"ftyp" and head.startswith(b"\0"):
        return Kind.IMAGE if head[8:11] in (b"hei", b"mif", b"avi") else Kind.MEDIA
    return None


def _text_kind(data: bytes, suffix: str) -> Kind:
    known = _TEXT_SUFFIXES.get(suffix)
    if known is not None:
        return known
    start = _start(data[:_HEAD])
    for pattern, kind in _TEXT_STARTS:
        if pattern.match(start):
            return kind
    if start.startswith((b"<?xml", b"<office:document")):
        return Kind.HTML if b"<html" in start.lower() else Kind.XML
    return Kind.TXT


def _start(head: bytes) -> bytes:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()


def _zip_kind(archive: Archive) -> Kind:
    if "mimetype" in archive:
        mime = archive.read("mimetype").strip()
        return Kind.ODT if mime in (_ODT_TYPE, _ODT_TYPE + b"-template") else Kind.ZIP
    if "content.xml" in archive and "META-INF/manifest.xml" in archive:
        manifest = archive.read("META-INF/manifest.xml")
        return Kind.ODT if b'"' + _ODT_TYPE + b'"' in manifest else Kind.ZIP
    # Only a real archive needs the XML parser.
    from huleedu_dagster.extraction.opc import word_main_part

    return Kind.ZIP if word_main_part(archive) is None else Kind.DOCX


def _ole_kind(data: bytes) -> Kind:
    import olefile

    try:
        with olefile.OleFileIO(io.BytesIO(data)) as container:
            names = {str(path[0]) for path in container.listdir() if path}
    except (OSError, ValueError, IndexError, TypeError, AttributeError) as error:
        raise ExtractionError(Code.CORRUPTED_FILE, "the OLE container is damaged") from error
    if "EncryptedPackage" in names:
        return Kind.OLE_ENCRYPTED
    return Kind.OLE_DOC if "WordDocument" in names else Kind.OLE_OTHER
