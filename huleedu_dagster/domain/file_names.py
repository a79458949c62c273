"""Names of files as people may safely see them: nothing hidden, nothing turned, none too long.

A name that was handed in may hold marks that turn the direction of writing, so that `exe.txt` is
seen where `txt.exe` is written, or characters that are not seen at all.
"""

import unicodedata

LONGEST_SHOWN = 60
"""Characters of a name that are shown at once; the whole is one click away."""

_JOINERS = "\u200c\u200d"
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINED = frozenset("LMS")


def visible(name: str) -> str:
    """The name with every character that is not seen written out, as in `[U+202E]`.

    The joiners that Persian words and composed emoji are written with stay where they join.
    """
    return "".join(
        char if _is_seen(name, index) else f"[U+{ord(char):04X}]" for index, char in enumerate(name)
    )


def shortened(name: str, longest: int = LONGEST_SHOWN) -> str:
    """The name, or its beginning and its end around an ellipsis.

    The end is longer, since it tells one export of a class from another.

    Args:
        name: A name in which everything is visible.
        longest: Characters that the result has at most, at least 3.
    """
    if len(name) <= longest:
        return name
    begin = (longest - 1) // 3
    return f"{name[:begin]}…{name[begin - longest + 1 :]}"


def _is_seen(name: str, index: int) -> bool:
    char = name[index]
    if char in _JOINERS:
        around = (name[index - 1 : index], name[index + 1 : index + 2])
        return all(not it.isascii() and unicodedata.category(it)[0] in _JOINED for it in around)
    return unicodedata.category(char) not in _HIDDEN
