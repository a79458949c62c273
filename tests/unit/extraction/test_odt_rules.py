"""Rules of odt that a generated document seldom meets, one by one."""

import pytest

from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.readers import odt
from tests.factory.documents import odt_bytes
from tests.unit.extraction.helpers import extract, text_of

HIDDEN = ("HIDDEN_TEXT_PRESENT",)
_ODF = "urn:oasis:names:tc:opendocument:xmlns"
_NAMES = " ".join(f'xmlns:{name}="{_ODF}:{name}:1.0"' for name in ("office", "style", "text"))
_NONE = '<style:text-properties text:display="none"/>'


def _odt(body_xml: str, styles: str = "") -> tuple[str | None, tuple[str, ...]]:
    part = f"<office:document-styles {_NAMES}>{styles}</office:document-styles>"
    result = extract(odt_bytes([], body_xml=body_xml, extra_parts={"styles.xml": part.encode()}))
    return result.text, result.warnings


def _style(family: str, name: str, inner: str, parent: str = "") -> str:
    above = f'style:parent-style-name="{parent}"' if parent else ""
    head = f'style:family="{family}" style:name="{name}" {above}'
    return f"<style:style {head}>{inner}</style:style>"


def test_text_hidden_by_the_parent_of_a_style_is_left_out() -> None:
    styles = _style("paragraph", "A", _NONE) + _style("paragraph", "B", "", "A")
    body = '<text:p>syns</text:p><text:p text:style-name="B">dold</text:p>'
    assert _odt(body, styles) == ("syns", HIDDEN)


def test_text_hidden_by_the_default_style_is_left_out() -> None:
    default = f'<style:default-style style:family="paragraph">{_NONE}</style:default-style>'
    shown = '<style:text-properties text:display="true"/>'
    body = '<text:p>dold</text:p><text:p text:style-name="S">syns</text:p>'
    assert _odt(body, default + _style("paragraph", "S", shown)) == ("syns", HIDDEN)


def test_a_span_is_shown_in_a_paragraph_whose_style_hides() -> None:
    shown = '<style:text-properties text:display="true"/>'
    styles = _style("paragraph", "P", _NONE) + _style("text", "T", shown)
    span = '<text:span text:style-name="T">syns</text:span>'
    assert _odt(f'<text:p text:style-name="P">dold{span}</text:p>', styles) == ("syns", HIDDEN)


def test_styles_of_two_families_may_have_the_same_name() -> None:
    styles = _style("paragraph", "A", "") + _style("text", "A", _NONE)
    body = (
        '<text:p text:style-name="A">syns<text:span text:style-name="A">dold</text:span></text:p>'
    )
    assert _odt(body, styles) == ("syns", HIDDEN)


def test_white_and_tiny_text_is_read_as_nothing_says_that_it_is_hidden() -> None:
    fo = f'xmlns:fo="{_ODF}:xsl-fo-compatible:1.0"'
    white = f'<style:text-properties {fo} fo:color="#ffffff" fo:font-size="1pt"/>'
    body = '<text:p text:style-name="W">vit</text:p>'
    assert _odt(body, _style("paragraph", "W", white)) == ("vit", ())


@pytest.mark.parametrize(
    ("attributes", "seen"),
    [
        ('text:is-hidden="true" text:string-value="dold"', ("a b", HIDDEN)),
        ('text:is-hidden="false"', ("a ord b", ())),
        ("", ("a ord b", ())),
    ],
)
def test_a_hidden_text_field_says_itself_whether_it_is_hidden(
    attributes: str, seen: tuple[str, tuple[str, ...]]
) -> None:
    field = f"<text:hidden-text {attributes}>ord</text:hidden-text>"
    assert _odt(f"<text:p>a {field} b</text:p>") == seen


def test_a_hidden_paragraph_field_hides_its_paragraph() -> None:
    field = '<text:hidden-paragraph text:is-hidden="true"/>'
    body = f"<text:p>dold<text:span>{field}</text:span></text:p><text:p>syns</text:p>"
    assert _odt(body) == ("syns", HIDDEN)


