"""Rules of docx that a generated document seldom meets, one by one."""

import pytest

from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.readers import docx
from tests.factory.documents import docx_bytes, docx_notes_part
from tests.support.docx_trees import Paragraph, Run, Tree, docx_of, links
from tests.unit.extraction.helpers import extract, text_of

HIDDEN = ("HIDDEN_TEXT_PRESENT",)
_VANISH = "<w:rPr><w:vanish/></w:rPr>"


def _r(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def _p(text: str, mark: str = "", style: str = "") -> str:
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f"<w:p><w:pPr>{named}<w:rPr>{mark}</w:rPr></w:pPr>{_r(text)}</w:p>"


def _docx(body_xml: str) -> str:
    return text_of(docx_bytes([], body_xml=body_xml))


def _styled(body_xml: str, styles: bytes) -> tuple[str | None, tuple[str, ...]]:
    parts = {"word/_rels/document.xml.rels": links(("styles",)), "word/styles.xml": styles}
    result = extract(docx_bytes([], body_xml=body_xml, extra_parts=parts))
    return result.text, result.warnings


def _style(name: str, inner: str, attributes: str = "") -> str:
    return f'<w:style w:styleId="{name}" {attributes}>{inner}</w:style>'


def test_text_hidden_by_the_defaults_of_the_document_is_left_out() -> None:
    defaults = f"<w:docDefaults><w:rPrDefault>{_VANISH}</w:rPrDefault></w:docDefaults>"
    shown = _r("syns", '<w:vanish w:val="0"/>')
    body = f"<w:p>{_r('dold')}{shown}</w:p>"
    assert _styled(body, docx_notes_part("styles", defaults)) == ("syns", HIDDEN)


def test_text_hidden_by_the_default_paragraph_style_is_left_out() -> None:
    styles = _style("N", _VANISH, 'w:type="paragraph" w:default="1"') + _style("S", "")
    body = _p("dold") + _p("syns", style="S")
    assert _styled(body, docx_notes_part("styles", styles)) == ("syns", HIDDEN)


def test_two_styles_that_hide_show_the_text_again() -> None:
    styles = docx_notes_part("styles", _style("P", _VANISH) + _style("C", _VANISH))
    both = _r("syns", '<w:rStyle w:val="C"/>')
    body = f'<w:p><w:pPr><w:pStyle w:val="P"/></w:pPr>{both}{_r("dold")}</w:p>'
    assert _styled(body, styles) == ("syns", HIDDEN)


def test_a_style_may_show_what_the_style_below_it_hides() -> None:
    shown = '<w:basedOn w:val="P"/><w:rPr><w:vanish w:val="false"/></w:rPr>'
    styles = docx_notes_part("styles", _style("P", _VANISH) + _style("S", shown))
    assert _styled(_p("syns", style="S"), styles) == ("syns", ())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_styles_hide_in_every_encoding_of_a_part(encoding: str) -> None:
    part = docx_notes_part("styles", _style("P", _VANISH)).decode().replace("UTF-8", encoding)
    assert _styled(_p("syns") + _p("dold", style="P"), part.encode(encoding)) == ("syns", HIDDEN)


def test_text_hidden_in_a_browser_only_is_read() -> None:
    assert _docx(f"<w:p>{_r('syns', '<w:webHidden/>')}</w:p>") == "syns"


def test_white_and_tiny_text_is_read_as_nothing_says_that_it_is_hidden() -> None:
    white = _r("vit", '<w:color w:val="FFFFFF"/>')
    tiny = _r(" liten", '<w:sz w:val="2"/>')
    assert _docx(f"<w:p>{white}{tiny}</w:p>") == "vit liten"


@pytest.mark.parametrize("mark", ["<w:vanish/>", "<w:specVanish/>", "<w:vanish/><w:specVanish/>"])
def test_a_hidden_paragraph_mark_joins_the_two_paragraphs(mark: str) -> None:
    assert _docx(_p("Rubrik. ", mark) + _p("Text.")) == "Rubrik. Text."


def test_a_deleted_paragraph_mark_does_not_glue_a_paragraph_to_a_table() -> None:
    table = f"<w:tbl><w:tr><w:tc>{_p('cell')}</w:tc></w:tr></w:tbl>"
    assert _docx(f"{_p('före', '<w:del/>')}{table}{_p('efter')}") == "före\n\ncell\n\nefter"


def test_a_deleted_table_between_does_not_part_joined_paragraphs() -> None:
    row = f"<w:tr><w:trPr><w:del/></w:trPr><w:tc>{_p('bort')}</w:tc></w:tr>"
    assert _docx(f"{_p('en ', '<w:del/>')}<w:tbl>{row}</w:tbl>{_p('rad')}") == "en rad"


def test_a_character_that_only_the_fallback_knows_is_read_from_there() -> None:
    emoji = '<x:symEx xmlns:x="urn:x" x:char="1F600"/>'
    branches = (
        f'<mc:Choice Requires="x">{emoji}</mc:Choice><mc:Fallback><w:t>😀</w:t></mc:Fallback>'
    )
    inner = f"<w:r><mc:AlternateContent>{branches}</mc:AlternateContent></w:r>"
    assert _docx(f"<w:p>{_r('glad ')}{inner}{_r(' katt')}</w:p>") == "glad 😀 katt"


def test_a_field_whose_end_is_lost_hides_no_more_than_its_paragraph() -> None:
    begin = '<w:r><w:fldChar w:fldCharType="begin"/><w:instrText>IF</w:instrText></w:r>'
    assert _docx(f"{_p('a')}<w:p>{_r('b')}{begin}</w:p>{_p('c')}") == "a\n\nb\n\nc"


def test_the_field_goes_on_after_a_hidden_run() -> None:
    def mark(kind: str) -> str:
        return f'<w:r><w:rPr><w:vanish/></w:rPr><w:fldChar w:fldCharType="{kind}"/></w:r>'

    field = f"{mark('begin')}<w:r><w:instrText>XE</w:instrText></w:r>{mark('end')}"
    assert _docx(f"<w:p>{_r('a')}{field}{_r('b')}</w:p>") == "ab"


@pytest.mark.parametrize(
    ("symbol", "text"),
    [
        ('w:font="Symbol" w:char="F061"', "aαb"),
        ('w:font="Symbol" w:char="00B3"', "a≥b"),
        ('w:font="Wingdings" w:char="F0FC"', "a✓b"),
        ('w:font="Arial" w:char="2192"', "a→b"),
        ('w:font="Wingdings" w:char="2192"', "a→b"),
        ('w:font="Arial" w:char="D55C"', "a한b"),
        ('w:font="Webdings" w:char="F04A"', "a b"),
        ('w:char="D800"', "a b"),
        ('w:char="å"', "a b"),
        ("", "a b"),
    ],
)
def test_a_symbol_is_its_character_or_a_space(symbol: str, text: str) -> None:
    assert _docx(f"<w:p>{_r('a')}<w:r><w:sym {symbol}/></w:r>{_r('b')}</w:p>") == text


def _m(text: str) -> str:
    return f"<m:r><m:t>{text}</m:t></m:r>"


def _e(text: str) -> str:
    return f"<m:e>{_m(text)}</m:e>"


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (f"<m:f><m:num>{_m('ab')}</m:num><m:den>{_m('cd')}</m:den></m:f>", "ab/cd"),
        (f"<m:m><m:mr>{_e('a')}{_e('b')}</m:mr><m:mr>{_e('c')}</m:mr></m:m>", "a b c"),
        (f"<m:func><m:fName>{_m('sin')}</m:fName>{_e('x')}</m:func>", "sin x"),
        (f"{_m('f')}<m:d>{_e('x')}{_e('y')}</m:d>", "f(x y)"),
        (f'<m:d><m:dPr><m:begChr m:val="["/><m:endChr m:val=""/></m:dPr>{_e("x")}</m:d>', "[x"),
        (f"<m:sSup>{_e('x')}<m:sup>{_m('2')}</m:sup></m:sSup>", "x2"),
        (f"<m:limLow>{_e('max')}<m:lim>{_m('x')}</m:lim></m:limLow>", "max x"),
    ],
)
def test_parts_of_a_formula_that_stand_apart_are_not_glued(formula: str, text: str) -> None:
    assert _docx(f"<w:p><m:oMath>{formula}</m:oMath></w:p>") == text


