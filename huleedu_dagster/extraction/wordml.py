"""WordprocessingML: names of elements, what hides a run, and the characters of picture fonts."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from huleedu_dagster.extraction.archive import Archive
from huleedu_dagster.extraction.xml import parse_xml

_PREFIXES = {
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main": "w",
    "http://purl.oclc.org/ooxml/wordprocessingml/main": "w",
    "http://schemas.openxmlformats.org/markup-compatibility/2006": "mc",
    "http://schemas.openxmlformats.org/officeDocument/2006/math": "m",
    "http://purl.oclc.org/ooxml/officeDocument/math": "m",
}
# What Word's autocorrect and its usual bullets write in the picture font.
_WINGDINGS = {
    0x4A: "☺",
    0x4C: "☹",
    0x9F: "•",
    0xA7: "▪",
    0xA8: "☐",
    0xDF: "←",
    0xE0: "→",
    0xE8: "→",
    0xFC: "✓",
    0xFE: "☑",
}
_SYMBOL_FONT = {
    **dict(zip(range(0x41, 0x5B), "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ", strict=True)),
    **dict(zip(range(0x61, 0x7B), "αβχδεφγηιϕκλμνοπθρστυϖωξψζ", strict=True)),
    **dict(zip(b"\xa3\xa5\xac\xae\xb0\xb1\xb3\xb4\xb7\xb8\xb9\xbb", "≤∞←→°±≥×•÷≠≈", strict=True)),
}
_FALSE = frozenset({"0", "false", "off"})
_TRUE = frozenset({"1", "true", "on"})
_MAX_STYLE_CHAIN = 20
_PRIVATE_FONT_CODES = range(0xF000, 0xF100)


@dataclass(frozen=True, slots=True)
class Hiding:
    """What the styles hide.

    Attributes:
        styles: Style id to whether it hides, by itself or by the styles it is based on.
        everything: Whether the document's defaults hide.
        paragraph: Whether the default paragraph style hides.
        character: Whether the default character style hides.
    """

    styles: dict[str, bool] = field(default_factory=dict)
    everything: bool = False
    paragraph: bool = False
    character: bool = False


def symbol(font: str, code: str) -> str:
    """The character that a `w:sym` shows (ECMA-376 part 1, 17.3.3.30).

    Args:
        font: Name of the font.
        code: Number of the character in it, hexadecimal.

    Returns:
        The character; a space when it is not known, so that the words around it never meet.
    """
    try:
        number = int(code[:8], 16)
    except ValueError:
        return " "
    if number in _PRIVATE_FONT_CODES or number <= 0xFF:
        table = {"symbol": _SYMBOL_FONT, "wingdings": _WINGDINGS}.get(font.lower())
        if table is not None:
            return table.get(number & 0xFF, " ")
    unusable = not 0x20 <= number <= 0x10FFFF or 0xD800 <= number <= 0xF8FF
    return " " if unusable else chr(number)


def hiding_styles(archive: Archive, part: str | None) -> Hiding:
    """Read which styles hide text, each with the styles it is based on.

    Args:
        archive: The opened archive.
        part: Name of its style part, or None when there is none.

    Returns:
        What the styles hide.

    Raises:
        ExtractionError: CORRUPTED_FILE, PASSWORD_PROTECTED or TOO_LARGE.
    """
    if part is None or part not in archive:
        return Hiding()
    content = archive.read(part)
    if not may_hide(content):
        return Hiding()
    own: dict[str, bool | None] = {}
    parents: dict[str, str] = {}
    defaults: dict[str, str] = {}
    root = parse_xml(content)
    for style in root:
        name = value_of(style, "styleId")
        if not name:
            continue
        own[name] = vanish(child_of(style, "w:rPr"))
        parents[name] = value_of(child_of(style, "w:basedOn"), "val")
        if value_of(style, "default").lower() in _TRUE:
            defaults[value_of(style, "type")] = name
    styles = {name: _inherited(name, own, parents) for name in own}
    usual = child_of(child_of(root, "w:docDefaults"), "w:rPrDefault")
    return Hiding(
        styles,
        vanish(child_of(usual, "w:rPr")) is True,
        styles.get(defaults.get("paragraph", ""), False),
        styles.get(defaults.get("character", ""), False),
    )


def may_hide(content: bytes) -> bool:
    """Whether a part may say that text is hidden; most say no such thing.

    Parts are in UTF-8 or UTF-16 (ECMA-376 part 2), and only the second begins with zero bytes.
    """
    return b"anish" in content or b"\0" in content[:8]


def _inherited(name: str, own: dict[str, bool | None], parents: dict[str, str]) -> bool:
    for _ in range(_MAX_STYLE_CHAIN):
        state = own.get(name)
        if state is not None:
            return state
        name = parents.get(name, "")
    return False


def vanish(properties: Any) -> bool | None:
    """Whether run properties hide: yes, no, or None when they say nothing.

    `w:webHidden` hides in a browser only, so it says nothing here.
    """
    if properties is None:
        return None
    state = None
    for child in properties:
        name = short_name(child.tag)
        if name == "w:vanish":
            state = state or value_of(child, "val").lower() not in _FALSE
        elif name == "w:specVanish":
            state = value_of(child, "val").lower() not in _FALSE or state
    return state


def child_of(element: Any, name: str) -> Any:
    """The first child of that short name, or None; None has no children."""
    if element is not None:
        for child in element:
            if short_name(child.tag) == name:
                return child
    return None


def value_of(element: Any, name: str) -> str:
    """An attribute by its local name: the strict and the common files differ in namespace.

    Returns:
        Its value, or an empty string when it or the element is missing.
    """
    if element is None:
        return ""
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == name:
            return str(value)
    return ""


def tags_of(names: Iterable[str]) -> tuple[str, ...]:
    """The full names, in all known namespaces, of elements given by their short names."""
    return tuple(
        f"{{{namespace}}}{name.partition(':')[2]}"
        for namespace, prefix in _PREFIXES.items()
        for name in sorted(names)
        if name.partition(":")[0] == prefix
    )


@lru_cache(maxsize=1_024)
def short_name(tag: str) -> str:
    """The name of an element with its usual prefix, `?` for a namespace not known here."""
    namespace, _, local = tag.removeprefix("{").rpartition("}")
    return f"{_PREFIXES.get(namespace, '?')}:{local}"
