"""docx: the text a reader sees with all tracked changes accepted, notes after the body."""

from functools import lru_cache
from typing import Any

from huleedu_dagster.domain.outcomes import Code, Warn
from huleedu_dagster.extraction.archive import Archive
from huleedu_dagster.extraction.errors import ExtractionError
from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.opc import relations, word_main_part
from huleedu_dagster.extraction.sink import Reading, TextSink
from huleedu_dagster.extraction.xml import parse_xml

_PREFIXES = {
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main": "w",
    "http://purl.oclc.org/ooxml/wordprocessingml/main": "w",
    "http://schemas.openxmlformats.org/markup-compatibility/2006": "mc",
    "http://schemas.openxmlformats.org/officeDocument/2006/math": "m",
    "http://purl.oclc.org/ooxml/officeDocument/math": "m",
}
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
    }
)
_LITERALS = {
    "w:tab": "\t",
    "w:ptab": "\t",
    "w:br": "\n",
    "w:cr": "\n",
    "w:noBreakHyphen": "-",
}
# What Word's autocorrect writes in its picture font.
_SYMBOLS = {"F0E0": "→", "F0DF": "←", "F0E8": "→", "F04A": "☺", "F04C": "☹", "F0B7": "•"}
_FALSE = frozenset({"0", "false", "off"})
_MAX_STYLE_CHAIN = 20


def read(data: bytes, limits: ExtractionLimits) -> Reading:
    """Read a Word document.

    Raises:
        ExtractionError: CORRUPTED_FILE, PASSWORD_PROTECTED, TOO_LARGE or UNSUPPORTED_FORMAT.
    """
    archive = Archive(data, limits)
    main = word_main_part(archive)
    if main is None:
        raise ExtractionError(Code.UNSUPPORTED_FORMAT, "the archive has no main document part")
    body = _child(parse_xml(archive.read(main)), "w:body")
    if body is None:
        raise ExtractionError(Code.CORRUPTED_FILE, "the main document part has no body")
    parts = {relation.kind: relation.target for relation in relations(archive, main)}
    styles = _hidden_styles(archive, parts.get("styles"))
    sink = TextSink(limits)
    walker = _Walker(sink, styles)
    walker.blocks(body)
    for kind, wanted in (("footnotes", walker.footnotes), ("endnotes", walker.endnotes)):
        if wanted and parts.get(kind, "") in archive:
            _write_notes(parse_xml(archive.read(parts[kind])), wanted, sink, styles)
    return sink.reading()


def _write_notes(root: Any, wanted: list[str], sink: TextSink, styles: dict[str, bool]) -> None:
    by_id = {_value(note, "id"): note for note in root}
    for number in dict.fromkeys(wanted):
        if number in by_id:
            _Walker(sink, styles).blocks(by_id[number])


