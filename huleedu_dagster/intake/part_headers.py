"""Headers of one part of a form: parameters (RFC 2045, RFC 6266) and the names of files.

Senders write names of files in more ways than RFC 7578 has. A name is decoded exactly once: a file
that is called `100%25.txt` keeps its name, and so does `say %22hi%22.txt`, which browsers write for
quotation marks, since it cannot be told from a name that was so from the start.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_KIND = re.compile(rf"[ \t]*({_WORD}(?:/{_WORD})?)[ \t]*")
_PARAMETER = re.compile(
    rf';[ \t]*({_WORD})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^";]*))[ \t]*', re.DOTALL
)
_REST = re.compile(r"[ \t;]*")
# A backslash before any other character is part of the name: browsers do not escape it.
_ESCAPED = re.compile(r'\\(["\\])')
_EXTENDED = re.compile(
    r"(utf-8|iso-8859-1)'[a-z0-9-]*'((?:[ -$&-~]|%[0-9a-f]{2})*)", re.IGNORECASE | re.ASCII
)
_FULL_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_SEPARATORS = re.compile(r"[\\/]")


class BadHeaderError(ValueError):
    """A header breaks its grammar. The message repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Disposition:
    """What the Content-Disposition of a part says.

    Attributes:
        name: Name of the form's field.
        filename: Name of the file, `None` if the part is none. Relative paths, as uploads of
            folders have them, are whole; of a full Windows path, as old browsers send it, only
            the last part is kept.
    """

    name: str
    filename: str | None


def disposition(value: bytes) -> Disposition:
    """Read the value of a Content-Disposition header.

    `filename*` (RFC 6266) wins over `filename`, unless it cannot be decoded.

    Raises:
        BadHeaderError: It is not `form-data` with a name, or breaks its grammar.
    """
    kind, found = parameters(_decoded(value))
    if kind != "form-data" or "name" not in found:
        raise BadHeaderError("the Content-Disposition of a part is not form-data with a name")
    filename = _filename(found)
    return Disposition(found["name"], None if filename is None else _without_folder(filename))


def parameters(value: str) -> tuple[str, dict[str, str]]:
    """The first word of a header's value in lower case, and its parameters.

    Raises:
        BadHeaderError: The value breaks its grammar, or names a parameter twice.
    """
    begin = _KIND.match(value)
    if begin is None:
        raise BadHeaderError("a header begins without a word")
    found: dict[str, str] = {}
    position = begin.end()
    while (match := _PARAMETER.match(value, position)) is not None:
        name, quoted, plain = match.groups()
        if name.lower() in found:
            raise BadHeaderError("a header has the same parameter twice")
        found[name.lower()] = plain.rstrip(" \t") if quoted is None else _unescaped(quoted)
        position = match.end()
    if _REST.fullmatch(value, position) is None:
        raise BadHeaderError("the parameters of a header cannot be read")
    return begin[1].lower(), found


def _decoded(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        # Every byte has a character there; old senders use it or something near to it.
        return value.decode("latin-1")


def _unescaped(quoted: str) -> str:
    return quoted if _FULL_WINDOWS_PATH.match(quoted) else _ESCAPED.sub(r"\1", quoted)


def _filename(found: Mapping[str, str]) -> str | None:
    plain = found.get("filename")
    match = _EXTENDED.fullmatch(found.get("filename*", ""))
    if match is None:
        if plain is None and any(it.startswith("filename*") for it in found):
            # Not taken for a field without a file: its sender meant a file.
            raise BadHeaderError("the extended name of a file breaks RFC 8187")
        return plain
    encoded = unquote_to_bytes(match[2])
    try:
        return encoded.decode(match[1])
    except UnicodeDecodeError:
        # Of another charset than it says.
        return encoded.decode("latin-1") if plain is None else plain


def _without_folder(filename: str) -> str:
    if _FULL_WINDOWS_PATH.match(filename) is None:
        return filename
    return _SEPARATORS.split(filename)[-1]
