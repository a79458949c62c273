"""Trees of what an OpenDocument text may hold: Hypothesis draws them, `odt_of` writes the file."""

from dataclasses import dataclass

from hypothesis import strategies as st

from tests.factory.documents import odt_bytes
from tests.support.any_text import any_text, xml_text

_ODF = "urn:oasis:names:tc:opendocument:xmlns"

HIDING_STYLES = {
    "paragraph": {"H": True, "HB": True, "S": False, "X": True},
    "text": {"H": True, "HB": True, "S": False, "X": False},
}
"""By family, what each style says about hiding; N says nothing, HB by its parent, X differs."""

SIGNS = {
    "<text:s/>": " ",
    '<text:s text:c="3"/>': "   ",
    '<text:s text:c="0"/>': " ",
    '<text:s text:c="-2"/>': " ",
    "<text:tab/>": "\t",
    "<text:line-break/>": "\n",
    "<text:soft-page-break/>": "",
    '<text:change text:change-id="1"/>': "",
    '<text:change-start text:change-id="2"/>': "",
    '<text:bookmark text:name="m"/>': "",
    "<office:annotation><text:p>kommentar</text:p></office:annotation>": "",
    "<office:annotation-end/>": "",
    "<text:script>kod</text:script>": "",
    "<text:page-number>7</text:page-number>": "7",
}
"""What may stand between letters, and what a reader sees of it."""


@dataclass(frozen=True)
class Text:
    """Letters and white space as they stand in the file."""

    text: str


@dataclass(frozen=True)
class Sign:
    """One of `SIGNS`."""

    xml: str


@dataclass(frozen=True)
class Span:
    """Inline content with a text style."""

    style: str
    content: "tuple[Inline, ...]"
    name: str = "span"


@dataclass(frozen=True)
class Ruby:
    """Text with another text above it."""

    base: "tuple[Inline, ...]"
    above: str


@dataclass(frozen=True)
class HideableField:
    """A field that its attributes hide or not."""

    name: str
    attributes: str
    text: str
    hidden: bool


@dataclass(frozen=True)
class HidingField:
    """A field that hides the paragraph it stands in, or not."""

    hides: bool


@dataclass(frozen=True)
class Box:
    """A frame with a text box, or a shape with text; `name` is its element."""

    name: str
    content: "tuple[Block, ...]"


@dataclass(frozen=True)
class Note:
    """A note of the class footnote or endnote."""

    kind: str
    content: "tuple[Block, ...]"


Inline = Text | Sign | Span | Ruby | HideableField | HidingField | Box | Note


@dataclass(frozen=True)
class Paragraph:
    """A paragraph, or a heading with its number."""

    style: str
    content: tuple[Inline, ...]
    heading: bool = False


@dataclass(frozen=True)
class Group:
    """Blocks in a list, a table, an index or a section; `hidden` by its attributes."""

    name: str
    content: "tuple[Block, ...]"
    hidden: bool = False


Block = Paragraph | Group | Box


@dataclass(frozen=True)
class Tree:
    """A document; `tracked` is the kind of change it keeps, `hides_all` its default style."""

    content: tuple[Block, ...]
    tracked: str = ""
    hides_all: bool = False


_styles = st.sampled_from(("", "", "", "N", "H", "HB", "S", "X", "unknown"))
_leaves: st.SearchStrategy[Inline] = st.one_of(
    st.builds(Text, any_text),
    st.builds(Text, any_text),
    st.builds(Sign, st.sampled_from(sorted(SIGNS))),
)
_FIELDS = (
    ("hidden-text", 'text:is-hidden="true" text:string-value="dold"', True),
    ("hidden-text", 'text:is-hidden="false"', False),
    ("hidden-text", "", False),
    ("variable-set", 'text:display="none"', True),
    ("variable-set", 'text:display="value"', False),
)
_BOXES = ("draw:frame", "draw:rect", "draw:custom-shape")


def _several(strategy: st.SearchStrategy[Inline]) -> st.SearchStrategy[tuple[Inline, ...]]:
    return st.lists(strategy, max_size=4).map(tuple)


def _inlines(blocks: "st.SearchStrategy[tuple[Block, ...]]") -> st.SearchStrategy[Inline]:
    field = st.builds(
        lambda kind, text: HideableField(kind[0], kind[1], text, kind[2]),
        st.sampled_from(_FIELDS),
        any_text,
    )
    special = st.one_of(
        field,
        st.builds(HidingField, st.sampled_from((False, False, True))),
        st.builds(Box, st.sampled_from(_BOXES), blocks),
        st.builds(Note, st.sampled_from(("footnote", "endnote")), blocks),
    )
    return st.recursive(
        st.one_of(_leaves, _leaves, special),
        lambda inner: st.one_of(
            st.builds(Span, _styles, _several(inner), st.sampled_from(("span", "a"))),
            st.builds(Ruby, _several(inner), any_text),
        ),
        max_leaves=5,
    )


def _some(block: st.SearchStrategy[Block], most: int = 3) -> st.SearchStrategy[tuple[Block, ...]]:
    return st.lists(block, max_size=most).map(tuple)


