"""Trees of what a Word document may hold: Hypothesis draws them, `docx_of` writes the file."""

from dataclasses import dataclass

from hypothesis import strategies as st

from tests.factory.documents import docx_bytes, docx_notes_part
from tests.support.any_text import any_text, xml_text

_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
# Runs of a box, a note or a field's code are shown, whatever the styles say.
_OPEN = '<w:r><w:rPr><w:vanish w:val="0"/></w:rPr>'
_PURL = b"http://purl.oclc.org/ooxml/"

HIDING_STYLES = {"H": True, "HB": True, "S": False, "SB": False, "cH": True, "cS": False}
"""Style id to whether it hides; two of them say so by the style they are based on."""

SIGNS = {
    "<w:tab/>": "\t",
    "<w:ptab/>": "\t",
    "<w:br/>": "\n",
    '<w:br w:type="column"/>': "\n",
    "<w:cr/>": "\n",
    "<w:noBreakHyphen/>": "-",
    "<w:softHyphen/>": "",
    "<w:lastRenderedPageBreak/>": "",
    '<w:sym w:font="Wingdings" w:char="F0E0"/>': "→",
    '<w:sym w:font="Arial" w:char="00E5"/>': "å",
    "<w:commentReference/>": "",
}
"""What may stand in a run between letters, and what a reader sees of it."""

WRAPPERS = ("ins", "moveTo", "hyperlink", "smartTag", "fldSimple", "bdo", "dir", "sdt")


@dataclass(frozen=True)
class Run:
    """Text in one run; `direct` is its own `w:vanish`, `style` its character style."""

    text: str
    direct: bool | None = None
    style: str = ""


@dataclass(frozen=True)
class Sign:
    """One of `SIGNS`."""

    xml: str


@dataclass(frozen=True)
class Wrapped:
    """Inline content in an element that changes nothing about it."""

    name: str
    content: "tuple[Inline, ...]"


@dataclass(frozen=True)
class Deleted:
    """Inline content that was deleted (`del`) or moved away (`moveFrom`)."""

    name: str
    content: "tuple[Inline, ...]"


@dataclass(frozen=True)
class Field:
    """A field with another field, that has a result, in its code."""

    in_code: str
    result: "tuple[Inline, ...]"


@dataclass(frozen=True)
class Ruby:
    """Text with another text above it."""

    base: str
    above: str


@dataclass(frozen=True)
class Box:
    """A text box, written for two generations of readers."""

    content: "tuple[Block, ...]"


@dataclass(frozen=True)
class Note:
    """A note of the kind footnote or endnote."""

    kind: str
    content: "tuple[Block, ...]"