def test_a_formula_on_a_line_of_its_own_is_not_glued_to_the_text() -> None:
    formula = f"<m:oMathPara><m:oMath>{_m('y=x')}</m:oMath></m:oMathPara>"
    assert _docx(f"<w:p>{_r('se')}{formula}{_r('där')}</w:p>") == "se\ny=x\ndär"


def test_hidden_mathematics_is_left_out_with_a_warning() -> None:
    hidden = f"<m:oMath><m:r>{_VANISH}<m:t>x</m:t></m:r></m:oMath>"
    result = extract(docx_bytes([], body_xml=f"<w:p>{_r('syns')}{hidden}</w:p>"))
    assert (result.text, result.warnings) == ("syns", HIDDEN)


def test_a_comment_in_the_xml_does_not_split_a_word() -> None:
    assert _docx("<w:p><w:r><w:t>hel<!-- x --><?y z?>het</w:t></w:r></w:p>") == "helhet"


def test_a_strict_document_is_read_with_its_styles_and_notes() -> None:
    content = (Paragraph((Run("syns"), Run("dold", style="cH"))),)
    result = extract(docx_of(Tree(content, strict=True)))
    assert (result.text, result.warnings) == ("syns", HIDDEN)


def test_the_main_part_may_have_its_type_by_its_suffix() -> None:
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    types = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        f'<Default Extension="XML" ContentType="{kind}"/></Types>'
    )
    data = docx_bytes(
        ["Hej"], main_part="word/main.xml", extra_parts={"[Content_Types].xml": types.encode()}
    )
    assert text_of(data) == "Hej"


@pytest.mark.parametrize(
    "elements",
    [
        ("w:p",),
        ("w:tbl", "w:tr", "w:tc"),
        ("w:sdt", "w:sdtContent"),
        ("w:p", "w:r", "w:txbxContent"),
        ("mc:AlternateContent", "mc:Choice"),
        ("w:ins", "w:r"),
        ("m:d", "m:e"),
    ],
)
def test_the_deepest_nesting_that_the_parser_lets_through_is_read(
    elements: tuple[str, ...],
) -> None:
    names = (elements * 240)[:240]
    opening = "".join(f"<{name}>" for name in names)
    closing = "".join(f"</{name}>" for name in reversed(names))
    body = f"{opening}<w:p>{_r('djupt')}</w:p>{closing}"
    text = docx.read(docx_bytes([], body_xml=body), ExtractionLimits()).text
    assert text.strip("()\n") == "djupt"