_simple = _some(st.builds(Paragraph, _styles, _several(_leaves)), 2)
_rare = st.sampled_from((False, False, False, True))
_block: st.SearchStrategy[Block] = st.recursive(
    st.one_of(
        st.builds(Paragraph, _styles, _several(_inlines(_simple)), st.booleans()),
        st.builds(Box, st.sampled_from(_BOXES), _simple),
    ),
    lambda inner: st.one_of(
        st.builds(Group, st.sampled_from(("list", "table", "index")), _some(inner)),
        st.builds(Group, st.sampled_from(("section", "conditional")), _some(inner), _rare),
    ),
    max_leaves=4,
)
_tracked = st.sampled_from(("", "insertion", "deletion", "format-change"))

trees = st.builds(Tree, _some(_block, 5), _tracked, _rare)
"""Documents of a few blocks."""


def odt_of(tree: Tree) -> bytes:
    """Write a tree as an odt."""
    region = (
        f"<text:tracked-changes><text:changed-region><text:{tree.tracked}><text:p>borta</text:p>"
        f"</text:{tree.tracked}></text:changed-region></text:tracked-changes>"
    )
    body = (region if tree.tracked else "") + "".join(map(xml_of, tree.content))
    return odt_bytes([], body_xml=body, extra_parts={"styles.xml": _style_part(tree.hides_all)})


def _style_part(hides_all: bool) -> bytes:
    def style(family: str, name: str, display: str, parent: str = "") -> str:
        properties = f'<style:text-properties text:display="{display}"/>' if display else ""
        above = f' style:parent-style-name="{parent}"' if parent else ""
        head = f'style:name="{name}" style:family="{family}"{above}'
        return f"<style:style {head}>{properties}</style:style>"

    styles = "".join(
        style(family, "HB", "", "H")
        + style(family, "H", "none")
        + style(family, "S", "true", "H")
        + style(family, "X", "none" if family == "paragraph" else "true")
        + style(family, "N", "", "L1")
        + style(family, "L1", "", "L1")
        for family in HIDING_STYLES
    )
    display = '<style:text-properties text:display="none"/>' if hides_all else ""
    default = f'<style:default-style style:family="paragraph">{display}</style:default-style>'
    names = " ".join(f'xmlns:{name}="{_ODF}:{name}:1.0"' for name in ("office", "style", "text"))
    return f"<office:styles {names}>{default}{styles}</office:styles>".encode()


def xml_of(node: Block | Inline) -> str:
    """Write one node and what is in it."""
    match node:
        case Text(text):
            return xml_text(text)
        case Sign(xml):
            return xml
        case Span(style, content, name):
            return f'<text:{name} text:style-name="{style}">{_all(content)}</text:{name}>'
        case Ruby(base, above):
            inner = f"<text:ruby-base>{_all(base)}</text:ruby-base>"
            return (
                f"<text:ruby>{inner}<text:ruby-text>{xml_text(above)}</text:ruby-text></text:ruby>"
            )
        case HideableField(name, attributes, text, _):
            return f"<text:{name} {attributes}>{xml_text(text)}</text:{name}>"
        case HidingField(hides):
            return f'<text:hidden-paragraph text:is-hidden="{"true" if hides else "false"}"/>'
        case Note(kind, content):
            body = f"<text:note-body>{_all(content)}</text:note-body>"
            head = "<text:note-citation>1</text:note-citation>"
            return f'<text:note text:note-class="{kind}">{head}{body}</text:note>'
        case Box() | Paragraph() | Group():
            return _block_xml(node)


def _block_xml(block: Block) -> str:
    match block:
        case Box(name, content):
            return _box(name, _all(content))
        case Paragraph(style, content, heading):
            name, number = ("h", "<text:number>1.1</text:number>") if heading else ("p", "")
            head = f'text:{name} text:style-name="{style}"'
            return f"<{head}>{number}{_all(content)}</text:{name}>"
        case Group(name, content, hidden):
            return _group(name, _all(content), hidden)


def _all(nodes: "tuple[Block | Inline, ...]") -> str:
    return "".join(map(xml_of, nodes))


def _box(name: str, content: str) -> str:
    if name != "draw:frame":
        return f"<{name}>{content}</{name}>"
    return f"<{name}><draw:text-box>{content}</draw:text-box><draw:image/></{name}>"


def _group(name: str, content: str, hidden: bool) -> str:
    match name:
        case "list":
            return f"<text:list><text:list-item>{content}</text:list-item></text:list>"
        case "table":
            covered = "<table:covered-table-cell><text:p>under</text:p></table:covered-table-cell>"
            row = f"<table:table-cell>{content}</table:table-cell>{covered}"
            return f"<table:table><table:table-row>{row}</table:table-row></table:table>"
        case "index":
            source = (
                "<text:table-of-content-source><text:p>x</text:p></text:table-of-content-source>"
            )
            body = f"{source}<text:index-body>{content}</text:index-body>"
            return f"<text:table-of-content>{body}</text:table-of-content>"
        case "conditional":
            state = f'text:display="condition" text:is-hidden="{"true" if hidden else "false"}"'
        case _:
            state = 'text:display="none"' if hidden else ""
    return f"<text:section {state}>{content}</text:section>"
