"""What is not flagged although no dictionary holds it.

Most false flags in a class's essays are names. The rules here take those out and cost few real
misspellings. A word that several essays share is deliberately not taken for right: classes share
misspellings. What a teacher wants accepted comes as the batch's own list.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from huleedu_dagster.spelling.tokens import Token, composed, normalise, tokenise

REVISION = 2
"""Raised with every change of what is flagged or suggested."""


class Layer(StrEnum):
    """The layers of the policy; the accuracy harness measures the effect of each."""

    NAMES = "names"
    POSSESSIVES = "possessives"
    VARIETIES = "varieties"
    ACCEPT_LISTS = "accept_lists"


ALL_LAYERS = frozenset(Layer)
"""All layers: the policy of the product."""

_CAPITAL_NOUNS = frozenset({"de"})

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


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides whether a word is flagged.

    Attributes:
        language: ISO 639-1 code.
        accepted: What `accepted_forms` made of the word lists.
        is_known: Whether the dictionary holds a lookup.
        is_near: Whether the dictionary holds a word at one edit from a lookup.
        accepts: Whether an accept-list holds a word as it is written.
        one_variety: Whether the spelling of one variety alone is right.
        respell: If so, the right spellings of a lookup that belongs to another variety; nothing
            for any other word.
        layers: The layers that are in force.
    """

    language: str
    accepted: frozenset[str]
    is_known: Callable[[str], bool]
    is_near: Callable[[str], bool]
    accepts: Callable[[str], bool]
    one_variety: bool
    respell: Callable[[str], Sequence[str]]
    layers: frozenset[Layer] = ALL_LAYERS


@dataclass(frozen=True, slots=True)
class Flag:
    """A word to flag.

    Attributes:
        parts: The word taken apart; the core is what suggestions are for.
        respellings: The right spellings of the core if it belongs to another variety.
    """

    token: Token
    parts: Parts
    respellings: tuple[str, ...] = ()


def flagged(tokens: Sequence[Token], rules: Rules) -> Iterator[Flag]:
    """Yield what is to be flagged in one essay, in the order of the text.

    Args:
        tokens: All tokens of the essay; names are recognised across them.
        rules: The rules of its batch.
    """
    seen_names = names(tokens, rules.language) if Layer.NAMES in rules.layers else frozenset()
    one_variety = Layer.VARIETIES in rules.layers and rules.one_variety
    for token in tokens:
        # Nearly every word ends here.
        if not one_variety and rules.is_known(token.lookup):
            continue
        word = _taken_apart(token, rules)
        forms = {token.lookup, word.core}
        if not forms.isdisjoint(rules.accepted):
            continue
        other = tuple(rules.respell(word.core)) if one_variety else ()
        if other:
            yield Flag(token, word, other)
        elif not (
            any(map(rules.is_known, forms))
            or _is_listed(token, word, rules)
            or _is_name(token, word, seen_names, rules)
        ):
            yield Flag(token, word)


def _taken_apart(token: Token, rules: Rules) -> Parts:
    if Layer.POSSESSIVES not in rules.layers:
        return Parts("", token.lookup, "")
    return parts(token.lookup, rules.language)


def _is_listed(token: Token, word: Parts, rules: Rules) -> bool:
    if Layer.ACCEPT_LISTS not in rules.layers:
        return False
    written = composed(token.text)
    core = written[len(word.prefix) : len(written) - len(word.suffix)]
    return any(map(rules.accepts, {written, core}))


def _is_name(token: Token, word: Parts, seen: frozenset[str], rules: Rules) -> bool:
    if not _is_capitalised(token) or word.core not in seen:
        return False
    # Where every noun has a capital, what resembles a word is rather that word misspelled.
    return rules.language not in _CAPITAL_NOUNS or not rules.is_near(word.core)


def _is_capitalised(token: Token) -> bool:
    return token.text[:1].isupper()