Inline = Run | Sign | Wrapped | Deleted | Field | Ruby | Box | Note


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; `mark` is what happened to its mark (del, moveFrom, ins, vanish, …)."""

    content: tuple[Inline, ...]
    style: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Cell:
    """A table cell."""

    content: "tuple[Block, ...]"
    deleted: bool = False


@dataclass(frozen=True)
class Table:
    """A table of one row, deleted or not."""

    cells: tuple[Cell, ...]
    deleted: bool = False


@dataclass(frozen=True)
class Control:
    """Blocks in a content control."""

    content: "tuple[Block, ...]"


Block = Paragraph | Table | Control


@dataclass(frozen=True)
class Tree:
    """A document; `hides_all` is `w:vanish` in its defaults, `usual` its default style."""

    content: tuple[Block, ...]
    hides_all: bool = False
    usual: str = ""
    strict: bool = False


_leaves: st.SearchStrategy[Inline] = st.one_of(
    st.builds(Run, any_text),
    st.builds(Run, any_text, st.sampled_from((None, True, False)), st.sampled_from(("", "cH"))),
    st.builds(Run, any_text, st.none(), st.sampled_from(("", "cH", "cS", "unknown"))),
    st.builds(Sign, st.sampled_from(sorted(SIGNS))),
    st.builds(Ruby, any_text, any_text),
)


def _several(strategy: st.SearchStrategy[Inline]) -> st.SearchStrategy[tuple[Inline, ...]]:
    return st.lists(strategy, max_size=4).map(tuple)


def _inlines(blocks: "st.SearchStrategy[tuple[Block, ...]]") -> st.SearchStrategy[Inline]:
    deeper = st.recursive(
        _leaves,
        lambda inner: st.one_of(
            st.builds(Wrapped, st.sampled_from(WRAPPERS), _several(inner)),
            st.builds(Deleted, st.sampled_from(("del", "moveFrom")), _several(inner)),
            st.builds(Field, any_text, _several(inner)),
        ),
        max_leaves=4,
    )
    kinds = st.sampled_from(("footnote", "endnote"))
    return st.one_of(deeper, deeper, st.builds(Box, blocks), st.builds(Note, kinds, blocks))


_MARKS = ("", "", "", "del", "moveFrom", "ins", "moveTo", "vanish", "specVanish", "shown")


def _paragraphs(inline: st.SearchStrategy[Inline]) -> st.SearchStrategy[Block]:
    styles = st.sampled_from(("", "", "H", "HB", "S", "SB", "unknown"))
    return st.builds(Paragraph, _several(inline), styles, st.sampled_from(_MARKS))


def _some(block: st.SearchStrategy[Block], most: int = 3) -> st.SearchStrategy[tuple[Block, ...]]:
    return st.lists(block, max_size=most).map(tuple)


_simple = _some(_paragraphs(_leaves), 2)
_paragraph = _paragraphs(_inlines(_simple))
_rare = st.sampled_from((False, False, False, True))
_block = st.recursive(
    _paragraph,
    lambda inner: st.one_of(
        st.builds(Control, _some(inner, 2)),
        st.builds(Table, st.lists(st.builds(Cell, _some(inner, 2), _rare)).map(tuple), _rare),
    ),
    max_leaves=4,
)

trees = st.builds(
    Tree, _some(_block, 5), _rare, st.sampled_from(("", "", "", "H", "SB")), st.booleans()
)
"""Documents of a few blocks."""


def docx_of(tree: Tree) -> bytes:
    """Write a tree as a docx."""
    writer = _Writer()
    body = writer.blocks(tree.content)
    parts = {
        "word/document.xml": docx_notes_part("document", f"<w:body>{body}</w:body>"),
        "word/_rels/document.xml.rels": links(("styles", "footnotes", "endnotes")),
        "word/styles.xml": docx_notes_part("styles", _styles(tree)),
        "word/footnotes.xml": docx_notes_part("footnotes", "".join(writer.notes["footnote"])),
        "word/endnotes.xml": docx_notes_part("endnotes", "".join(writer.notes["endnote"])),
    }
    if tree.strict:
        parts = {name: _strict(content) for name, content in parts.items()}
    return docx_bytes([], extra_parts=parts)


def _strict(part: bytes) -> bytes:
    """The part in the namespaces of the strict standard."""
    for old, new in (
        (b"http://schemas.openxmlformats.org/wordprocessingml/2006", _PURL + b"wordprocessingml"),
        (b"http://schemas.openxmlformats.org/officeDocument/2006", _PURL + b"officeDocument"),
    ):
        part = part.replace(old, new)
    return part


def links(names: tuple[str, ...]) -> bytes:
    """The relations of the main part to parts beside it."""
    found = (
        f'<Relationship Id="{name}" Type="{_RELATIONS}/{name}" Target="{name}.xml"/>'
        for name in names
    )
    return f'<Relationships xmlns="{_PACKAGE}">{"".join(found)}</Relationships>'.encode()


def _styles(tree: Tree) -> str:
    def style(name: str, inner: str) -> str:
        kind = "character" if name.startswith("c") else "paragraph"
        default = ' w:default="1"' if name == tree.usual else ""
        return f'<w:style w:type="{kind}" w:styleId="{name}"{default}>{inner}</w:style>'

    own = "<w:rPr><w:vanish/></w:rPr>"
    shown = '<w:rPr><w:vanish w:val="0"/></w:rPr>'
    usual = f"<w:rPrDefault>{own if tree.hides_all else ''}</w:rPrDefault>"
    return "".join(
        (
            f"<w:docDefaults>{usual}</w:docDefaults>",
            style("HB", '<w:basedOn w:val="H"/>'),
            style("H", own),
            style("S", f'<w:basedOn w:val="H"/>{shown}'),
            style("SB", '<w:basedOn w:val="S"/>'),
            style("cH", own),
            style("cS", shown),
        )
    )


class _Writer:
    def __init__(self) -> None:
        self.notes: dict[str, list[str]] = {"footnote": [], "endnote": []}

    def blocks(self, blocks: tuple[Block, ...]) -> str:
        return "".join(map(self._block, blocks))

    def _block(self, block: Block) -> str:
        if isinstance(block, Control):
            return _control(self.blocks(block.content))
        if isinstance(block, Table):
            deleted = "<w:trPr><w:del/></w:trPr>" if block.deleted else ""
            cells = "".join(map(self._cell, block.cells))
            return f"<w:tbl><w:tr>{deleted}{cells}</w:tr></w:tbl>"
        value = ' w:val="false"' if block.mark == "shown" else ""
        name = "vanish" if block.mark == "shown" else block.mark
        mark = f"<w:rPr><w:{name}{value}/></w:rPr>" if name else ""
        style = f'<w:pStyle w:val="{block.style}"/>' if block.style else ""
        return f"<w:p><w:pPr>{style}{mark}</w:pPr>{self._inlines(block.content)}</w:p>"

    def _cell(self, cell: Cell) -> str:
        deleted = "<w:tcPr><w:cellDel/></w:tcPr>" if cell.deleted else ""
        return f"<w:tc>{deleted}{self.blocks(cell.content)}</w:tc>"

    def _inlines(self, inlines: tuple[Inline, ...]) -> str:
        return "".join(map(self._inline, inlines))

    def _inline(self, inline: Inline) -> str:
        match inline:
            case Run(text, direct, style):
                look = f'<w:rStyle w:val="{style}"/>' if style else ""
                if direct is not None:
                    look += f'<w:vanish w:val="{"on" if direct else "off"}"/>'
                return f"<w:r><w:rPr>{look}</w:rPr>{_text(text)}</w:r>"
            case Sign(xml):
                return f"<w:r>{xml}</w:r>"
            case Wrapped("sdt", content):
                return _control(self._inlines(content))
            case Wrapped(name, content) | Deleted(name, content):
                return f"<w:{name}>{self._inlines(content)}</w:{name}>"
            case Field(in_code, result):
                inner = _field(_code("PAGE"), f"{_OPEN}{_text(in_code)}</w:r>")
                return _field(_code("IF") + inner + _code(" = 1"), self._inlines(result))
            case Ruby(base, above):
                texts = f"<w:rt><w:r>{_text(above)}</w:r></w:rt>"
                texts += f"<w:rubyBase><w:r>{_text(base)}</w:r></w:rubyBase>"
                return f"<w:r><w:ruby><w:rubyPr/>{texts}</w:ruby></w:r>"
            case Box(content):
                return _box(self.blocks(content))
            case Note(kind, content):
                return self._note(kind, self.blocks(content))

    def _note(self, kind: str, content: str) -> str:
        # Notes stand in their part in any order.
        number = len(self.notes[kind])
        inner = f"<w:p><w:r><w:{kind}Ref/></w:r></w:p>{content}"
        self.notes[kind].insert(0, f'<w:{kind} w:id="{number}">{inner}</w:{kind}>')
        return f'{_OPEN}<w:{kind}Reference w:id="{number}"/></w:r>'


def _text(text: str) -> str:
    return f'<w:t xml:space="preserve">{xml_text(text)}</w:t>'


def _code(text: str) -> str:
    return f"{_OPEN}<w:instrText>{text}</w:instrText></w:r>"


def _field(code: str, result: str) -> str:
    begin, middle, end = (
        f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>' for kind in ("begin", "separate", "end")
    )
    return f"{begin}{code}{middle}{result}{end}"


def _control(content: str) -> str:
    return f"<w:sdt><w:sdtPr><w:alias/></w:sdtPr><w:sdtContent>{content}</w:sdtContent></w:sdt>"


def _box(content: str) -> str:
    box = f"<w:txbxContent>{content}</w:txbxContent>"
    choice = f'<mc:Choice Requires="wps"><w:drawing>{box}</w:drawing></mc:Choice>'
    fallback = f"<mc:Fallback><w:pict><v:textbox>{box}</v:textbox></w:pict></mc:Fallback>"
    return f"{_OPEN}<mc:AlternateContent>{choice}{fallback}</mc:AlternateContent></w:r>"
