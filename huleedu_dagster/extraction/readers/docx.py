"""docx: the text a reader sees with all tracked changes accepted, notes after the body.

What is shown follows ECMA-376 part 1, chapters 17 (WordprocessingML) and 22.1 (mathematics), and
part 3 (alternate content), in the common and in the strict namespaces. Footnotes come first, then
endnotes, each in the order in which the body refers to them. Text boxes follow the paragraph they
hang on. Table cells are paragraphs of their own. Text is hidden only where the file says so
(`w:vanish`); white letters on white paper are read.
"""

from typing import Any

from huleedu_dagster.domain.outcomes import Code, Warn
from huleedu_dagster.extraction.archive import Archive
from huleedu_dagster.extraction.errors import ExtractionError
from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.opc import relations, word_main_part
from huleedu_dagster.extraction.sink import Reading, TextSink
from huleedu_dagster.extraction.wordml import (
    Hiding,
    child_of,
    hiding_styles,
    may_hide,
    short_name,
    symbol,
    tags_of,
    value_of,
    vanish,
)
from huleedu_dagster.extraction.xml import parse_xml

_DELETIONS = frozenset({"w:del", "w:moveFrom"})
_INSERTIONS = frozenset({"w:ins", "w:moveTo"})
_SKIPPED = frozenset(
    {
        "w:pPr",
        "w:rPr",
        "w:tblPr",
        "w:tblGrid",
        "w:trPr",
        "w:tcPr",
        "w:sectPr",
        "w:sdtPr",
        "w:sdtEndPr",
        "w:delText",
        "w:instrText",
        "w:delInstrText",
        "w:rt",
        "m:ctrlPr",
    }
)
_LITERALS = {
    "w:tab": "\t",
    "w:ptab": "\t",
    "w:br": "\n",
    "w:cr": "\n",
    "w:noBreakHyphen": "-",
}
_SHOWN = tags_of({"w:t", "m:t", "w:sym", *_LITERALS})


def read(data: bytes, limits: ExtractionLimits) -> Reading:
    """Read a Word document.

    Raises:
        ExtractionError: CORRUPTED_FILE, PASSWORD_PROTECTED, TOO_LARGE or UNSUPPORTED_FORMAT.
    """
    archive = Archive(data, limits)
    main = word_main_part(archive)
    if main is None:
        raise ExtractionError(Code.UNSUPPORTED_FORMAT, "the archive has no main document part")
    content = archive.read(main)
    body = child_of(parse_xml(content), "w:body")
    if body is None:
        raise ExtractionError(Code.CORRUPTED_FILE, "the main document part has no body")
    parts = {relation.kind: relation.target for relation in relations(archive, main)}
    hiding = hiding_styles(archive, parts.get("styles"))
    sink = TextSink(limits)
    walker = _Walker(sink, hiding, content)
    walker.blocks(body)
    for kind, wanted in (("footnotes", walker.footnotes), ("endnotes", walker.endnotes)):
        if wanted and parts.get(kind, "") in archive:
            _write_notes(archive.read(parts[kind]), wanted, sink, hiding)
    return sink.reading()


def _write_notes(part: bytes, wanted: list[str], sink: TextSink, hiding: Hiding) -> None:
    by_id = {value_of(note, "id"): note for note in parse_xml(part)}
    for number in dict.fromkeys(wanted):
        if number in by_id:
            _Walker(sink, hiding, part).blocks(by_id[number])


