"""odt: the text a reader sees with all tracked changes accepted, notes after the body.

What is shown follows OpenDocument 1.3 part 3. A file's tracked deletions are kept apart from its
text, so leaving them out accepts all changes. Footnotes come first, then endnotes, each in the
order in which the body refers to them. Text boxes and shapes follow the paragraph they hang on.
Table cells are paragraphs of their own. Text is hidden only where the file says so
(`text:display`, `text:is-hidden`); white letters on white paper are read.
"""

import re
from functools import lru_cache
from typing import Any

from huleedu_dagster.domain.outcomes import Code, Warn
from huleedu_dagster.extraction.archive import Archive
from huleedu_dagster.extraction.errors import ExtractionError
from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.sink import Reading, TextSink
from huleedu_dagster.extraction.xml import parse_xml

_CONTENT = "content.xml"
_STYLES = "styles.xml"
_MANIFEST = "META-INF/manifest.xml"
_ODF = "urn:oasis:names:tc:opendocument:xmlns:"
_CHANGES = (f"{{{_ODF}text:1.0}}insertion", f"{{{_ODF}text:1.0}}deletion")
_PARAGRAPH_TAGS = (f"{{{_ODF}text:1.0}}p", f"{{{_ODF}text:1.0}}h")
_HIDING_FIELD = f"{{{_ODF}text:1.0}}hidden-paragraph"
_STYLE_TAGS = (f"{{{_ODF}style:1.0}}style", f"{{{_ODF}style:1.0}}default-style")
_SPACE = re.compile(r"[ \t\n\r]+")
_SKIPPED = frozenset(
    {
        "text:tracked-changes",
        "text:note-citation",
        "text:number",
        "text:ruby-text",
        "text:script",
        "text:sequence-decls",
        "text:variable-decls",
        "text:user-field-decls",
        "office:annotation",
        "office:forms",
        "svg-compatible:title",
        "svg-compatible:desc",
        "table:covered-table-cell",
    }
)
# Blocks that stand in the middle of a paragraph: their text follows it.
_BLOCKS = frozenset({"text:p", "text:h", "text:list", "text:section", "table:table"})
_STYLED = frozenset({"text:span", "text:a"})
_HIDDEN_FIELDS = frozenset({"text:hidden-text", "text:hidden-paragraph"})
_MAX_STYLE_CHAIN = 20
_Style = tuple[str, str]


def read(data: bytes, limits: ExtractionLimits) -> Reading:
    """Read an OpenDocument text.

    Raises:
        ExtractionError: CORRUPTED_FILE, PASSWORD_PROTECTED or TOO_LARGE.
    """
    archive = Archive(data, limits)
    _refuse_encrypted(archive)
    root = parse_xml(archive.read(_CONTENT))
    text = _child(_child(root, "office:body"), "office:text")
    if text is None:
        raise ExtractionError(Code.CORRUPTED_FILE, "the content part has no text body")
    sink = TextSink(limits)
    if next(root.iter(*_CHANGES), None) is not None:
        sink.warnings.add(Warn.TRACKED_CHANGES_RESOLVED)
    walker = _Walker(sink, limits, _hiding_styles(archive, root))
    walker.hidden_paragraphs = _paragraphs_with_hiding_fields(text)
    walker.blocks(text)
    walker.write_notes()
    return sink.reading()


def _refuse_encrypted(archive: Archive) -> None:
    if "encrypted-package" in archive:
        raise ExtractionError(Code.PASSWORD_PROTECTED, "an encrypted OpenDocument package")
    if _MANIFEST not in archive:
        return
    manifest = parse_xml(archive.read(_MANIFEST))
    if any(element.tag.endswith("}encryption-data") for element in manifest.iter()):
        raise ExtractionError(Code.PASSWORD_PROTECTED, "an encrypted OpenDocument text")


