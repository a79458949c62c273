"""HTML: the words a browser shows, walked block by block so that inline tags split nothing."""

import re

from selectolax.lexbor import LexborHTMLParser, LexborNode

from huleedu_dagster.domain.outcomes import Warn
from huleedu_dagster.extraction.decode import decode_text
from huleedu_dagster.extraction.html_shape import check_shape
from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.sink import Reading, TextSink, check_length

_BLOCKS = frozenset(
    str.split(
        "address article aside blockquote body caption center dd details dialog dir div dl dt "
        "fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li "
        "main menu nav ol p pre section summary table tbody td tfoot th thead tr ul"
    )
)
_SKIPPED = frozenset(
    str.split(
        "applet audio button canvas datalist embed frame frameset head iframe input link map meta "
        "noembed noframes noscript object option progress rp rt script select style svg template "
        "textarea title video"
    )
)
_HIDING_STYLE = re.compile(
    r"(?i)(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all)"
)
_META_CHARSET = re.compile(rb"(?i)<meta[^>]{0,500}?charset\s*=\s*[\"']?\s*([\w.:-]{2,40})")
_META_REACH = 4_096
_SPACE = re.compile(r"[ \t\n\r\f]+")
# By the rules of HTML these names mean the Windows superset; UTF-16 in a readable tag is false.
_CHARSETS = {
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "us-ascii": "cp1252",
    "ascii": "cp1252",
    "macintosh": "mac_roman",
    "x-mac-roman": "mac_roman",
    "utf-16": "utf-8",
    "utf-16le": "utf-8",
    "utf-16be": "utf-8",
}
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def read(data: bytes, limits: ExtractionLimits) -> Reading:
    """Read an HTML page.

    Raises:
        ExtractionError: UNDECODABLE_TEXT or TOO_LARGE.
    """
    sink = TextSink(limits)
    walk_html(_decode(data), sink, limits)
    return sink.reading()


def walk_html(markup: str, sink: TextSink, limits: ExtractionLimits) -> None:
    """Write the visible text of a page or a piece of one.

    Args:
        markup: HTML.
        sink: Takes the paragraphs.
        limits: Caps on tags, attributes, depth and the markup's length.

    Raises:
        ExtractionError: TOO_LARGE.
    """
    check_length(markup, _markup_limits(limits))
    check_shape(markup, limits)
    root = LexborHTMLParser(markup).root
    if root is not None:
        _Walker(sink).walk(root)


def _markup_limits(limits: ExtractionLimits) -> ExtractionLimits:
    # Pictures are often written into the page, so markup may be as long as the file.
    return ExtractionLimits(max_output_chars=max(limits.max_input_bytes, limits.max_output_chars))


def _decode(data: bytes) -> str:
    declared = _META_CHARSET.search(data[:_META_REACH])
    if declared and not data.startswith(_BOMS) and 0 not in data:
        name = declared[1].decode("ascii").lower()
        try:
            return data.decode(_CHARSETS.get(name, name))
        except (UnicodeDecodeError, LookupError):
            pass
    return decode_text(data)


class _Walker:
    """Walks without recursion: a page may nest deeper than Python may call."""

    def __init__(self, sink: TextSink) -> None:
        self._sink = sink
        self._pre = 0
        self._gap = False
        self._empty = True

    def walk(self, root: LexborNode) -> None:
        stack: list[tuple[LexborNode, bool]] = [(root, False)]
        while stack:
            node, closing = stack.pop()
            if closing:
                self._close(node.tag or "")
                continue
            if not self._open(node):
                continue
            stack.append((node, True))
            children = []
            child = node.child
            while child is not None:
                children.append((child, False))
                child = child.next
            stack.extend(reversed(children))

    def _open(self, node: LexborNode) -> bool:
        """Write what the node itself says; whether to go on into it."""
        tag = node.tag or ""
        if tag == "-text":
            self._write(node.text_content or "")
            return False
        if tag in _SKIPPED or tag.startswith(("!", "-", "_")):
            return False
        if _is_hidden(node):
            if node.text(deep=True).strip():
                self._sink.warnings.add(Warn.HIDDEN_TEXT_PRESENT)
            return False
        if tag == "br":
            self._line_break()
        elif tag in _BLOCKS:
            self._end_paragraph()
        self._pre += tag == "pre"
        return True

    def _close(self, tag: str) -> None:
        self._pre -= tag == "pre"
        if tag in _BLOCKS:
            self._end_paragraph()

    def _write(self, text: str) -> None:
        if self._pre:
            self._sink.write(text)
            self._gap, self._empty = False, False
            return
        collapsed = _SPACE.sub(" ", text)
        words = collapsed.strip(" ")
        if collapsed.startswith(" "):
            self._gap = True
        if not words:
            return
        self._sink.write(f" {words}" if self._gap and not self._empty else words)
        self._gap, self._empty = collapsed.endswith(" "), False

    def _line_break(self) -> None:
        self._sink.write("\n")
        self._gap, self._empty = False, True

    def _end_paragraph(self) -> None:
        self._sink.end_paragraph()
        self._gap, self._empty = False, True


def _is_hidden(node: LexborNode) -> bool:
    attributes = node.attributes
    if "hidden" in attributes:
        return True
    style = attributes.get("style")
    return bool(style and _HIDING_STYLE.search(style))