class _Walker:
    """Walks one story. lxml refuses more than 256 levels, so recursion is safe."""

    def __init__(self, sink: TextSink, hiding: Hiding, part: bytes) -> None:
        self._sink = sink
        self._hiding = hiding
        self._may_hide = hiding != Hiding() or may_hide(part)
        self._boxes: list[Any] = []
        self._style_hides = hiding.paragraph
        self._joined = False
        # One entry for each field that is open: whether we are in its code.
        self._fields: list[bool] = []
        self.footnotes: list[str] = []
        self.endnotes: list[str] = []

    def blocks(self, container: Any) -> None:
        """Write the paragraphs of a body, cell, note or text box."""
        self._children(container)
        self._end()

    def _children(self, element: Any) -> None:
        for child in element:
            name = short_name(child.tag)
            handler = _HANDLERS.get(name)
            if handler is not None:
                handler(self, child)
            elif name in _LITERALS:
                self._write(_LITERALS[name])
            elif name not in _SKIPPED:
                self._children(child)

    def _text(self, element: Any) -> None:
        self._write((element.text or "").replace("\n", " "))

    def _write(self, text: str) -> None:
        # Results of fields within a field's code are not shown.
        if True not in self._fields:
            self._sink.write(text)

    def _deletion(self, _: Any) -> None:
        self._sink.warnings.add(Warn.TRACKED_CHANGES_RESOLVED)

    def _insertion(self, element: Any) -> None:
        self._sink.warnings.add(Warn.TRACKED_CHANGES_RESOLVED)
        self._children(element)

    def _paragraph(self, element: Any) -> None:
        if not self._joined:
            self._end()
        self._joined = False
        properties = child_of(element, "w:pPr")
        style = value_of(child_of(properties, "w:pStyle"), "val")
        # A field whose end is lost hides no more than its paragraph.
        outer, fields = self._style_hides, self._fields
        self._style_hides = self._hiding.styles.get(style, self._hiding.paragraph)
        self._fields = []
        self._children(element)
        self._style_hides, self._fields = outer, fields
        if self._mark_is_gone(child_of(properties, "w:rPr")):
            self._joined = True
        else:
            self._end()

    def _mark_is_gone(self, mark: Any) -> bool:
        """A deleted or hidden paragraph mark: the next paragraph goes on in this one."""
        if mark is None:
            return False
        names = {short_name(child.tag) for child in mark}
        if names & (_DELETIONS | _INSERTIONS):
            self._sink.warnings.add(Warn.TRACKED_CHANGES_RESOLVED)
        return bool(names & _DELETIONS) or vanish(mark) is True

    def _end(self) -> None:
        self._joined = False
        self._sink.end_paragraph()
        # A text box stands in the middle of a run; its text follows the paragraph it hangs on.
        boxes, self._boxes = self._boxes, []
        for box in boxes:
            self.blocks(box)

    def _run(self, element: Any) -> None:
        if not (self._may_hide and self._is_hidden(child_of(element, "w:rPr"))):
            self._children(element)
            return
        for child in element.iter():
            name = short_name(child.tag)
            if name == "w:fldChar":
                self._field(child)
            elif name in ("w:t", "m:t") and (child.text or "").strip():
                self._sink.warnings.add(Warn.HIDDEN_TEXT_PRESENT)

    def _is_hidden(self, properties: Any) -> bool:
        own = self._hiding.character
        if properties is not None and len(properties):
            direct = vanish(properties)
            if direct is not None:
                return direct
            if self._hiding.styles:
                style = value_of(child_of(properties, "w:rStyle"), "val")
                own = self._hiding.styles.get(style, own)
        # A toggle property (ECMA-376 part 1, 17.7.3): two styles that hide show the text again.
        return self._hiding.everything or own != self._style_hides

    def _field(self, element: Any) -> None:
        kind = value_of(element, "fldCharType")
        if kind == "begin":
            self._fields.append(True)
        elif self._fields and kind == "separate":
            self._fields[-1] = False
        elif self._fields and kind == "end":
            self._fields.pop()

    def _alternate(self, element: Any) -> None:
        # Every branch says the same for another generation of readers: the first one whose
        # words we know is read.
        branches = [b for b in element if short_name(b.tag) in ("mc:Choice", "mc:Fallback")]
        shown = (b for b in branches if next(b.iter(*_SHOWN), None) is not None)
        branch = next(shown, branches[0] if branches else None)
        if branch is not None:
            self._children(branch)

    def _text_box(self, element: Any) -> None:
        self._boxes.append(element)

    def _row(self, element: Any) -> None:
        if child_of(child_of(element, "w:trPr"), "w:del") is not None:
            self._sink.warnings.add(Warn.TRACKED_CHANGES_RESOLVED)
        else:
            self._children(element)

    def _cell(self, element: Any) -> None:
        if child_of(child_of(element, "w:tcPr"), "w:cellDel") is not None:
            self._sink.warnings.add(Warn.TRACKED_CHANGES_RESOLVED)
        else:
            # No paragraph goes on into a table, not even one whose mark is deleted.
            self._end()
            self.blocks(element)

    def _symbol(self, element: Any) -> None:
        self._write(symbol(value_of(element, "font"), value_of(element, "char")))

    def _footnote(self, element: Any) -> None:
        self.footnotes.append(value_of(element, "id"))

    def _endnote(self, element: Any) -> None:
        self.endnotes.append(value_of(element, "id"))

    def _formula(self, element: Any) -> None:
        """A formula on lines of its own."""
        self._write("\n")
        self._children(element)
        self._write("\n")

    def _denominator(self, element: Any) -> None:
        self._write("/")
        self._children(element)

    def _operand(self, element: Any) -> None:
        """A part of a formula that stands apart from its like: a cell, a row, an argument."""
        before = element.getprevious()
        if before is not None and short_name(before.tag) in ("m:e", "m:mr", "m:fName"):
            self._write(" ")
        self._children(element)

    def _brackets(self, element: Any) -> None:
        properties = child_of(element, "m:dPr")
        for name, usual, inner in (("m:begChr", "(", element), ("m:endChr", ")", ())):
            mark = child_of(properties, name)
            self._write(usual if mark is None else value_of(mark, "val"))
            self._children(inner)


_HANDLERS = {
    "w:t": _Walker._text,
    "w:r": _Walker._run,
    "w:p": _Walker._paragraph,
    "w:del": _Walker._deletion,
    "w:moveFrom": _Walker._deletion,
    "w:ins": _Walker._insertion,
    "w:moveTo": _Walker._insertion,
    "w:fldChar": _Walker._field,
    "w:tr": _Walker._row,
    "w:tc": _Walker._cell,
    "w:txbxContent": _Walker._text_box,
    "w:sym": _Walker._symbol,
    "w:footnoteReference": _Walker._footnote,
    "w:endnoteReference": _Walker._endnote,
    "mc:AlternateContent": _Walker._alternate,
    "m:t": _Walker._text,
    "m:r": _Walker._run,
    "m:oMathPara": _Walker._formula,
    "m:d": _Walker._brackets,
    "m:den": _Walker._denominator,
    "m:e": _Walker._operand,
    "m:mr": _Walker._operand,
    "m:lim": _Walker._operand,
}
