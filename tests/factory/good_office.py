"""Good essays as docx and odt: what word processors write, with all that must not be read."""

import zipfile
from collections.abc import Mapping
from io import BytesIO

from huleedu_dagster.domain.outcomes import Warn
from tests.factory.bombs import with_zeros
from tests.factory.case import Case, essay, joined
from tests.factory.documents import docx_bytes, docx_notes_part, odt_bytes, zip_bytes

_TRACKED = (Warn.TRACKED_CHANGES_RESOLVED,)
_HIDDEN = (Warn.HIDDEN_TEXT_PRESENT,)
_RELATIONS = '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
_KIND = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_MAIN = "word/document.xml"
_GIB = 1024**3


def office_cases() -> list[Case]:
    """The cases of this module."""
    return [*_docx_plain(), *_docx_changed(), *_docx_parts(), *_odt_plain(), *_odt_changed()]


def docx_with_parts(body_xml: str, parts: Mapping[str, bytes]) -> bytes:
    """A docx whose main part is related to further parts of `word/`, by name."""
    links = "".join(
        f'<Relationship Id="r{number}" Type="{_KIND}/{name}" Target="{name}.xml"/>'
        for number, name in enumerate(parts)
    )
    extra = {f"word/{name}.xml": content for name, content in parts.items()}
    extra["word/_rels/document.xml.rels"] = f"{_RELATIONS}{links}</Relationships>".encode()
    return docx_bytes([], body_xml=body_xml, extra_parts=extra)


