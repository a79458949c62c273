"""A document with what must become of it, and the words that documents are made of."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from huleedu_dagster.domain.outcomes import Code, Warn

CANARY = "Skeppsholmen"
"""A word of every generated essay; no log may hold it."""

_SENTENCES = (
    f"The class went to the museum on {CANARY} in the morning, and everyone was early.",
    "We saw the old ships, the long masts and the small rooms where the sailors slept.",
    "Our guide, Åsa Öberg from Gävle, told us how cold the winters on the sea had been.",
    "She said that a good captain listens more than he speaks.",
    "I would have liked to stay longer, but the bus back to Norrköping was waiting.",
    "My friend Zoë wrote down everything, because she wants to be a writer one day.",
    "It is strange to think that people crossed the sea without knowing what was there.",
    "In the end we all agreed that the kitchen was the best part of the ship.",
    "There was a cat on board, as there is in every story about the sea.",
    "When we came home it was dark, and I was tired and happy.",
)


@dataclass(frozen=True, slots=True)
class Case:
    """One document and its expected result. Exactly one of `text` and `code` is set.

    Attributes:
        path: Relative path of the file.
        build: Makes its bytes, the same every time.
        text: The exact text, for a document that must be accepted.
        code: The code, for one that must be rejected.
        warnings: What a teacher must be told about an accepted text, sorted.
    """

    path: str
    build: Callable[[], bytes]
    text: str | None = None
    code: Code | None = None
    warnings: tuple[Warn, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a case that expects both or neither.

        Raises:
            ValueError: `text` and `code` are both set or both missing.
        """
        if (self.text is None) == (self.code is None):
            raise ValueError(f"{self.path} expects either a text or a code")


def essay(seed: str, paragraphs: int = 3) -> list[str]:
    """Paragraphs of an essay of its own for each seed; the canary is in the first.

    All words are English or names, so that spelling them costs nothing.
    """
    rng = random.Random(seed)
    pool = [rng.sample(_SENTENCES[1:], 3) for _ in range(paragraphs)]
    pool[0].insert(0, _SENTENCES[0])
    return [" ".join(sentences) for sentences in pool]


def joined(paragraphs: list[str]) -> str:
    """The text that paragraphs must come out as."""
    return "\n\n".join(paragraphs)
