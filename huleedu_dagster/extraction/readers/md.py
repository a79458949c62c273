"""Markdown: the words as rendered, without marks, links' targets and front matter."""

import re

from markdown_it import MarkdownIt
from markdown_it.token import Token

from huleedu_dagster.extraction.decode import decode_text
from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.readers.html import walk_html
from huleedu_dagster.extraction.sink import Reading, TextSink, check_length

_FRONT_MATTER = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.*?)\n\1[ \t]*(?:\n|\Z)", re.S)
# Only lines like these make it front matter: an essay may begin with a rule of dashes.
_META_LINE = re.compile(r"(?:[\w.-]+\s*[:=].*|\s+\S.*|-\s.*|#.*|\s*)\Z")
_BREAK_TAG = re.compile(r"(?i)<br\s*/?>")
_MAX_NESTING = 100


def read(data: bytes, limits: ExtractionLimits) -> Reading:
    """Read a Markdown file.

    Raises:
        ExtractionError: UNDECODABLE_TEXT or TOO_LARGE.
    """
    text = decode_text(data)
    check_length(text, limits)
    text = _without_front_matter(text.replace("\r\n", "\n").replace("\r", "\n"))
    parser = MarkdownIt("commonmark", {"maxNesting": _MAX_NESTING})
    parser.enable(["table", "strikethrough"])
    sink = TextSink(limits)
    for token in parser.parse(text):
        _write_block(token, sink, limits)
    return sink.reading()


def _without_front_matter(text: str) -> str:
    found = _FRONT_MATTER.match(text)
    if found and all(_META_LINE.match(line) for line in found[2].split("\n")):
        return text[found.end() :]
    return text


def _write_block(token: Token, sink: TextSink, limits: ExtractionLimits) -> None:
    if token.type == "inline":
        for child in token.children or []:
            _write_inline(child, sink)
        sink.end_paragraph()
    elif token.type in ("fence", "code_block"):
        sink.write(token.content)
        sink.end_paragraph()
    elif token.type == "html_block":
        walk_html(token.content, sink, limits)
        sink.end_paragraph()


def _write_inline(token: Token, sink: TextSink) -> None:
    if token.type in ("text", "code_inline", "text_special"):
        sink.write(token.content)
    elif token.type == "softbreak":
        sink.write(" ")
    elif token.type == "hardbreak" or (
        token.type == "html_inline" and _BREAK_TAG.fullmatch(token.content)
    ):
        sink.write("\n")
    elif token.type == "image":
        for child in token.children or []:
            _write_inline(child, sink)