class _Walker:
    """Walks one story. lxml refuses more than 256 levels, so recursion is safe."""

    def __init__(self, sink: TextSink, styles: dict[str, bool]) -> None:
        self._sink = sink
        self._styles = styles
        self._boxes: list[Any] = []
        self._paragraph_hidden = False
        self.footnotes: list[str] = []
        self.endnotes: list[str] = []

    def blocks(self, container: Any) -> None:
        """Write the paragraphs of a body, cell, note or text box."""
        for child in container:
            self._visit(child)
        self._end()

    def _visit(self, element: Any) -> None:
        name = _short(element.tag)
        if name in _SKIPPED:
            return
        if name in _LITERALS:
            self._sink.write(_LITERALS[name])
        elif name in ("w:t", "m:t"):
            self._sink.write((element.text or "").replace("\n", " "))
        elif name in _DELETIONS:
            self._sink.warnings.add(Warn.TRACKED_CHANGES_RESOLVED)
        elif name in _HANDLERS:
            _HANDLERS[name](self, element)
        else:
            if name in _INSERTIONS:
                self._sink.warnings.add(Warn.TRACKED_CHANGES_RESOLVED)
            self._children(element)

    def _children(self, element: Any) -> None:
        for child in element:
            self._visit(child)

    def _paragraph(self, element: Any) -> None:
        properties = _child(element, "w:pPr")
        style = _value(_child(properties, "w:pStyle"), "val")
        outer, self._paragraph_hidden = self._paragraph_hidden, self._styles.get(style, False)
        self._children(element)
        self._paragraph_hidden = outer
        if not self._mark_is_gone(_child(properties, "w:rPr")):
            self._end()

    def _mark_is_gone(self, mark: Any) -> bool:
        """A deleted or hidden paragraph mark: the next paragraph goes on in this one."""
        names = {_short(child.tag) for child in mark} if mark is not None else set()
        if names & (_DELETIONS | _INSERTIONS):
            self._sink.warnings.add(Warn.TRACKED_CHANGES_RESOLVED)
        return bool(names & _DELETIONS) or _toggle(_child(mark, "w:vanish")) is True

    def _end(self) -> None:
        self._sink.end_paragraph()
        # A text box stands in the middle of a run; its text follows the paragraph it hangs on.
        boxes, self._boxes = self._boxes, []
        for box in boxes:
            self.blocks(box)

    def _run(self, element: Any) -> None:
        if not self._is_hidden(_child(element, "w:rPr")):
            self._children(element)
        elif any(_short(e.tag) == "w:t" and (e.text or "").strip() for e in element.iter()):
            self._sink.warnings.add(Warn.HIDDEN_TEXT_PRESENT)

    def _is_hidden(self, properties: Any) -> bool:
        direct = _toggle(_child(properties, "w:vanish"))
        if direct is not None:
            return direct
        style = _value(_child(properties, "w:rStyle"), "val")
        return self._styles.get(style, self._paragraph_hidden)

    def _alternate(self, element: Any) -> None:
        # Every branch says the same for another generation of readers.
        branch = _child(element, "mc:Choice")
        branch = branch if branch is not None else _child(element, "mc:Fallback")
        if branch is not None:
            self._children(branch)

    def _text_box(self, element: Any) -> None:
        self._boxes.append(element)

    def _row(self, element: Any) -> None:
        if _child(_child(element, "w:trPr"), "w:del") is not None:
            self._sink.warnings.add(Warn.TRACKED_CHANGES_RESOLVED)
        else:
            self._children(element)

    def _cell(self, element: Any) -> None:
        if _child(_child(element, "w:tcPr"), "w:cellDel") is not None:
            self._sink.warnings.add(Warn.TRACKED_CHANGES_RESOLVED)
        else:
            self.blocks(element)

    def _symbol(self, element: Any) -> None:
        code = _value(element, "char").upper()
        if code in _SYMBOLS:
            self._sink.write(_SYMBOLS[code])
        elif len(code) == 4 and not code.startswith(("E", "F", "D")):
            self._sink.write(chr(int(code, 16)))

    def _footnote(self, element: Any) -> None:
        self.footnotes.append(_value(element, "id"))

    def _endnote(self, element: Any) -> None:
        self.endnotes.append(_value(element, "id"))


_HANDLERS = {
    "w:p": _Walker._paragraph,
    "w:r": _Walker._run,
    "w:tr": _Walker._row,
    "w:tc": _Walker._cell,
    "w:txbxContent": _Walker._text_box,
    "w:sym": _Walker._symbol,
    "w:footnoteReference": _Walker._footnote,
    "w:endnoteReference": _Walker._endnote,
    "mc:AlternateContent": _Walker._alternate,
}


def _hidden_styles(archive: Archive, part: str | None) -> dict[str, bool]:
    """Style id to whether its text is hidden; styles that say nothing are left out."""
    if part is None or part not in archive:
        return {}
    own: dict[str, bool | None] = {}
    parents: dict[str, str] = {}
    for style in parse_xml(archive.read(part)):
        name = _value(style, "styleId")
        own[name] = _toggle(_child(_child(style, "w:rPr"), "w:vanish"))
        parents[name] = _value(_child(style, "w:basedOn"), "val")
    hidden = {}
    for name in own:
        at, steps = name, 0
        while own.get(at) is None and at in parents and steps < _MAX_STYLE_CHAIN:
            at, steps = parents[at], steps + 1
        state = own.get(at)
        if state is not None:
            hidden[name] = state
    return hidden


def _toggle(element: Any) -> bool | None:
    if element is None:
        return None
    return _value(element, "val").lower() not in _FALSE


def _child(element: Any, name: str) -> Any:
    if element is None:
        return None
    return next((child for child in element if _short(child.tag) == name), None)


def _value(element: Any, name: str) -> str:
    """An attribute by its local name: the strict and the common files differ in namespace."""
    if element is None:
        return ""
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == name:
            return str(value)
    return ""


@lru_cache(maxsize=1_024)
def _short(tag: str) -> str:
    namespace, _, local = tag.removeprefix("{").rpartition("}")
    prefix = _PREFIXES.get(namespace)
    return f"{prefix}:{local}" if prefix else f"?:{local}"
