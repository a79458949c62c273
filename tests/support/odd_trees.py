"""Well-formed office files whose elements stand in odd places, with a number for each word."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

_TOKEN = re.compile(r"q\d+q")


@dataclass(frozen=True)
class Odd:
    """An element: its start tag without brackets, and what is in it; True stands for a word."""

    tag: str
    content: "tuple[Odd | bool, ...]"


@dataclass(frozen=True)
class OddFile:
    """A body, and for each word in it the number of the paragraph that it stands in."""

    xml: str
    homes: dict[str, int]


def odd_trees(tags: Sequence[str], word: str, paragraphs: Sequence[str]) -> "_Files":
    """Draw bodies of elements in any order and depth.

    Args:
        tags: Start tags without brackets, with or without attributes.
        word: How a word is written, with `{}` in its place.
        paragraphs: Names of the elements that are paragraphs.

    Returns:
        A strategy of such bodies.
    """
    leaf: st.SearchStrategy[Odd | bool] = st.just(True)
    node = st.recursive(
        leaf,
        lambda inner: st.builds(Odd, st.sampled_from(tags), st.lists(inner, max_size=4).map(tuple)),
        max_leaves=12,
    )
    return st.lists(node, max_size=4).map(lambda nodes: _written(nodes, word, paragraphs))


def _written(nodes: Sequence[Odd | bool], word: str, paragraphs: Sequence[str]) -> OddFile:
    homes: dict[str, int] = {}
    opened = 0

    def write(node: Odd | bool, home: int) -> str:
        nonlocal opened
        if not isinstance(node, Odd):
            token = f"q{len(homes)}q"
            homes[token] = home
            return word.format(token)
        name = node.tag.split(" ", 1)[0]
        if name in paragraphs:
            opened += 1
            home = opened
        inner = "".join(write(child, home) for child in node.content)
        return f"<{node.tag}>{inner}</{name}>"

    xml = "".join(write(node, 0) for node in nodes)
    return OddFile(xml, homes)


def glued(text: str, homes: dict[str, int]) -> list[str]:
    """The words of `text` in which parts of two paragraphs meet."""
    return [
        chunk
        for chunk in text.split()
        if len({homes[token] for token in _TOKEN.findall(chunk)}) > 1
    ]


_Files = st.SearchStrategy[OddFile]