class _Walker:
    """Walks the body. lxml refuses more than 256 levels, so recursion is safe."""

    def __init__(
        self, sink: TextSink, limits: ExtractionLimits, hiding: dict[_Style, bool]
    ) -> None:
        self._sink = sink
        self._max_repeat = limits.max_space_repeat
        self._hiding = hiding
        self._boxes: list[Any] = []
        self._after_space = True
        self._notes: list[Any] = []
        self.hidden_paragraphs: set[Any] = set()

    def blocks(self, container: Any) -> None:
        """Write the paragraphs below a block; text outside paragraphs is no content."""
        for child in container:
            self._block(child)

    def write_notes(self) -> None:
        """Write the notes met so far: footnotes, then endnotes."""
        notes, self._notes = self._notes, []
        for note in sorted(notes, key=lambda n: _attribute(n, "text:note-class") == "endnote"):
            self._block(_child(note, "text:note-body"))
        # The format knows no notes in notes, but their words are not lost.
        if self._notes:
            self.write_notes()

    def _block(self, element: Any) -> None:
        name = _short(element.tag) if element is not None else ""
        if not name or name in _SKIPPED or name.endswith("-source"):
            return
        if name in ("text:p", "text:h"):
            self._paragraph(element)
        elif name == "text:section" and _is_off(element):
            self._warn_hidden(element)
        elif name == "text:note":
            self._notes.append(element)
        elif name == "draw:frame":
            # A frame's further children are other pictures of the same content.
            self._block(_child(element, "draw:text-box"))
        else:
            self.blocks(element)

    def _paragraph(self, element: Any) -> None:
        self._after_space = True
        hidden = self._state(element, "paragraph", self._hiding.get(("paragraph", ""), False))
        if element in self.hidden_paragraphs:
            self._warn_hidden(element)
        else:
            self._inline(element, hidden)
        self._sink.end_paragraph()
        boxes, self._boxes = self._boxes, []
        for box in boxes:
            self._block(box)

    def _state(self, element: Any, family: str, outer: bool) -> bool:
        """Whether the text of an element is hidden, by its style or by the text around it."""
        return self._hiding.get((family, _attribute(element, "text:style-name")), outer)

    def _inline(self, element: Any, hidden: bool) -> None:
        self._write(element.text, hidden)
        for child in element:
            name = _short(child.tag)
            if name not in _SKIPPED:
                self._inline_child(child, name, hidden)
            self._write(child.tail, hidden)

    def _inline_child(self, child: Any, name: str, hidden: bool) -> None:
        if name in _STYLED:
            self._inline(child, self._state(child, "text", hidden))
        elif name == "text:s":
            self._literal(" " * self._repeat(child), hidden)
        elif name == "text:tab":
            self._literal("\t", hidden)
        elif name == "text:line-break":
            self._literal("\n", hidden)
        elif name in _BLOCKS or (name.startswith("draw:") and name != "draw:a"):
            self._later(child, self._boxes, hidden)
        elif name == "text:note":
            self._later(child, self._notes, hidden)
        elif _is_off(child) or self._is_hidden_field(child, name):
            self._warn_hidden(child)
        else:
            self._inline(child, hidden)

    def _later(self, element: Any, queue: list[Any], hidden: bool) -> None:
        if hidden:
            self._warn_hidden(element)
        else:
            queue.append(element)

    def _repeat(self, element: Any) -> int:
        count = _attribute(element, "text:c")
        if not count.isdecimal():
            return 1
        # Ten digits say enough; converting more is quadratic. No space at all would glue words.
        return max(1, min(int(count[:10]), self._max_repeat))

    def _is_hidden_field(self, element: Any, name: str) -> bool:
        return name in _HIDDEN_FIELDS and _attribute(element, "text:is-hidden") == "true"

    def _warn_hidden(self, element: Any) -> None:
        said = _attribute(element, "text:string-value")
        if said.strip() or any(text.strip() for text in element.itertext()):
            self._sink.warnings.add(Warn.HIDDEN_TEXT_PRESENT)

    def _literal(self, text: str, hidden: bool) -> None:
        if not hidden:
            self._sink.write(text)
            # Only white space in the file collapses, not the spaces that elements stand for.
            self._after_space = False

    def _write(self, text: str | None, hidden: bool) -> None:
        """Write text as the format reads it: white space runs are one space, none at the start."""
        if not text:
            return
        collapsed = _SPACE.sub(" ", text)
        if hidden:
            if collapsed.strip():
                self._sink.warnings.add(Warn.HIDDEN_TEXT_PRESENT)
            return
        if self._after_space:
            collapsed = collapsed.lstrip(" ")
        if collapsed:
            self._sink.write(collapsed)
            self._after_space = collapsed.endswith(" ")


def _paragraphs_with_hiding_fields(text: Any) -> set[Any]:
    """The paragraphs that hold, themselves and not in a text box, a field that hides them."""
    return {
        next(field.iterancestors(*_PARAGRAPH_TAGS), None)
        for field in text.iter(_HIDING_FIELD)
        if _attribute(field, "text:is-hidden") == "true"
    }


def _is_off(element: Any) -> bool:
    """A section or field that is not displayed, always or as its condition stands."""
    display = _attribute(element, "text:display")
    conditional = display == "condition" and _attribute(element, "text:is-hidden") == "true"
    return display == "none" or conditional


def _hiding_styles(archive: Archive, content: Any) -> dict[_Style, bool]:
    """Family and name of each style that says, itself or by a parent, whether text is hidden.

    A family's default style has an empty name.
    """
    roots = [parse_xml(archive.read(_STYLES))] if _STYLES in archive else []
    own: dict[_Style, bool | None] = {}
    parents: dict[_Style, _Style] = {}
    for root in [*roots, content]:
        for style in root.iter(*_STYLE_TAGS):
            family = _attribute(style, "style:family")
            key = (family, _attribute(style, "style:name"))
            display = _attribute(_child(style, "style:text-properties"), "text:display")
            own[key] = display == "none" if display else None
            parents[key] = (family, _attribute(style, "style:parent-style-name"))
    hiding = {}
    for key in own:
        at, steps = key, 0
        while own.get(at) is None and at in parents and steps < _MAX_STYLE_CHAIN:
            at, steps = parents[at], steps + 1
        state = own.get(at)
        if state is not None:
            hiding[key] = state
    return hiding


def _child(element: Any, name: str) -> Any:
    if element is None:
        return None
    return next((child for child in element if _short(child.tag) == name), None)


def _attribute(element: Any, name: str) -> str:
    if element is None:
        return ""
    prefix, _, local = name.partition(":")
    return str(element.get(f"{{{_ODF}{prefix}:1.0}}{local}", ""))


@lru_cache(maxsize=1_024)
def _short(tag: str) -> str:
    namespace, _, local = tag.removeprefix("{").rpartition("}")
    if not namespace.startswith(_ODF):
        return f"?:{local}"
    prefix = namespace.removeprefix(_ODF).removesuffix(":1.0")
    return f"{'draw' if prefix == 'drawing' else prefix}:{local}"
