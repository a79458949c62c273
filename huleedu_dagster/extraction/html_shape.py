"""Refuses an HTML page whose shape costs its parser quadratic time, before it is parsed.

The parser compares every attribute of a tag with all earlier ones, and looks through all open
elements at every block. So both are counted first, in one linear pass over the tags as the HTML
standard tokenises them. The pass need not agree with the parser in every corner: what slips
through is slow, and the sandbox stops it.
"""

import re
from itertools import islice

from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.extraction.errors import ExtractionError
from huleedu_dagster.extraction.limits import ExtractionLimits

# Every repeat is possessive and every end may be missing, so nothing is read twice.
_ATTRIBUTE = (
    r"[^\s/>][^\s/>=]*+"
    r"(?:\s*+=\s*+(?:\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z)|[^\s>\"'][^\s>]*+|))?+"
)
_ONE_ATTRIBUTE = re.compile(_ATTRIBUTE, re.A)
_PIECE = re.compile(
    r"<!--(?:-?>|.*?(?:--!?>|\Z))"
    rf"|<(?P<end>/?)(?P<name>[a-zA-Z][^\s/>]*+)(?P<more>(?:[\s/]*+{_ATTRIBUTE})*+)(?P<shut>[\s/]*+)",
    re.A | re.S,
)
_RAW = frozenset({"iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp"})
_FOREIGN = frozenset({"math", "svg"})
# These have no content, or the next of their kind closes them.
_SHALLOW = frozenset(
    str.split(
        "area base basefont bgsound body br caption col colgroup command dd dt embed frame head hr "
        "html image img input keygen li link meta optgroup option p param rb rp rt rtc source "
        "tbody td tfoot th thead tr track wbr"
    )
)
# The end tag of one of these leaves the elements between it and its start open.
_FORMATTING = frozenset(str.split("a b big code em font i nobr s small span strike strong tt u"))
_BARRIERS = frozenset(str.split("applet marquee math object select svg table template"))
_MOST_SKIPPED = 8


def check_shape(markup: str, limits: ExtractionLimits) -> None:
    """Refuse a page with too many tags, too many attributes in one, or too deep a nesting.

    Args:
        markup: HTML.
        limits: Caps on tags, attributes and depth.

    Raises:
        ExtractionError: TOO_LARGE.
    """
    if markup.count("<") > limits.max_markup_tags:
        raise ExtractionError(Code.TOO_LARGE, "too many tags")
    open_elements = _OpenElements()
    at = 0
    while (piece := _PIECE.search(markup, at)) is not None:
        at = piece.end()
        if piece["name"] is None:
            continue
        name = piece["name"].lower()
        _check_attributes(piece["more"], limits)
        if piece["end"]:
            open_elements.close(name)
        elif name in _RAW and not open_elements.foreign:
            at = _end_of_raw_text(markup, name, at)
        elif name == "plaintext":
            return
        elif name not in _SHALLOW and not ("/" in piece["shut"] and open_elements.foreign):
            open_elements.open(name)
            if len(open_elements) > limits.max_markup_depth:
                raise ExtractionError(Code.TOO_LARGE, "nested too deeply")


def _check_attributes(attributes: str, limits: ExtractionLimits) -> None:
    most = limits.max_tag_attributes
    if len(attributes) > most and any(
        True for _ in islice(_ONE_ATTRIBUTE.finditer(attributes), most, None)
    ):
        raise ExtractionError(Code.TOO_LARGE, "too many attributes in one tag")


def _end_of_raw_text(markup: str, name: str, at: int) -> int:
    end = re.compile(rf"</{name}[\s/>]", re.I | re.A).search(markup, at)
    return end.start() if end else len(markup)


class _OpenElements:
    """About the parser's stack of open elements, seldom shorter than it."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self.foreign = 0

    def __len__(self) -> int:
        return len(self._names)

    def open(self, name: str) -> None:
        self._names.append(name)
        self.foreign += name in _FOREIGN

    def close(self, name: str) -> None:
        reach = 1 if name in _FORMATTING else _MOST_SKIPPED
        for skipped, found in enumerate(reversed(self._names[-reach:])):
            if found == name:
                del self._names[len(self._names) - skipped - 1 :]
                self.foreign -= name in _FOREIGN
                return
            if found in _BARRIERS:
                return
