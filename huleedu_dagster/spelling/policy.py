"""What is not flagged although no dictionary holds it.

Most false flags in a class's essays are names. The rules here take those out and cost few real
misspellings. A word that several essays share is deliberately not taken for right: classes share
misspellings. What a teacher wants accepted comes as the batch's own list.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from huleedu_dagster.spelling.tokens import Token, normalise, tokenise

_ELISIONS = {
    "fr": frozenset(
        {"l", "d", "j", "m", "t", "s", "n", "c", "qu", "jusqu", "lorsqu", "puisqu", "quoiqu"}
    ),
    "it": frozenset(
        {
            "l",
            "d",
            "c",
            "un",
            "all",
            "dall",
            "dell",
            "nell",
            "sull",
            "coll",
            "quest",
            "quell",
            "bell",
            "sant",
        }
    ),
}


@dataclass(frozen=True, slots=True)
class Parts:
    """A word taken apart for the dictionary.

    Attributes:
        prefix: An elided article or pronoun with its apostrophe ("l'"), or nothing.
        core: What the dictionary is asked for.
        suffix: The possessive "'s", or nothing.
    """

    prefix: str
    core: str
    suffix: str


def parts(lookup: str, language: str) -> Parts:
    """Take `lookup` apart; the three parts joined are `lookup`.

    Args:
        lookup: A word as `Token.lookup` holds it.
        language: ISO 639-1 code; French and Italian have elided prefixes.
    """
    core, prefix, suffix = lookup, "", ""
    if core.endswith("'s") and len(core) > 2:
        core, suffix = core[:-2], "'s"
    head, apostrophe, rest = core.partition("'")
    if rest and head in _ELISIONS.get(language, ()):
        prefix, core = head + apostrophe, rest
    return Parts(prefix, core, suffix)


def names(tokens: Iterable[Token], language: str) -> frozenset[str]:
    """Return the cores of the words that are capitalised inside a sentence of these tokens."""
    return frozenset(
        parts(token.lookup, language).core
        for token in tokens
        if not token.sentence_start and _is_capitalised(token)
    )


def accepted_forms(words: Iterable[str]) -> frozenset[str]:
    """Return the lookups that the batch's own word list accepts.

    A list may hold compounds and phrases ("e-sport"); each of their words is accepted, because
    tokens are single words.
    """
    listed = list(words)
    inside = {token.lookup for word in listed for token in tokenise(word)}
    return frozenset(inside | {normalise(word) for word in listed})


def flagged(
    tokens: Sequence[Token],
    *,
    language: str,
    accepted: frozenset[str],
    is_known: Callable[[str], bool],
) -> list[Token]:
    """Return the tokens of one essay that are to be flagged, in the order of the text.

    Args:
        tokens: All tokens of the essay; names are recognised across them.
        language: ISO 639-1 code.
        accepted: What `accepted_forms` made of the batch's list.
        is_known: Whether a dictionary holds a lookup.
    """
    essay_names = names(tokens, language)

    def passes(token: Token) -> bool:
        core = parts(token.lookup, language).core
        if _is_capitalised(token) and core in essay_names:
            return True
        return any(word in accepted or is_known(word) for word in {token.lookup, core})

    return [token for token in tokens if not passes(token)]


def _is_capitalised(token: Token) -> bool:
    return token.text[:1].isupper()
