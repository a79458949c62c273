"""docx against mammoth, another reader that was written apart from ours.

Random documents must have the same words in the same order: body with text boxes after their
paragraphs, then footnotes, then endnotes. What mammoth makes of a file is normalised first:
line, page and column breaks part words (its own raw text drops them), U+2011 is a hyphen, and the
rest passes our final normaliser, so that soft hyphens are gone and letters are NFC.

The random documents leave out what the two read differently, by error of mammoth or by policy.
Each of these has a test below: line breaks in mammoth's own raw text; `w:cr`; simple fields; text
with a direction of its own; positional tabs; ruby; mathematics; hidden text; unknown symbols;
boxes with a tick; deleted table cells; cells merged into the one above; moved paragraph marks; a
deleted paragraph mark before a table or at the end; a field within the code of another; drawn
text boxes without an older copy.
"""

import io
from typing import Any

import mammoth
import mammoth.docx
import pytest
from mammoth import documents

from huleedu_dagster.extraction.normalise import normalise
from tests.factory.documents import docx_bytes
from tests.support.random_docx import RandomDocx
from tests.unit.extraction.helpers import extract, text_of

_SEEDS = 200


def _raw(element: Any, references: list[Any]) -> str:
    if isinstance(element, documents.NoteReference):
        references.append(element)
    if isinstance(element, documents.Text):
        return str(element.value)
    if isinstance(element, documents.Tab | documents.Break):
        return "\t" if isinstance(element, documents.Tab) else "\n"
    text = "".join(_raw(child, references) for child in getattr(element, "children", ()))
    return f"{text}\n\n" if isinstance(element, documents.Paragraph) else text


def _words_by_mammoth(data: bytes) -> list[str]:
    document = mammoth.docx.read(io.BytesIO(data)).value
    references: list[Any] = []
    parts = [_raw(document, references)]
    for kind in ("footnote", "endnote"):
        wanted = (r for r in references if r.note_type == kind)
        notes = map(document.notes.resolve, wanted)
        parts += [_raw(block, []) for note in notes for block in note.body]
    return normalise("".join(parts).replace("\u2011", "-")).split()


def _raw_text(body_xml: str) -> str:
    file = io.BytesIO(docx_bytes([], body_xml=body_xml))
    return str(mammoth.extract_raw_text(file).value).strip()


def _run(text: str, properties: str = "") -> str:
    return f"<w:r><w:rPr>{properties}</w:rPr><w:t>{text}</w:t></w:r>"


def _paragraph(text: str, properties: str = "") -> str:
    return f"<w:p><w:pPr><w:rPr>{properties}</w:rPr></w:pPr>{_run(text)}</w:p>"


