"""What fuzzing begins with: small whole files of every format, and the words of each format."""

from functools import cache

from tests.factory import documents

READERS = ("txt", "md", "docx", "odt", "rtf", "html", "pdf")

_ESSAY = (
    "Åsa skriver om älvar",
    "Det var en gång en liten älv – hon hette Ö.\nHon bodde i en ”skog” långt norrut.",
    "Skulle hon visa sig? 1. Ja. 2. Nej; e\u0301 och a\u0308 \U0001d518 \u202eomvänt.",
)
_LATIN = ("A first line", "She said: it's time (again).\nSecond line, with Straße and café.")

_DOCX_BODY = (
    '<w:p><w:pPr><w:rPr><w:del w:id="1"/></w:rPr></w:pPr><w:r><w:t>ett</w:t></w:r></w:p>'
    '<w:p><w:ins w:id="2"><w:r><w:t xml:space="preserve">två </w:t></w:r></w:ins>'
    '<w:del w:id="3"><w:r><w:delText>bort</w:delText></w:r></w:del></w:p>'
    "<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>dold</w:t></w:r><w:r><w:tab/><w:br/><w:cr/>"
    '<w:noBreakHyphen/><w:softHyphen/><w:sym w:char="F0E0"/></w:r></w:p>'
    "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>cell</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"
    "<w:sdt><w:sdtContent><w:p><w:r><w:t>fält</w:t></w:r></w:p></w:sdtContent></w:sdt>"
    '<w:p><w:r><w:footnoteReference w:id="2"/><w:fldChar w:fldCharType="begin"/>'
    '<w:instrText>HYPERLINK "x"</w:instrText><w:fldChar w:fldCharType="separate"/>'
    '<w:t>länk</w:t><w:fldChar w:fldCharType="end"/></w:r></w:p>'
    "<w:p><w:r><mc:AlternateContent><mc:Choice><wps:txbx><w:txbxContent><w:p><w:r><w:t>ruta</w:t>"
    "</w:r></w:p></w:txbxContent></wps:txbx></mc:Choice><mc:Fallback><w:t>ruta</w:t>"
    "</mc:Fallback></mc:AlternateContent></w:r></w:p><m:oMath><m:r><m:t>x+1</m:t></m:r></m:oMath>"
)
_ODT_BODY = (
    '<text:tracked-changes><text:changed-region text:id="c1"><text:deletion><text:p>bort</text:p>'
    "</text:deletion></text:changed-region></text:tracked-changes>"
    '<text:h>Rubrik</text:h><text:p>a<text:s text:c="3"/>b<text:tab/><text:span>c</text:span>'
    '<text:change text:change-id="c1"/><text:line-break/>d<text:note text:note-class="footnote">'
    "<text:note-citation>1</text:note-citation><text:note-body><text:p>not</text:p>"
    "</text:note-body></text:note></text:p><text:list><text:list-item><text:p>punkt</text:p>"
    "</text:list-item></text:list><table:table><table:table-row><table:table-cell><text:p>cell"
    "</text:p></table:table-cell></table:table-row></table:table>"
    "<text:p><draw:frame><draw:text-box><text:p>ruta</text:p></draw:text-box></draw:frame></text:p>"
)
_RTF = (
    r"{\rtf1\ansi\ansicpg1252\deff0\uc1{\fonttbl{\f0\fswiss\fcharset0 Arial;}{\f1\fcharset204 T;}}"
    r"{\stylesheet{\s0 Normal;}}{\info{\title T}}\pard\plain\f0 Hej p\'e5 \u228?lven\par"
    r"{\deleted bort}{\revised in}{\v dold}{\footnote not}\tab\line {\field{\*\fldinst{HYPERLINK"
    '"x"}}{\\fldrslt l\\\'e4nk}}{\\shp{\\*\\shpinst{\\shptxt ruta\\par}}}\n'
    r"\trowd a\cell b\cell\row{\pict\bin5 ab{}c}{\*\unknown text}\f1\'e5\emdash\~\_\-\{\\\}}"
)
_HTML = (
    '<!DOCTYPE html><html><head><meta charset="utf-8"><style>p{color:red}</style></head><body>'
    '<!-- c --><h1>Rubrik</h1><p>a <b>b</b><i style="display:none">dold</i><br>c &amp; &#229;</p>'
    "<ul><li>x<li>y</ul><table><tr><td>1<td>2</table><pre>  a\n b</pre><p hidden>d</p>"
    "<svg><title>t</title></svg><template><p>u</p></template><select><option>o</select></body>"
)
_MD = (
    "---\ntitle: T\n---\n# Rubrik\n\nEn *rad* och **till** ~~ej~~ `kod` [länk](http://x 'y') "
    "![bild](z)\nrad\\\ntvå  \ntre &amp; <b>html</b>\n\n> citat\n> > mer\n\n- a\n  - b\n\n1. c\n\n"
    "```\nkod\n```\n\n| a | b |\n|---|:-:|\n| c | d |\n\n<div>\nblock\n</div>\n\n[ref]: /x 'y'\n\n"
    "    indraget\n\nRubrik\n===\n\n***\n"
)


