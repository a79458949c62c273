"""docx made from trees drawn by Hypothesis, against what a reader of the printed page would see.

The specification below knows nothing of elements: it walks the tree that the file was written from.
"""

from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings

from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.normalise import normalise
from huleedu_dagster.extraction.readers import docx
from tests.factory.documents import docx_bytes, docx_notes_part
from tests.support import docx_trees as tree_of
from tests.support.odd_trees import OddFile, glued, odd_trees
from tests.unit.extraction.helpers import extract

_STABLE = settings(
    derandomize=True,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
_JOINING = ("del", "moveFrom", "vanish", "specVanish")
_TRACKED = ("del", "moveFrom", "ins", "moveTo")


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
                case tree_of.Control(content):
                    self.blocks(content)
                case tree_of.Table(cells, deleted):
                    self.table(cells, deleted)
                case tree_of.Paragraph():
                    self.paragraph(block)

    def table(self, cells: tuple[tree_of.Cell, ...], deleted: bool) -> None:
        if deleted or any(cell.deleted for cell in cells):
            self.warnings.add("TRACKED_CHANGES_RESOLVED")
        for cell in () if deleted else cells:
            if not cell.deleted:
                self.new_line()
                self.blocks(cell.content)
                self.new_line()

    def paragraph(self, paragraph: tree_of.Paragraph) -> None:
        style = paragraph.style if paragraph.style in tree_of.HIDING_STYLES else self.tree.usual
        self.inlines(paragraph.content, tree_of.HIDING_STYLES.get(style, False))
        if paragraph.mark in _TRACKED:
            self.warnings.add("TRACKED_CHANGES_RESOLVED")
        if paragraph.mark not in _JOINING:
            self.new_line()

    def new_line(self) -> None:
        self.paragraphs.append(self.line.strip())
        self.line = ""
        boxes, self.boxes = self.boxes, []
        for box in boxes:
            self.blocks(box.content)
            self.new_line()

    def inlines(self, inlines: tuple[tree_of.Inline, ...], hidden: bool) -> None:
        for inline in inlines:
            if isinstance(inline, tree_of.Wrapped | tree_of.Deleted) and inline.name in _TRACKED:
                self.warnings.add("TRACKED_CHANGES_RESOLVED")
            self.inline(inline, hidden)

    def inline(self, inline: tree_of.Inline, hidden: bool) -> None:
        match inline:
            case tree_of.Run():
                self.text(inline.text, self.hides(inline, hidden))
            case tree_of.Ruby(base, above):
                self.ruby(base, above, self.hides(tree_of.Run(base), hidden))
            case tree_of.Sign(xml):
                if not self.hides(tree_of.Run(""), hidden):
                    self.line += tree_of.SIGNS[xml]
            case tree_of.Wrapped(_, content) | tree_of.Field(_, content):
                self.inlines(content, hidden)
            case tree_of.Box():
                self.boxes.append(inline)
            case tree_of.Note():
                self.notes.append(inline)

    def ruby(self, base: str, above: str, hidden: bool) -> None:
        self.text(base, hidden)
        # A hidden run hides what stands above its text too.
        if hidden:
            self.text(above, True)

    def hides(self, run: tree_of.Run, by_paragraph: bool) -> bool:
        if run.direct is not None:
            return run.direct
        return self.tree.hides_all or by_paragraph ^ tree_of.HIDING_STYLES.get(run.style, False)

    def text(self, text: str, hidden: bool) -> None:
        if not hidden:
            self.line += text.replace("\n", " ")
        elif text.strip():
            self.warnings.add("HIDDEN_TEXT_PRESENT")


def _seen(tree: tree_of.Tree) -> tuple[str | None, tuple[str, ...]]:
    page = _Page(tree)
    page.blocks(tree.content)
    page.new_line()
    for kind in ("footnote", "endnote"):
        for note in [note for note in page.notes if note.kind == kind]:
            page.blocks(note.content)
            page.new_line()
    text = normalise("\n\n".join(filter(None, page.paragraphs)))
    return (text, tuple(sorted(page.warnings))) if text.strip() else (None, ())


@_STABLE
@given(tree_of.trees)
def test_a_document_reads_as_its_printed_page(tree: tree_of.Tree) -> None:
    result = extract(tree_of.docx_of(tree))
    assert (result.text, tuple(w for w in result.warnings if w != "GARBLED_TEXT")) == _seen(tree)


_ODD_TAGS = (
    "w:p",
    "w:r",
    "w:rPr",
    "w:tbl",
    "w:tr",
    "w:tc",
    "w:sdt",
    "w:sdtContent",
    "w:ins w:id='x'",
    "w:hyperlink r:id='none'",
    "w:sym",
    "w:sym w:font='Symbol' w:char='zz'",
    "w:sym w:char='D800'",
    "w:sym w:char='FFFFFFFF'",
    "w:sym w:char='-1'",
    "w:tab",
    "w:br w:type='?'",
    "w:fldChar",
    "w:fldChar w:fldCharType='end'",
    "w:fldChar w:fldCharType='separate'",
    "w:footnoteReference",
    "w:endnoteReference w:id='-7'",
    "w:txbxContent",
    "w:ruby",
    "w:rubyBase",
    "w:pStyle w:val='none'",
    "mc:AlternateContent",
    "mc:Choice",
    "mc:Fallback",
    "m:oMathPara",
    "m:e",
    "m:d",
    "m:dPr",
    "m:begChr",
    "m:den",
    "x:unknown xmlns:x='urn:x' x:val='1'",
    "unknown xmlns=''",
)
_MATH_MARKS = "()/"


def _odd_parts(inner_xml: str) -> dict[str, bytes]:
    """Styles and notes as odd as the body; the word makes sure that the styles are looked at."""
    return {
        "word/_rels/document.xml.rels": tree_of.links(("styles", "footnotes")),
        "word/styles.xml": docx_notes_part("styles", f"{inner_xml}<w:vanish/>"),
        "word/footnotes.xml": docx_notes_part("footnotes", inner_xml),
    }


@_STABLE
@given(odd_trees(_ODD_TAGS, "<w:t>{}</w:t>", ("w:p",)))
def test_elements_in_odd_places_never_glue_words_of_two_paragraphs(body: OddFile) -> None:
    data = docx_bytes([], body_xml=body.xml, extra_parts=_odd_parts(body.xml))
    text = raw = docx.read(data, ExtractionLimits()).text
    for mark in _MATH_MARKS:
        text = text.replace(mark, "")
    assert glued(text, body.homes) == []
    assert docx.read(data, ExtractionLimits()).text == raw