def _cell(text: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{_paragraph(text)}</w:tc>"


def test_random_documents_have_the_words_that_mammoth_reads() -> None:
    different = []
    seen = 0
    for seed in range(_SEEDS):
        data = RandomDocx(seed).file()
        words = (extract(data).text or "").split()
        seen += len(words)
        if words != _words_by_mammoth(data):
            different.append(seed)
    assert different == []
    assert seen > 50 * _SEEDS


def test_the_same_seed_makes_the_same_bytes() -> None:
    assert RandomDocx(7).file() == RandomDocx(7).file() != RandomDocx(8).file()


_TOP = '<w:vMerge w:val="restart"/>'
_DIFFERENCES = {
    "mammoth's raw text drops line breaks": (
        f"<w:p>{_run('en')}<w:r><w:br/></w:r>{_run('rad')}</w:p>",
        "enrad",
        "en\nrad",
    ),
    "mammoth drops carriage returns": (
        f"<w:p>{_run('en')}<w:r><w:cr/></w:r>{_run('rad')}</w:p>",
        "enrad",
        "en\nrad",
    ),
    "mammoth drops positional tabs": (
        f"<w:p>{_run('en')}<w:r><w:ptab/></w:r>{_run('rad')}</w:p>",
        "enrad",
        "en\trad",
    ),
    "mammoth drops simple fields": (
        f"<w:p>{_run('s')}<w:fldSimple w:instr='PAGE'>{_run('7')}</w:fldSimple></w:p>",
        "s",
        "s7",
    ),
    "mammoth drops text with a direction of its own": (
        f"<w:p>{_run('a')}<w:bdo w:val='rtl'>{_run('b')}</w:bdo><w:dir>{_run('c')}</w:dir></w:p>",
        "a",
        "abc",
    ),
    "mammoth drops ruby, we read its base": (
        (
            f"<w:p>{_run('a')}<w:r><w:ruby><w:rt>{_run('kan')}</w:rt>"
            f"<w:rubyBase>{_run('漢')}</w:rubyBase></w:ruby></w:r></w:p>"
        ),
        "a",
        "a漢",
    ),
    "mammoth drops mathematics": (
        f"<w:p>{_run('a')}<m:oMath><m:r><m:t>=b</m:t></m:r></m:oMath></w:p>",
        "a",
        "a=b",
    ),
    "mammoth shows hidden text": (
        f"<w:p>{_run('syns')}{_run('dold', '<w:vanish/>')}</w:p>",
        "synsdold",
        "syns",
    ),
    "mammoth drops symbols that it does not know": (
        f"<w:p>{_run('a')}<w:r><w:sym w:font='Bilder' w:char='F0AB'/></w:r>{_run('b')}</w:p>",
        "ab",
        "a b",
    ),
    "mammoth shows deleted cells": (
        f"<w:tbl><w:tr>{_cell('a')}{_cell('b', '<w:cellDel/>')}</w:tr></w:tbl>",
        "a\n\nb",
        "a",
    ),
    "mammoth drops what stands in a cell that is merged into the one above": (
        (f"<w:tbl><w:tr>{_cell('a', _TOP)}</w:tr><w:tr>{_cell('b', '<w:vMerge/>')}</w:tr></w:tbl>"),
        "a",
        "a\n\nb",
    ),
    "mammoth keeps paragraph marks that were moved away": (
        _paragraph("en", "<w:moveFrom/>") + _paragraph("rad"),
        "en\n\nrad",
        "enrad",
    ),
    "mammoth glues a paragraph whose mark is deleted to the table after it": (
        f"{_paragraph('en', '<w:del/>')}<w:tbl><w:tr>{_cell('cell')}</w:tr></w:tbl>",
        "encell",
        "en\n\ncell",
    ),
    "mammoth loses the last paragraph when its mark is deleted": (
        _paragraph("a") + _paragraph("sist", "<w:del/>"),
        "a",
        "a\n\nsist",
    ),
    "mammoth shows the result of a field within the code of another": (
        (
            "<w:p><w:r><w:fldChar w:fldCharType='begin'/><w:instrText>IF</w:instrText>"
            "<w:fldChar w:fldCharType='begin'/><w:instrText>PAGE</w:instrText>"
            "<w:fldChar w:fldCharType='separate'/><w:t>1</w:t><w:fldChar w:fldCharType='end'/>"
            "<w:instrText>= 1 ja nej</w:instrText><w:fldChar w:fldCharType='separate'/>"
            "<w:t>ja</w:t><w:fldChar w:fldCharType='end'/></w:r></w:p>"
        ),
        "1ja",
        "ja",
    ),
    "mammoth drops drawn text boxes without an older copy": (
        (
            f"<w:p>{_run('a')}<w:r><w:drawing><wp:anchor><wps:txbx><w:txbxContent>"
            f"{_paragraph('ruta')}</w:txbxContent></wps:txbx></wp:anchor></w:drawing></w:r></w:p>"
        ),
        "a",
        "a\n\nruta",
    ),
}


@pytest.mark.parametrize("name", _DIFFERENCES)
def test_known_differences(name: str) -> None:
    body_xml, by_mammoth, by_us = _DIFFERENCES[name]
    assert _raw_text(body_xml) == by_mammoth
    assert text_of(docx_bytes([], body_xml=body_xml)) == by_us


def test_mammoth_makes_a_box_with_a_tick_a_control_and_we_read_the_character() -> None:
    extension = "http://schemas.microsoft.com/office/word/2010/wordml"
    tick = f"<w14:checkbox xmlns:w14='{extension}'><w14:checked w14:val='1'/></w14:checkbox>"
    body_xml = (
        f"<w:p><w:sdt><w:sdtPr>{tick}</w:sdtPr><w:sdtContent>{_run('☒')}</w:sdtContent></w:sdt>"
        f"{_run('ja')}</w:p>"
    )
    assert (_raw_text(body_xml), text_of(docx_bytes([], body_xml=body_xml))) == ("ja", "☒ja")
