"""Markdown: the words as rendered, without marks, links' targets and front matter."""

import re

from markdown_it import MarkdownIt
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.extraction.decode import decode_text
from huleedu_dagster.extraction.errors import ExtractionError
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
    parser.inline = _Inline(parser, limits)
    sink = TextSink(limits)
    for token in parser.parse(text):
        _write_block(token, sink, limits)
    return sink.reading()


class _Inline(ParserInline):
    """The inline parser, stopped when it has looked at too many places.

    What is nested or left open is looked at again on every level and from every open bracket: the
    work grows much faster than the text.
    """

    def __init__(self, parser: MarkdownIt, limits: ExtractionLimits) -> None:
        super().__init__()
        self._left = limits.max_markdown_steps
        self.ruler, self.ruler2 = parser.inline.ruler, parser.inline.ruler2
        # Two rules that never match count the places at which the others are tried.
        self.ruler.before("text", "steps", lambda state, silent: self._step())
        parser.block.ruler.before(
            "table",
            "steps",
            lambda state, first, last, silent: self._step(),
            {"alt": ["paragraph", "reference", "blockquote", "list"]},
        )

    def skipToken(self, state: StateInline) -> None:  # noqa: N802 - the library's name
        """Pass over a token in search of a closing bracket; known ones are not tried again."""
        self._step()
        super().skipToken(state)

    def _step(self) -> bool:
        self._left -= 1
        if self._left < 0:
            raise ExtractionError(Code.TOO_LARGE, "too much markup that is nested or left open")
        return False


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
