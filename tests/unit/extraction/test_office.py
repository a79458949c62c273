"""docx, odt and rtf: what a teacher sees in the word processor, no more and no less."""

import pytest

from tests.factory.documents import docx_bytes, docx_notes_part, odt_bytes
from tests.unit.extraction.helpers import extract, text_of

TRACKED = ("TRACKED_CHANGES_RESOLVED",)
HIDDEN = ("HIDDEN_TEXT_PRESENT",)


def _r(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def _docx(body_xml: str, **parts: bytes) -> tuple[str | None, tuple[str, ...]]:
    extra = {f"word/{name}.xml": content for name, content in parts.items()}
    if parts:
        kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
        links = "".join(
            f'<Relationship Id="r{i}" Type="{kind}/{name}" Target="{name}.xml"/>'
            for i, name in enumerate(parts)
        )
        extra["word/_rels/document.xml.rels"] = (
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            f"{links}</Relationships>"
        ).encode()
    result = extract(docx_bytes([], body_xml=body_xml, extra_parts=extra))
    return result.text, result.warnings


def _odt(body_xml: str) -> tuple[str | None, tuple[str, ...]]:
    result = extract(odt_bytes([], body_xml=body_xml))
    return result.text, result.warnings


def _rtf(body: str) -> tuple[str | None, tuple[str, ...]]:
    result = extract(f"{{\\rtf1\\ansi\\ansicpg1252 {body}}}".encode("latin-1"))
    return result.text, result.warnings


def test_a_tracked_deletion_does_not_appear_in_docx() -> None:
    deleted = "<w:del><w:r><w:delText>bort</w:delText></w:r></w:del>"
    assert _docx(f"<w:p>{_r('kvar')}{deleted}</w:p>") == ("kvar", TRACKED)


def test_text_moved_away_appears_once_in_docx() -> None:
    body = f"<w:p><w:moveFrom>{_r('flytt')}</w:moveFrom>{_r('a')}</w:p>"
    body += f"<w:p><w:moveTo>{_r('flytt')}</w:moveTo></w:p>"
    assert _docx(body) == ("a\n\nflytt", TRACKED)


def test_a_tracked_insertion_appears_in_docx() -> None:
    assert _docx(f"<w:p>{_r('a')}<w:ins>{_r('b')}</w:ins></w:p>") == ("ab", TRACKED)


def test_a_deleted_paragraph_mark_joins_in_docx() -> None:
    body = f"<w:p><w:pPr><w:rPr><w:del/></w:rPr></w:pPr>{_r('en ')}</w:p><w:p>{_r('rad')}</w:p>"
    assert _docx(body) == ("en rad", TRACKED)


def test_a_deleted_table_row_does_not_appear_in_docx() -> None:
    row = "<w:tr>{}<w:tc><w:p>" + _r("{}") + "</w:p></w:tc></w:tr>"
    rows = row.format("<w:trPr><w:del/></w:trPr>", "bort") + row.format("", "kvar")
    assert _docx(f"<w:tbl>{rows}</w:tbl>") == ("kvar", TRACKED)


@pytest.mark.parametrize(
    ("element", "text"),
    [
        ("<w:tab/>", "a\tb"),
        ("<w:br/>", "a\nb"),
        ("<w:cr/>", "a\nb"),
        ("<w:noBreakHyphen/>", "a-b"),
        ("<w:softHyphen/>", "ab"),
        ('<w:sym w:font="Wingdings" w:char="F0E0"/>', "a→b"),
    ],
)
def test_marks_between_words_never_glue_them_in_docx(element: str, text: str) -> None:
    assert _docx(f"<w:p><w:r><w:t>a</w:t>{element}<w:t>b</w:t></w:r></w:p>") == (text, ())


def test_a_content_control_appears_once_in_docx() -> None:
    inner = f"<w:sdt><w:sdtPr/><w:sdtContent>{_r('inne')}</w:sdtContent></w:sdt>"
    outer = f"<w:sdt><w:sdtContent><w:p>{inner}</w:p></w:sdtContent></w:sdt>"
    assert _docx(f"{outer}<w:p>{_r('ute')}</w:p>") == ("inne\n\nute", ())


def test_a_text_box_appears_once_after_its_paragraph_in_docx() -> None:
    box = f"<w:txbxContent><w:p>{_r('ruta')}</w:p></w:txbxContent>"
    choice = f'<mc:Choice Requires="wps"><wps:txbx>{box}</wps:txbx></mc:Choice>'
    fallback = f"<mc:Fallback><w:pict><v:textbox>{box}</v:textbox></w:pict></mc:Fallback>"
    branches = f"<mc:AlternateContent>{choice}{fallback}</mc:AlternateContent>"
    body = f"<w:p>{_r('före')}<w:r>{branches}</w:r>{_r(' efter')}</w:p>"
    assert _docx(body) == ("före efter\n\nruta", ())


@pytest.mark.parametrize("value", ["", 'w:val="1"', 'w:val="true"'])
def test_hidden_text_is_left_out_of_docx_with_a_warning(value: str) -> None:
    hidden = _r("dold", f"<w:vanish {value}/>")
    assert _docx(f"<w:p>{_r('syns')}{hidden}</w:p>") == ("syns", HIDDEN)


def test_text_that_only_could_be_hidden_is_read_in_docx() -> None:
    shown = _r("syns", '<w:vanish w:val="0"/>')
    assert _docx(f"<w:p>{shown}{_r(' ', '<w:vanish/>')}</w:p>") == ("syns", ())


def test_text_hidden_by_a_style_is_left_out_of_docx() -> None:
    styles = docx_notes_part(
        "styles",
        '<w:style w:styleId="A"><w:rPr><w:vanish/></w:rPr></w:style>'
        '<w:style w:styleId="B"><w:basedOn w:val="A"/></w:style>'
        '<w:style w:styleId="L1"><w:basedOn w:val="L1"/></w:style>',
    )
    hidden = _r("dold", '<w:rStyle w:val="B"/>')
    body = f"<w:p>{_r('syns')}{hidden}</w:p>"
    body += f'<w:p><w:pPr><w:pStyle w:val="B"/></w:pPr>{_r("dold")}</w:p>'
    assert _docx(body, styles=styles) == ("syns", HIDDEN)


def test_notes_follow_the_body_in_order_and_comments_and_headers_do_not_appear_in_docx() -> None:
    def notes(kind: str, prefix: str) -> bytes:
        note = f'<w:{kind} w:id="{{}}"><w:p><w:r><w:{kind}Ref/></w:r>{_r(prefix + "{}")}</w:p>'
        return docx_notes_part(
            f"{kind}s", "".join(f"{note.format(i, i)}</w:{kind}>" for i in (0, 1, 2))
        )

    references = (
        '<w:r><w:endnoteReference w:id="1"/></w:r><w:r><w:footnoteReference w:id="2"/></w:r>'
        '<w:r><w:footnoteReference w:id="1"/></w:r><w:r><w:commentReference w:id="1"/></w:r>'
    )
    comment = docx_notes_part("comments", f'<w:comment w:id="1"><w:p>{_r("nej")}</w:p></w:comment>')
    text, _ = _docx(
        f"<w:p>{_r('ord')}{references}{_r(' mer')}</w:p>",
        footnotes=notes("footnote", "fot"),
        endnotes=notes("endnote", "slut"),
        comments=comment,
        header1=docx_notes_part("hdr", f"<w:p>{_r('sidhuvud')}</w:p>"),
    )
    assert text == "ord mer\n\nfot2\n\nfot1\n\nslut1"


def test_field_codes_do_not_appear_and_field_results_do_in_docx() -> None:
    field = f"<w:r><w:instrText>PAGE</w:instrText></w:r>{_r('7')}"
    assert _docx(f"<w:p>{_r('sida ')}{field}</w:p>") == ("sida 7", ())


@pytest.mark.parametrize("part", ["word/document2.xml", "Word/Main.xml", "document.xml"])
def test_the_main_part_of_a_docx_is_found_by_its_relation(part: str) -> None:
    assert text_of(docx_bytes(["Hej"], main_part=part)) == "Hej"


def test_nested_spans_and_spaces_are_read_as_odt_means_them() -> None:
    spans = "<text:span>b<text:span>c</text:span>d</text:span>"
    assert _odt(f"<text:p>  a\n   {spans}<text:s text:c='2'/>e<text:tab/>f</text:p>") == (
        "a bcd  e\tf",
        (),
    )


@pytest.mark.parametrize("count", ["2000000000", "9" * 5_000])
def test_a_huge_repeat_count_is_capped_in_odt(count: str) -> None:
    text, _ = _odt(f"<text:p>a<text:s text:c='{count}'/>b</text:p>")
    assert text == "a" + " " * 100 + "b"


def test_a_tracked_deletion_does_not_appear_in_odt() -> None:
    region = "<text:changed-region><text:deletion><text:p>bort</text:p></text:deletion>"
    changes = f"<text:tracked-changes>{region}</text:changed-region></text:tracked-changes>"
    body = f"{changes}<text:p>kvar<text:change/> här</text:p>"
    assert _odt(body) == ("kvar här", TRACKED)


def test_text_boxes_appear_once_notes_last_and_comments_not_in_odt() -> None:
    note = (
        "<text:note><text:note-citation>1</text:note-citation>"
        "<text:note-body><text:p>not</text:p></text:note-body></text:note>"
    )
    comment = "<office:annotation><text:p>nej</text:p></office:annotation>"
    box = "<draw:frame><draw:text-box><text:p>ruta</text:p></draw:text-box></draw:frame>"
    body = f"<text:p>ord{note}{comment}{box} mer</text:p><text:p>slut</text:p>"
    assert _odt(body) == ("ord mer\n\nruta\n\nslut\n\nnot", ())


def test_hidden_text_is_left_out_of_odt_with_a_warning() -> None:
    section = '<text:section text:display="none"><text:p>dold</text:p></text:section>'
    assert _odt(f"<text:p>syns</text:p>{section}") == ("syns", HIDDEN)


def test_lists_and_tables_are_paragraphs_in_odt() -> None:
    items = "".join(f"<text:list-item><text:p>{i}</text:p></text:list-item>" for i in "ab")
    cells = "".join(f"<table:table-cell><text:p>{i}</text:p></table:table-cell>" for i in "cd")
    table = f"<table:table><table:table-row>{cells}</table:table-row></table:table>"
    assert _odt(f"<text:list>{items}</text:list>{table}") == ("a\n\nb\n\nc\n\nd", ())


@pytest.mark.parametrize("word", ["deleted", "mvf"])
def test_a_tracked_deletion_does_not_appear_in_rtf(word: str) -> None:
    body = rf"a{{\{word}\revauthdel1 bort{{\b fet}}\'e5\u229?}}b\{word} x\par y\{word}0  c\par"
    assert _rtf(body) == ("ab c", TRACKED)


def test_hidden_text_is_left_out_of_rtf_with_a_warning() -> None:
    assert _rtf(r"a{\v dold}b\v dold\v0 c\v x\plain d") == ("abcd", HIDDEN)


def test_letters_of_every_spelling_are_read_in_rtf() -> None:
    body = r"\'e5\u228?{\uc2\u246 xx}\u-10179?\u-8704?\emdash\lquote x\rquote a\~b\_c " + "\xe5"
    assert _rtf(body) == ("åäö😀—‘x’a\xa0b-c å", ())


def test_notes_and_text_boxes_follow_the_body_once_in_rtf() -> None:
    box = r"{\shp{\*\shpinst{\sp{\sn x}{\sv 1}}{\shptxt ruta\par}}{\shprslt ruta}}"
    note = r"{\footnote\pard\plain {\super\chftn} not}"
    assert _rtf(rf"ord{note}{box} mer\par slut") == ("ord mer\n\nslut\n\nruta\n\nnot", ())


def test_headers_comments_pictures_and_field_codes_do_not_appear_in_rtf() -> None:
    picture = r"{\pict\pngblip 89504e47}{\*\shppict{\pict\bin4 }}{{}}"
    field = r'{\field{\*\fldinst{HYPERLINK "x"}}{\fldrslt länk}}'
    body = rf"{{\header huvud}}a{{\*\annotation nej}}{picture} {field}{{\info{{\title T}}}}"
    assert _rtf(body) == ("a länk", ())