def _r(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def _p(*runs: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr>{''.join(runs)}</w:p>"


def _docx_plain() -> list[Case]:
    plain, marked, elsewhere, named = (essay(f"docx {it}") for it in range(4))
    macro, picture = essay("docm"), essay("docx picture")
    types = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Override PartName="/word/document.xml" '
        'ContentType="application/vnd.ms-word.document.macroEnabled.main+xml"/></Types>'
    )
    breaks = _p(
        "<w:r><w:t>semi</w:t><w:noBreakHyphen/><w:t>final</w:t><w:tab/><w:t>tab</w:t></w:r>"
    )
    picture_part = "word/media/image1.bmp"
    return [
        Case("docx/plain.docx", lambda: docx_bytes(plain), joined(plain)),
        Case(
            "docx/other main part.docx",
            lambda: docx_bytes(elsewhere, main_part="word/document2.xml"),
            joined(elsewhere),
        ),
        Case("docx/named.pdf", lambda: docx_bytes(named), joined(named)),
        Case(
            "docx/macros.docm",
            lambda: docx_bytes(
                macro,
                extra_parts={
                    "[Content_Types].xml": types.encode(),
                    "word/vbaProject.bin": b"\xd0\xcf\x11\xe0" * 100,
                },
            ),
            joined(macro),
        ),
        Case(
            "docx/marks.docx",
            lambda: docx_bytes([], body_xml=breaks + "".join(_p(_r(it)) for it in marked)),
            joined(["semi-final\ttab", *marked]),
        ),
        Case(
            "docx/2 GB picture.docx",
            lambda: with_zeros(docx_bytes(picture), picture_part, 2 * _GIB),
            joined(picture),
        ),
        *_docx_of_other_writers(),
    ]


def _docx_of_other_writers() -> list[Case]:
    wide, strict, slashed = (essay(f"docx by another {it}") for it in range(3))
    purl = "http://purl.oclc.org/ooxml"
    body = "".join(_p(_r(it)) for it in wide)
    wide_xml = f'<?xml version="1.0" encoding="UTF-16"?><w:document xmlns:w="{_W}"><w:body>{body}'
    strict_xml = (
        f'<w:document xmlns:w="{purl}/wordprocessingml/main"><w:body>'
        f"{''.join(_p(_r(it)) for it in strict)}</w:body></w:document>"
    )
    strict_links = (
        f'{_RELATIONS}<Relationship Id="r" Target="/word/document.xml" '
        f'Type="{purl}/officeDocument/relationships/officeDocument"/></Relationships>'
    )
    return [
        Case(
            "docx/utf-16 inside.docx",
            lambda: docx_bytes(
                [],
                extra_parts={_MAIN: f"{wide_xml}</w:body></w:document>".encode("utf-16")},
            ),
            joined(wide),
        ),
        Case(
            "docx/strict.docx",
            lambda: docx_bytes(
                [],
                extra_parts={_MAIN: strict_xml.encode(), "_rels/.rels": strict_links.encode()},
            ),
            joined(strict),
        ),
        Case(
            "docx/backslashes.docx",
            lambda: docx_bytes(slashed).replace(b"word/document.xml", b"word\\document.xml"),
            joined(slashed),
        ),
    ]


def _docx_changed() -> list[Case]:
    first, second = essay("docx tracked", 2)
    deleted = "<w:del><w:r><w:delText>secret</w:delText></w:r></w:del>"
    moved = f"<w:moveFrom>{_r('A moved end.')}</w:moveFrom>"
    mark_gone = "<w:rPr><w:del/></w:rPr>"
    tracked = (
        _p(_r(first), deleted, f"<w:ins>{_r(' Added.')}</w:ins>", moved)
        + _p(_r("Joined "), properties=mark_gone)
        + _p(_r(second))
        + _p(f"<w:moveTo>{_r('A moved end.')}</w:moveTo>")
    )
    styles = docx_notes_part(
        "styles", '<w:style w:styleId="Dim"><w:rPr><w:vanish/></w:rPr></w:style>'
    )
    hidden = (
        _p(_r(first), _r(" secret", "<w:vanish/>"))
        + _p(_r("secret"), properties='<w:pStyle w:val="Dim"/>')
        + _p(_r(second, '<w:vanish w:val="0"/>'))
    )
    return [
        Case(
            "docx/tracked.docx",
            lambda: docx_bytes([], body_xml=tracked),
            joined([f"{first} Added.", f"Joined {second}", "A moved end."]),
            warnings=_TRACKED,
        ),
        Case(
            "docx/hidden.docx",
            lambda: docx_with_parts(hidden, {"styles": styles}),
            joined([first, second]),
            warnings=_HIDDEN,
        ),
    ]


def _docx_parts() -> list[Case]:
    first, second = essay("docx parts", 2)
    inner = f"<w:txbxContent>{_p(_r('In the box.'))}</w:txbxContent>"
    box = (
        "<w:r><mc:AlternateContent>"
        f'<mc:Choice Requires="wps"><wps:txbx>{inner}</wps:txbx></mc:Choice>'
        f"<mc:Fallback><w:pict><v:textbox>{inner}</v:textbox></w:pict></mc:Fallback>"
        "</mc:AlternateContent></w:r>"
    )
    control = f"<w:sdt><w:sdtPr/><w:sdtContent>{_p(_r(second))}</w:sdtContent></w:sdt>"
    cells = "".join(f"<w:tc>{_p(_r(it))}</w:tc>" for it in ("A cell", "Another cell"))
    mark = '<w:r><w:{}Reference w:id="2"/></w:r>'
    notes = _p(_r(first), mark.format("endnote"), mark.format("footnote"), mark.format("comment"))

    def part(root: str, kind: str, said: str) -> bytes:
        return docx_notes_part(root, f'<w:{kind} w:id="2">{_p(_r(said))}</w:{kind}>')

    return [
        Case(
            "docx/box.docx",
            lambda: docx_bytes(
                [], body_xml=_p(_r(first), box) + control + f"<w:tbl><w:tr>{cells}</w:tr></w:tbl>"
            ),
            joined([first, "In the box.", second, "A cell", "Another cell"]),
        ),
        Case(
            "docx/notes.docx",
            lambda: docx_with_parts(
                notes,
                {
                    "footnotes": part("footnotes", "footnote", "At the foot."),
                    "endnotes": part("endnotes", "endnote", "At the end."),
                    "comments": part("comments", "comment", "secret"),
                    "header1": docx_notes_part("hdr", _p(_r("secret"))),
                },
            ),
            joined([first, "At the foot.", "At the end."]),
        ),
    ]


def _odt_plain() -> list[Case]:
    plain, named, spans = essay("odt"), essay("odt named"), essay("odt spans", 1)
    again = essay("odt packed again")
    spaced = (
        f"<text:h>A  day\n out</text:h><text:p>{spans[0]}<text:s text:c='2'/>"
        "<text:span>bo<text:span>ld</text:span></text:span><text:tab/>end</text:p>"
    )
    repeat = f"<text:p>{spans[0]}<text:s text:c='2000000000'/>end</text:p>"
    return [
        Case("odt/plain.odt", lambda: odt_bytes(plain), joined(plain)),
        Case("odt/named.docx", lambda: odt_bytes(named), joined(named)),
        Case("odt/packed again.odt", lambda: _packed_again(odt_bytes(again)), joined(again)),
        Case(
            "odt/spans.odt",
            lambda: odt_bytes([], body_xml=spaced),
            joined(["A day out", f"{spans[0]}  bold\tend"]),
        ),
        # The cap cuts the count; the essay itself is good.
        Case(
            "odt/2e9 spaces.odt",
            lambda: odt_bytes([], body_xml=repeat),
            f"{spans[0]}{' ' * 100}end",
        ),
    ]


def _packed_again(odt: bytes) -> bytes:
    """An odt without the member that should be its first, as somebody packed it by hand."""
    with zipfile.ZipFile(BytesIO(odt)) as archive:
        names = archive.namelist()
        return zip_bytes({it: archive.read(it) for it in names if it != "mimetype"})


def _odt_changed() -> list[Case]:
    first, second = essay("odt tracked", 2)
    region = (
        "<text:tracked-changes><text:changed-region><text:deletion><text:p>secret</text:p>"
        "</text:deletion></text:changed-region></text:tracked-changes>"
    )
    note = (
        "<text:note><text:note-citation>1</text:note-citation><text:note-body>"
        "<text:p>At the foot.</text:p></text:note-body></text:note>"
    )
    comment = "<office:annotation><text:p>secret</text:p></office:annotation>"
    box = "<draw:frame><draw:text-box><text:p>In the box.</text:p></draw:text-box></draw:frame>"
    dim = '<text:section text:display="none"><text:p>secret</text:p></text:section>'
    return [
        Case(
            "odt/tracked.odt",
            lambda: odt_bytes([], body_xml=f"{region}<text:p>{first}<text:change/></text:p>"),
            first,
            warnings=_TRACKED,
        ),
        Case(
            "odt/box and note.odt",
            lambda: odt_bytes(
                [],
                body_xml=f"<text:p>{first}{note}{comment}{box}</text:p><text:p>{second}</text:p>",
            ),
            joined([first, "In the box.", second, "At the foot."]),
        ),
        Case(
            "odt/hidden.odt",
            lambda: odt_bytes([], body_xml=f"<text:p>{first}</text:p>{dim}"),
            first,
            warnings=_HIDDEN,
        ),
    ]
