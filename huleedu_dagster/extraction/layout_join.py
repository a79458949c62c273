"""Putting the end of one line and the beginning of the next together."""

import re
from collections.abc import Callable

_FIRST_WORD = re.compile(r"\w+")
_COMPOUND = re.compile(r"\w+-\w+")
_UNSPACED = re.compile("[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")
# A hyphen before these stands for the rest of a compound: `barn- och ungdom`.
_SUSPENDED = frozenset({"och", "eller", "samt", "respektive", "and", "or", "to", "till"})


def is_hyphenated(word: str) -> bool:
    """Whether the last word of a line ends with a hyphen, so that more of it may follow."""
    return word.endswith("-") and word[-2:-1].isalnum()


def compounds_of(text: str) -> frozenset[str]:
    """The words of a text that are written with a hyphen, in lower case."""
    return frozenset(match.lower() for match in _COMPOUND.findall(text))


def glue(last: str, following: str, compounds: Callable[[], frozenset[str]]) -> tuple[bool, str]:
    """What stands between one line and the next in running text.

    A hyphen at a line end goes before a lower-case letter, unless it belongs to the word: after a
    single letter, capitals or digits (`e-post`, `SO-ämnen`, `1990-talet`), or where the document
    writes the same word with a hyphen within a line.

    Args:
        last: The last word of the line.
        following: The first word of the next.
        compounds: The hyphenated words of the document; asked only when they decide.

    Returns:
        Whether the hyphen at the end goes, and what to put between.
    """
    if not is_hyphenated(last):
        unspaced = _UNSPACED.match(last[-1:]) and _UNSPACED.match(following[:1])
        return False, "" if unspaced else " "
    if following in _SUSPENDED:
        return False, " "
    goes = following[:1].islower() and not _keeps_hyphen(last, following, compounds)
    return goes, ""


def _keeps_hyphen(last: str, following: str, compounds: Callable[[], frozenset[str]]) -> bool:
    begin = len(last) - 1
    while begin > 0 and last[begin - 1].isalnum():
        begin -= 1
    head = last[begin:-1]
    if len(head) == 1 or head[-1].isdigit() or head.isupper():
        return True
    tail = _FIRST_WORD.match(following)
    return tail is not None and f"{head}-{tail[0]}".lower() in compounds()
