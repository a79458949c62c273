"""Text of a PDF page that its reader cannot see: invisible, or white on a white page."""

from collections.abc import Callable, Iterator
from ctypes import addressof, byref, c_uint
from dataclasses import dataclass, field
from typing import Any

import pypdfium2.raw as pdfium_c

_MAX_OBJECTS = 20_000
_MAX_DEPTH = 3
_INVISIBLE = frozenset({pdfium_c.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium_c.FPDF_TEXTRENDERMODE_CLIP})
_WHITE = 250


@dataclass(slots=True)
class _Found:
    """What a page is made of."""

    invisible: list[int] = field(default_factory=list)
    white: list[int] = field(default_factory=list)
    visible: int = 0
    pictures: bool = False
    colours: bool = False


def hidden_characters(page: Any, text_page: Any) -> Callable[[int], bool] | None:
    """Find text of a page that is left out of an essay.

    Invisible text over a picture is what a scanner read from it, and stays. White text stays
    where anything coloured may lie behind it. A page without any visible text keeps all of it.

    Args:
        page: A page, as pypdfium2 hands it over.
        text_page: Its characters.

    Returns:
        Whether the character of a number is hidden; None when none is.
    """
    found = _survey(page.raw)
    if not found.visible:
        return None
    hidden = set() if found.pictures else set(found.invisible)
    if not found.pictures and not found.colours:
        hidden.update(found.white)
    if not hidden:
        return None
    handle = text_page.raw

    def is_hidden(at: int) -> bool:
        owner = pdfium_c.FPDFText_GetTextObject(handle, at)
        return bool(owner) and addressof(owner.contents) in hidden

    return is_hidden


def _survey(page: Any) -> _Found:
    found = _Found()
    for item, kind in _objects(page):
        if kind == pdfium_c.FPDF_PAGEOBJ_TEXT:
            _survey_text(item, found)
        elif kind == pdfium_c.FPDF_PAGEOBJ_IMAGE:
            found.pictures = True
        elif kind == pdfium_c.FPDF_PAGEOBJ_SHADING:
            found.colours = True
        elif kind == pdfium_c.FPDF_PAGEOBJ_PATH and not found.colours:
            found.colours = not _is_white(item)
    return found


def _survey_text(item: Any, found: _Found) -> None:
    address = addressof(item.contents)
    if pdfium_c.FPDFTextObj_GetTextRenderMode(item) in _INVISIBLE:
        found.invisible.append(address)
    elif _is_white(item):
        found.white.append(address)
    else:
        found.visible += 1


def _is_white(item: Any) -> bool:
    red, green, blue, alpha = c_uint(), c_uint(), c_uint(), c_uint()
    known = pdfium_c.FPDFPageObj_GetFillColor(
        item, byref(red), byref(green), byref(blue), byref(alpha)
    )
    return bool(known) and min(red.value, green.value, blue.value) >= _WHITE


def _objects(page: Any) -> Iterator[tuple[Any, int]]:
    """The objects of a page and of the forms in it, up to a cap."""
    get, get_type = pdfium_c.FPDFPage_GetObject, pdfium_c.FPDFPageObj_GetType
    left = _MAX_OBJECTS
    stack: list[tuple[Any, int, int]] = [(page, pdfium_c.FPDFPage_CountObjects(page), 0)]
    while stack and left > 0:
        holder, count, depth = stack.pop()
        for at in range(min(count, left)):
            item = get(holder, at) if depth == 0 else pdfium_c.FPDFFormObj_GetObject(holder, at)
            if not item:
                continue
            left -= 1
            kind = get_type(item)
            if kind == pdfium_c.FPDF_PAGEOBJ_FORM and depth < _MAX_DEPTH:
                stack.append((item, pdfium_c.FPDFFormObj_CountObjects(item), depth + 1))
            yield item, kind
