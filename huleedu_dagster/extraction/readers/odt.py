"""odt: the text a reader sees with all tracked changes accepted, notes after the body."""

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
_SPACE = re.compile(r"[ \t\n\r]+")
_SKIPPED = frozenset(
    {
        "text:tracked-changes",
        "text:note-citation",
        "text:ruby-text",
        "text:sequence-decls",
        "text:variable-decls",
        "text:user-field-decls",
        "office:annotation",
        "office:forms",
        "table:covered-table-cell",
        "?:title",
        "?:desc",
    }
)
_CONTAINERS = frozenset({"draw:text-box", "draw:custom-shape", "table:table"})
_MAX_STYLE_CHAIN = 20


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
    if any(_short(element.tag) == "text:changed-region" for element in root.iter()):
        sink.warnings.add(Warn.TRACKED_CHANGES_RESOLVED)
    walker = _Walker(sink, limits, _hidden_styles(archive, root))
    walker.blocks(text)
    # A note's own notes would be appended while we go; the format knows none.
    for note in list(walker.notes):
        walker.blocks(note)
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

    def __init__(self, sink: TextSink, limits: ExtractionLimits, hidden: frozenset[str]) -> None:
        self._sink = sink
        self._max_repeat = limits.max_space_repeat
        self._hidden = hidden
        self._boxes: list[Any] = []
        self._after_space = True
        self.notes: list[Any] = []

    def blocks(self, container: Any) -> None:
        """Write the paragraphs below a block; text outside paragraphs is no content."""
        for child in container:
            name = _short(child.tag)
            if name in _SKIPPED or name.endswith("-source"):
                continue
            if name == "text:section" and _attribute(child, "text:display") == "none":
                self._warn_hidden(child)
            elif name in ("text:p", "text:h"):
                self._paragraph(child)
            elif name == "draw:frame":
                self._frame(child)
                self._flush_boxes()
            else:
                self.blocks(child)

    def _paragraph(self, element: Any) -> None:
        self._after_space = True
        if _attribute(element, "text:style-name") in self._hidden:
            self._warn_hidden(element)
        else:
            self._inline(element)
        self._sink.end_paragraph()
        self._flush_boxes()

    def _flush_boxes(self) -> None:
        boxes, self._boxes = self._boxes, []
        for box in boxes:
            self.blocks(box)

    def _inline(self, element: Any) -> None:
        self._write(element.text)
        for child in element:
            name = _short(child.tag)
            if name not in _SKIPPED:
                self._inline_child(child, name)
            self._write(child.tail)

    def _inline_child(self, child: Any, name: str) -> None:
        if name == "text:s":
            self._literal(" " * self._repeat(child))
        elif name == "text:tab":
            self._literal("\t")
        elif name == "text:line-break":
            self._literal("\n")
        elif name == "text:note":
            body = _child(child, "text:note-body")
            if body is not None:
                self.notes.append(body)
        elif name == "draw:frame":
            self._frame(child)
        elif name in _CONTAINERS:
            self._boxes.append(child)
        elif self._is_hidden(child, name):
            self._warn_hidden(child)
        else:
            self._inline(child)

    def _frame(self, frame: Any) -> None:
        # A frame's further children are other pictures of the same content.
        box = _child(frame, "draw:text-box")
        if box is not None:
            self._boxes.append(box)

    def _repeat(self, element: Any) -> int:
        count = _attribute(element, "text:c")
        if not count.isdecimal():
            return 1
        # Ten digits say enough; converting more is quadratic.
        return min(int(count[:10]), self._max_repeat)

    def _is_hidden(self, element: Any, name: str) -> bool:
        if name in ("text:hidden-text", "text:hidden-paragraph"):
            return _attribute(element, "text:is-hidden") != "false"
        return name == "text:span" and _attribute(element, "text:style-name") in self._hidden

    def _warn_hidden(self, element: Any) -> None:
        said = _attribute(element, "text:string-value")
        if said.strip() or any(text.strip() for text in element.itertext()):
            self._sink.warnings.add(Warn.HIDDEN_TEXT_PRESENT)

    def _literal(self, text: str) -> None:
        self._sink.write(text)
        self._after_space = text.isspace()

    def _write(self, text: str | None) -> None:
        """Write text as the format reads it: white space runs are one space, none at the start."""
        if not text:
            return
        collapsed = _SPACE.sub(" ", text)
        if self._after_space:
            collapsed = collapsed.lstrip(" ")
        if collapsed:
            self._sink.write(collapsed)
            self._after_space = collapsed.endswith(" ")


def _hidden_styles(archive: Archive, content: Any) -> frozenset[str]:
    """Names of styles whose text is not displayed, by themselves or by a parent."""
    roots = [parse_xml(archive.read(_STYLES))] if _STYLES in archive else []
    hides: dict[str, bool | None] = {}
    parents: dict[str, str] = {}
    for root in [*roots, content]:
        for style in root.iter(f"{{{_ODF}style:1.0}}style"):
            name = _attribute(style, "style:name")
            display = _attribute(_child(style, "style:text-properties"), "text:display")
            hides[name] = display == "none" if display else None
            parents[name] = _attribute(style, "style:parent-style-name")
    hidden = set()
    for name in hides:
        at, steps = name, 0
        while hides.get(at) is None and at in parents and steps < _MAX_STYLE_CHAIN:
            at, steps = parents[at], steps + 1
        if hides.get(at):
            hidden.add(name)
    return frozenset(hidden)


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