def test_a_hidden_paragraph_field_in_a_text_box_hides_no_more_than_that_paragraph() -> None:
    inner = (
        '<text:p>dold<text:hidden-paragraph text:is-hidden="true"/></text:p><text:p>ruta</text:p>'
    )
    box = f"<draw:frame><draw:text-box>{inner}</draw:text-box></draw:frame>"
    assert _odt(f"<text:p>syns{box}</text:p>") == ("syns\n\nruta", HIDDEN)


def test_a_section_hidden_by_its_condition_is_left_out() -> None:
    state = 'text:display="condition" text:is-hidden="{}"'
    body = "".join(
        f"<text:section {state.format(hidden)}><text:p>{text}</text:p></text:section>"
        for hidden, text in (("true", "dold"), ("false", "syns"))
    )
    assert _odt(body) == ("syns", HIDDEN)


def test_the_number_of_a_heading_is_no_text() -> None:
    assert _odt("<text:h><text:number>1.1</text:number>Skog</text:h>") == ("Skog", ())


@pytest.mark.parametrize("shape", ["rect", "ellipse", "custom-shape", "g", "line"])
def test_text_in_a_shape_follows_its_paragraph(shape: str) -> None:
    inner = f"<draw:{shape}><text:p>form</text:p></draw:{shape}>"
    assert _odt(f"<text:p>en{inner} rad</text:p>") == ("en rad\n\nform", ())


def test_a_program_in_the_text_is_no_text() -> None:
    assert _odt("<text:p>a<text:script>alert(1)</text:script>b</text:p>") == ("ab", ())


@pytest.mark.parametrize(("count", "text"), [("0", "a b"), ("2", "a  b"), ("x", "a b")])
def test_a_space_element_never_glues_words(count: str, text: str) -> None:
    assert _odt(f'<text:p>a<text:s text:c="{count}"/>b</text:p>') == (text, ())


def test_white_space_beside_a_tab_or_a_space_element_stays() -> None:
    body = "<text:p>a <text:s/> b<text:tab/>  c\n<text:line-break/>d</text:p>"
    assert _odt(body) == ("a   b\t c\nd", ())


def test_footnotes_come_before_endnotes() -> None:
    def note(kind: str) -> str:
        body = f"<text:note-body><text:p>{kind}</text:p></text:note-body>"
        return f'<text:note text:note-class="{kind}">{body}</text:note>'

    body = f"<text:p>ord{note('endnote')}{note('footnote')}</text:p>"
    assert _odt(body) == ("ord\n\nfootnote\n\nendnote", ())


def test_words_of_a_note_within_a_note_are_not_lost() -> None:
    inner = "<text:note><text:note-body><text:p>inre</text:p></text:note-body></text:note>"
    note = f"<text:note><text:note-body><text:p>yttre{inner}</text:p></text:note-body></text:note>"
    assert _odt(f"<text:p>ord{note}</text:p>") == ("ord\n\nyttre\n\ninre", ())


def test_a_tracked_change_of_looks_alone_is_not_worth_a_warning() -> None:
    region = "<text:changed-region><text:format-change/></text:changed-region>"
    body = f"<text:tracked-changes>{region}</text:tracked-changes><text:p>text</text:p>"
    assert _odt(body) == ("text", ())


def test_a_comment_in_the_xml_does_not_split_a_word() -> None:
    assert text_of(odt_bytes([], body_xml="<text:p>hel<!-- x --><?y z?>het</text:p>")) == "helhet"


@pytest.mark.parametrize(
    "elements",
    [
        ("text:p",),
        ("text:span",),
        ("text:list", "text:list-item"),
        ("text:p", "draw:frame", "draw:text-box"),
        ("text:p", "text:note", "text:note-body"),
        ("table:table", "table:table-row", "table:table-cell"),
    ],
)
def test_the_deepest_nesting_that_the_parser_lets_through_is_read(
    elements: tuple[str, ...],
) -> None:
    names = (elements * 240)[:240]
    opening = "".join(f"<{name}>" for name in names)
    closing = "".join(f"</{name}>" for name in reversed(names))
    body = f"<text:p>{opening}<text:p>djupt</text:p>{closing}</text:p>"
    assert odt.read(odt_bytes([], body_xml=body), ExtractionLimits()).text == "djupt"