@cache
def seeds(reader: str) -> tuple[bytes, ...]:
    """Whole files of one format; small, so that a change is likely to hit something."""
    made: dict[str, tuple[bytes, ...]] = {
        "txt": (
            documents.txt_bytes(_ESSAY),
            documents.txt_bytes(_LATIN, "cp1252"),
            documents.txt_bytes(_ESSAY, "utf-16"),
            "Жила-была девочка у моря. ".encode("cp1251") * 4,
        ),
        "md": (_MD.encode(), documents.md_bytes(_ESSAY)),
        "docx": (
            documents.docx_bytes(_ESSAY),
            *[documents.docx_bytes([], body_xml=_DOCX_BODY, extra_parts=_docx_parts())] * 5,
            documents.encrypted_docx_bytes(),
        ),
        "odt": (
            documents.odt_bytes(_ESSAY),
            *[documents.odt_bytes([], body_xml=_ODT_BODY)] * 5,
            documents.encrypted_odt_bytes(),
        ),
        "rtf": (documents.rtf_bytes(_ESSAY), _RTF.encode("ascii")),
        "html": (documents.html_bytes(_ESSAY), _HTML.encode()),
        "pdf": (
            documents.pdf_bytes(_LATIN, title="T"),
            documents.pdf_bytes(_LATIN, user_password=b""),
            documents.scanned_pdf_bytes(),
        ),
    }
    return made[reader]


def _docx_parts() -> dict[str, bytes]:
    note = '<w:footnote w:id="2"><w:p><w:r><w:t>not</w:t></w:r></w:p></w:footnote>'
    return {"word/footnotes.xml": documents.docx_notes_part("footnotes", note)}


_XML_WORDS = (
    "<!DOCTYPE a [<!ENTITY b 'c'>]>|&b;|<![CDATA[|]]>|<?x ?>|<!--|-->|&#0;|&#x110000;|&amp;|"
    "<?xml version='1.0' encoding='utf-16'?>|xmlns='x'|/>"
)
_WORDS = {
    "txt": "\ufeff|\u0300\u0323|\u00ad|\u2028|\x0c|\r|\x00|\x1b|\ud83d|\ufb01|\U000e0001| |\t",
    "md": "[|](|![|**|__|~~|`|```|> |- |1. |\n\n|\n|<div>|<!--|---|===|\\|&amp;|    |[a]: b|<http:",
    "docx": f"{_XML_WORDS}|<w:p>|</w:p>|<w:r>|<w:t>|</w:t>|<w:del>|<w:ins>|<w:vanish/>|<w:tbl>|"
    "<w:moveFrom>|<w:footnoteReference w:id='2'/>|<w:txbxContent>|<mc:Fallback>|w:val='0'",
    "odt": f"{_XML_WORDS}|<text:p>|</text:p>|<text:s text:c='99999999999'/>|<text:span>|<text:s/>|"
    "<text:tracked-changes>|<text:change text:change-id='c1'/>|<office:annotation>|<draw:frame>",
    "rtf": "{|}|\\par|\\bin9999999999|\\u-1|\\u9999999999|\\uc0|\\uc99999|\\'|\\'ff|\\*|\\v|\\v0|"
    "\\deleted|\\plain|\\fonttbl|\\f1|\\fcharset|\\ansicpg|\\footnote|\\shptxt|\\field|\\pict|;|\\",
    "html": "<div>|</div>|<p |<b>|</b>|<table>|</table>|<td>|<!--|-->|<script>|</script>|<svg>|<a |"
    "<template>|<select>|<plaintext>|hidden|style='display:none'|&#|&#x110000;|<br/>|\"|'|=|\x00",
    "pdf": "endstream|stream|endobj|obj|<<|>>|[|]|/Length|/Filter /FlateDecode|/Kids|/Count|"
    "/Parent|BT|ET|Tj|TJ|Tf|Tm|cm|q|Q|Do|-|99999999999|0.0000001|(|)|\\|<FEFF|%%EOF|startxref|trailer",
}


@cache
def words(reader: str) -> tuple[bytes, ...]:
    """Pieces that mean something in the format."""
    return tuple(
        word.encode("utf-8", "surrogatepass") for word in _WORDS[reader].split("|") if word
    )
