"""PDF: pdfium finds the characters; lines, columns and paragraphs come from where they stand."""

import threading
from collections import Counter
from itertools import islice
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium_c

from huleedu_dagster.domain.outcomes import Code, Warn
from huleedu_dagster.extraction.errors import ExtractionError
from huleedu_dagster.extraction.layout_columns import ordered
from huleedu_dagster.extraction.layout_heads import without_heads
from huleedu_dagster.extraction.layout_paragraphs import paragraphs
from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.pdf_hidden import hidden_characters
from huleedu_dagster.extraction.pdf_page import PageText, page_text
from huleedu_dagster.extraction.sink import Reading, TextSink

_END_MARK = b"%%EOF"
_END_REACH = 4_096
_IMAGE_SEARCH_PAGES = 20
_IMAGE_SEARCH_OBJECTS = 200
_PASSWORD_ERRORS = frozenset({pdfium_c.FPDF_ERR_PASSWORD, pdfium_c.FPDF_ERR_SECURITY})
# pdfium keeps global state; two threads in it at once crash the process.
_PDFIUM = threading.Lock()


def read(data: bytes, limits: ExtractionLimits) -> Reading:
    """Read a PDF.

    Raises:
        ExtractionError: CORRUPTED_FILE, PASSWORD_PROTECTED, TOO_LARGE, NO_TEXT_LAYER or
            EMPTY_CONTENT.
    """
    if _END_MARK not in data.rstrip(b"\0 \t\r\n")[-_END_REACH:]:
        # pdfium would repair it and pass off a part of the text as all of it.
        raise ExtractionError(Code.CORRUPTED_FILE, "the PDF has no end mark")
    with _PDFIUM:
        document = _open(data)
        try:
            return _read(document, limits)
        finally:
            document.close()


def _open(data: bytes) -> Any:
    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) in _PASSWORD_ERRORS:
            raise ExtractionError(Code.PASSWORD_PROTECTED, "the PDF needs a password") from error
        raise ExtractionError(Code.CORRUPTED_FILE, "pdfium cannot open the PDF") from error


def _read(document: Any, limits: ExtractionLimits) -> Reading:
    if len(document) > limits.max_pdf_pages:
        raise ExtractionError(Code.TOO_LARGE, "too many pages")
    pages: list[PageText] = []
    left = limits.max_output_chars
    for index in range(len(document)):
        page = _page_text(document, index, left)
        left -= page.characters
        pages.append(page)
    sink = TextSink(limits)
    if any(page.hidden for page in pages):
        sink.warnings.add(Warn.HIDDEN_TEXT_PRESENT)
    for paragraph in _paragraphs(document, pages):
        sink.write(paragraph)
        sink.end_paragraph()
    reading = sink.reading()
    if not reading.text.strip():
        raise _no_text(document)
    return reading


def _paragraphs(document: Any, pages: list[PageText]) -> list[str]:
    columns = ordered(without_heads([page.lines for page in pages]))
    return paragraphs(columns, _page_width(document)) + _asides(pages)


def _asides(pages: list[PageText]) -> list[str]:
    """Text across the page comes last, once; on page after page it is a watermark and goes."""
    seen = Counter(aside for page in pages for aside in dict.fromkeys(page.asides))
    once = max(1, len(pages) // 2)
    return [aside for aside, count in seen.items() if count <= once or len(pages) == 1]


def _page_width(document: Any) -> float:
    return float(document.get_page_size(0)[0]) if len(document) else 0.0


def _no_text(document: Any) -> ExtractionError:
    for index in range(min(len(document), _IMAGE_SEARCH_PAGES)):
        page = document[index]
        try:
            found = page.get_objects(filter=[pdfium_c.FPDF_PAGEOBJ_IMAGE], max_depth=4)
            if any(islice(found, _IMAGE_SEARCH_OBJECTS)):
                return ExtractionError(Code.NO_TEXT_LAYER, "pictures of pages without text")
        finally:
            page.close()
    return ExtractionError(Code.EMPTY_CONTENT, "no text and no pictures")


def _page_text(document: Any, index: int, max_chars: int) -> PageText:
    try:
        page = document[index]
    except pypdfium2.PdfiumError as error:
        raise ExtractionError(Code.CORRUPTED_FILE, "a page of the PDF is damaged") from error
    try:
        text_page = page.get_textpage()
        try:
            if text_page.count_chars() > max_chars:
                raise ExtractionError(Code.TOO_LARGE, "more text than the output limit")
            return page_text(text_page, page.get_width(), hidden_characters(page, text_page))
        finally:
            text_page.close()
    finally:
        page.close()
