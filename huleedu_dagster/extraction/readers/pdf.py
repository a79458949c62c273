"""PDF: pdfium finds the characters; lines, columns and paragraphs come from where they stand."""

import threading
from ctypes import byref, c_double
from itertools import islice
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium_c

from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.extraction.errors import ExtractionError
from huleedu_dagster.extraction.layout import Line, Word, order_page, paragraphs, without_heads
from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.sink import Reading, TextSink

_END_MARK = b"%%EOF"
_END_REACH = 4_096
_LINE_END_HYPHEN = "\ufffe"
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
    pages, left = [], limits.max_output_chars
    for index in range(len(document)):
        lines = _page_lines(document, index, left)
        left -= sum(len(line.text) for line in lines)
        pages.append(lines)
    sink = TextSink(limits)
    ordered = [order_page(page) for page in without_heads(pages)]
    for paragraph in paragraphs(ordered, _page_width(document)):
        sink.write(paragraph)
        sink.end_paragraph()
    reading = sink.reading()
    if not reading.text.strip():
        raise _no_text(document)
    return reading


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


def _page_lines(document: Any, index: int, max_chars: int) -> list[Line]:
    try:
        page = document[index]
    except pypdfium2.PdfiumError as error:
        raise ExtractionError(Code.CORRUPTED_FILE, "a page of the PDF is damaged") from error
    try:
        text_page = page.get_textpage()
        try:
            if text_page.count_chars() > max_chars:
                raise ExtractionError(Code.TOO_LARGE, "more text than the output limit")
            return _Page(text_page).lines()
        finally:
            text_page.close()
    finally:
        page.close()


class _Page:
    """The characters of one page, gathered into words and lines."""

    def __init__(self, text_page: Any) -> None:
        self._page = text_page
        self._box = (c_double(), c_double(), c_double(), c_double())
        self._loose = pdfium_c.FS_RECTF()
        self._place = (c_double(), c_double())

    def lines(self) -> list[Line]:
        text = self._text()
        lines: list[Line] = []
        words: list[Word] = []
        start = 0
        for at, char in enumerate(f"{text}\n"):
            if char not in " \r\n\t" and char != _LINE_END_HYPHEN:
                continue
            hyphen = char == _LINE_END_HYPHEN
            if start < at or hyphen:
                word = f"{text[start:at]}-" if hyphen else text[start:at]
                words.append(self._word(word, start, at if hyphen else at - 1))
            start = at + 1
            if char in "\r\n" or hyphen:
                self._finish(words, lines)
                words = []
        return lines

    def _finish(self, words: list[Word], lines: list[Line]) -> None:
        if words:
            lines.append(Line(tuple(words)))

    def _text(self) -> str:
        """One character for each of pdfium's, so that positions in both agree."""
        count = self._page.count_chars()
        text = str(self._page.get_text_range()) if count else ""
        if len(text) == count:
            return text
        codes = (pdfium_c.FPDFText_GetUnicode(self._page, i) for i in range(count))
        return "".join(map(_character, codes))

    def _word(self, text: str, first: int, last: int) -> Word:
        left, right, bottom, top = self._box
        raw = self._page
        pdfium_c.FPDFText_GetCharBox(
            raw, first, byref(left), byref(right), byref(bottom), byref(top)
        )
        x0 = left.value
        if last != first:
            boxes = (byref(left), byref(right), byref(bottom), byref(top))
            pdfium_c.FPDFText_GetCharBox(raw, last, *boxes)
        x, y = self._place
        pdfium_c.FPDFText_GetCharOrigin(raw, first, byref(x), byref(y))
        pdfium_c.FPDFText_GetLooseCharBox(raw, first, byref(self._loose))
        height = abs(self._loose.top - self._loose.bottom)
        return Word(text, x0, max(x0, right.value), y.value, height)


def _character(code: int) -> str:
    if code == 2:
        return _LINE_END_HYPHEN
    if code == 0 or 0xD800 <= code < 0xE000 or code > 0x10FFFF:
        return "\ufffd"
    return chr(code)
