"""odt made from trees drawn by Hypothesis, against what a reader of the printed page would see.

The specification below walks the tree that the file was written from. White space in the file is
written down as zeros first, which no XML can hold: a run of them is one space, none at the start.
"""

import re
from dataclasses import dataclass, field
from html import unescape

from hypothesis import HealthCheck, given, settings

from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.normalise import normalise
from huleedu_dagster.extraction.readers import odt
from tests.factory.documents import odt_bytes
from tests.support import odt_trees as tree_of
from tests.support.odd_trees import OddFile, glued, odd_trees
from tests.unit.extraction.helpers import extract

_STABLE = settings(
    derandomize=True,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
_TAG = re.compile("<[^>]*>")
_WHITE = str.maketrans(dict.fromkeys(" \t\n\r", "\0"))


@dataclass
class _Page:
    """What a reader sees: the paragraphs so far, and what came to light on the way."""

    tree: tree_of.Tree
    paragraphs: list[str] = field(default_factory=list)
    notes: list[tree_of.Note] = field(default_factory=list)
    warnings: set[str] = field(default_factory=set)
    line: str = ""
    boxes: list[tree_of.Box] = field(default_factory=list)

    def blocks(self, blocks: tuple[tree_of.Block, ...]) -> None:
        for block in blocks:
            match block:
                case tree_of.Paragraph():
                    self.paragraph(block)
                case tree_of.Group(_, content, False) | tree_of.Box(_, content):
                    self.blocks(content)
                case tree_of.Group():
                    self.hide(block)

    def paragraph(self, paragraph: tree_of.Paragraph) -> None:
        if _hides_itself(paragraph.content):
            self.hide(paragraph)
            return
        styles = tree_of.HIDING_STYLES["paragraph"]
        self.inlines(paragraph.content, styles.get(paragraph.style, self.tree.hides_all))
        line = re.sub("\0+", " ", self.line.lstrip("\0"))
        self.paragraphs.append(line.strip())
        self.line = ""
        boxes, self.boxes = self.boxes, []
        for box in boxes:
            self.blocks(box.content)

    def inlines(self, inlines: tuple[tree_of.Inline, ...], hidden: bool) -> None:
        for inline in inlines:
            self.inline(inline, hidden)

    def inline(self, inline: tree_of.Inline, hidden: bool) -> None:
        match inline:
            case tree_of.Span(style, content):
                self.inlines(content, tree_of.HIDING_STYLES["text"].get(style, hidden))
            case tree_of.Ruby(base, _):
                self.inlines(base, hidden)
            case tree_of.HideableField(_, _, _, True):
                self.hide(inline)
            case tree_of.Text(text) | tree_of.HideableField(_, _, text, _):
                self.text(text.translate(_WHITE), hidden)
            case tree_of.Sign(xml):
                self.text(tree_of.SIGNS[xml], hidden)
            case tree_of.Box() | tree_of.Note() if hidden:
                self.hide(inline)
            case tree_of.Box():
                self.boxes.append(inline)
            case tree_of.Note():
                self.notes.append(inline)

    def text(self, text: str, hidden: bool) -> None:
        if not hidden:
            self.line += text
        elif text.strip().strip("\0"):
            self.warnings.add("HIDDEN_TEXT_PRESENT")

    def hide(self, node: tree_of.Block | tree_of.Inline) -> None:
        xml = tree_of.xml_of(node)
        if unescape(_TAG.sub("", xml)).strip() or "string-value" in xml.partition(">")[0]:
            self.warnings.add("HIDDEN_TEXT_PRESENT")


def _hides_itself(inlines: tuple[tree_of.Inline, ...]) -> bool:
    for inline in inlines:
        match inline:
            case tree_of.HidingField(True):
                return True
            case tree_of.Span(_, content) | tree_of.Ruby(content, _):
                if _hides_itself(content):
                    return True
    return False


def _seen(tree: tree_of.Tree) -> tuple[str | None, tuple[str, ...]]:
    page = _Page(tree)
    if tree.tracked in ("insertion", "deletion"):
        page.warnings.add("TRACKED_CHANGES_RESOLVED")
    page.blocks(tree.content)
    for kind in ("footnote", "endnote"):
        for note in [note for note in page.notes if note.kind == kind]:
            page.blocks(note.content)
    text = normalise("\n\n".join(filter(None, page.paragraphs)))
    return (text, tuple(sorted(page.warnings))) if text.strip() else (None, ())


@_STABLE
@given(tree_of.trees)
def test_a_document_reads_as_its_printed_page(tree: tree_of.Tree) -> None:
    result = extract(tree_of.odt_of(tree))
    assert (result.text, tuple(w for w in result.warnings if w != "GARBLED_TEXT")) == _seen(tree)


_ODD_TAGS = (
    "text:p",
    "text:h",
    "text:span",
    "text:span text:style-name='?'",
    "text:a",
    "text:s text:c='x'",
    "text:list",
    "text:list-item",
    "text:section text:display='?'",
    "text:note",
    "text:note-body",
    "text:note text:note-class='endnote'",
    "text:ruby",
    "text:ruby-base",
    "text:hidden-paragraph",
    "text:hidden-text",
    "text:index-body",
    "table:table",
    "table:table-row",
    "table:table-cell",
    "draw:frame",
    "draw:text-box",
    "draw:rect",
    "draw:a",
    "draw:g",
    "style:style",
    "x:unknown xmlns:x='urn:x' x:val='1'",
    "unknown xmlns=''",
)


@_STABLE
@given(odd_trees(_ODD_TAGS, "{}", ("text:p", "text:h")))
def test_elements_in_odd_places_never_glue_words_of_two_paragraphs(body: OddFile) -> None:
    data = odt_bytes([], body_xml=body.xml)
    text = odt.read(data, ExtractionLimits()).text
    assert glued(text, body.homes) == []
    assert odt.read(data, ExtractionLimits()).text == text
