"""What is not flagged although no dictionary holds it.

Most false flags in a class's essays are names. The rules here take those out and cost few real
misspellings. A word that several essays share is deliberately not taken for right: classes share
misspellings. What a teacher wants accepted comes as the batch's own list.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from huleedu_dagster.spelling.tokens import Token, composed, normalise, tokenise

REVISION = 3
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
_POSSESSIVE_S = frozenset({"en", "nl"})
# Words that always have a capital and are often misspelled. Short ones are left out: "May" and
# "April" are a letter away from names.
_ALWAYS_CAPITAL = {
    "en": frozenset(
        str.split(
            "monday tuesday wednesday thursday friday saturday january february september october "
            "november december christmas england english britain british europe european french "
            "spanish swedish america american"
        )
    )
}

_ELISIONS = {
    "fr": frozenset(str.split("l d j m t s n c qu jusqu lorsqu puisqu quoiqu presqu entr")),
    "it": frozenset(str.split("l d c un all dall dell nell sull coll quest quell bell sant")),
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
        language: ISO 639-1 code; French and Italian have elided prefixes, English and Dutch the
            possessive.
    """
    core, prefix, suffix = lookup, "", ""
    if language in _POSSESSIVE_S and core.endswith("'s") and len(core) > 2:
        core, suffix = core[:-2], "'s"
    head, apostrophe, rest = core.partition("'")
    if rest and head in _ELISIONS.get(language, ()):
        prefix, core = head + apostrophe, rest
    return Parts(prefix, core, suffix)


def names(tokens: Iterable[Token], language: str) -> frozenset[str]:
    """Return the cores of the words that are capitalised inside a sentence of these tokens."""
    inside = (it for it in tokens if not it.sentence_start and not it.text.islower())
    found = ((it, parts(it.lookup, language)) for it in inside)
    return frozenset(word.core for token, word in found if written_core(token, word)[:1].isupper())


def written_core(token: Token, word: Parts) -> str:
    """The core of a token as it is written, capitals and all."""
    written = composed(token.text)
    return written[len(word.prefix) : len(written) - len(word.suffix)]


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
        near: The words of the dictionary at one edit from a lookup.
        accepts: Whether an accept-list holds a word as it is written.
        one_variety: Whether the spelling of one variety alone is right.
        respell: If so, the right spellings of a lookup that belongs to another variety; nothing
            for any other word.
        layers: The layers that are in force.
    """

    language: str
    accepted: frozenset[str]
    is_known: Callable[[str], bool]
    near: Callable[[str], Collection[str]]
    accepts: Callable[[str], bool]
    one_variety: bool
    respell: Callable[[str], Sequence[str]]
    layers: frozenset[Layer] = ALL_LAYERS


@dataclass(frozen=True, slots=True)
class Flag:
    """A word to flag.

    Attributes:
        parts: The word taken apart; the core is what suggestions are for.
        may_be_name: Whether it has a capital that a name would have, and is not written without
            one elsewhere in the essay.
        respellings: The right spellings of the core if it belongs to another variety.
    """

    token: Token
    parts: Parts
    may_be_name: bool
    respellings: tuple[str, ...] = ()


def flagged(tokens: Sequence[Token], rules: Rules) -> Iterator[Flag]:
    """Yield what is to be flagged in one essay, in the order of the text.

    Args:
        tokens: All tokens of the essay; names are recognised across them.
        rules: The rules of its batch.
    """
    seen_names = names(tokens, rules.language) if Layer.NAMES in rules.layers else frozenset()
    in_lower_case = {token.text for token in tokens if token.text.islower()}
    one_variety = Layer.VARIETIES in rules.layers and rules.one_variety
    for token in tokens:
        # Nearly every word ends here.
        if not one_variety and rules.is_known(token.lookup):
            continue
        word = _taken_apart(token, rules)
        forms = {token.lookup, word.core}
        if not forms.isdisjoint(rules.accepted):
            continue
        listed = _is_listed(token, word, rules)
        capital = written_core(token, word)[:1].isupper()
        other = tuple(rules.respell(word.core)) if one_variety and not listed else ()
        if other:
            yield Flag(token, word, capital and not token.sentence_start, other)
        elif not (
            listed
            or any(map(rules.is_known, forms))
            or (capital and _is_name(word, seen_names, rules))
        ):
            yield Flag(token, word, capital and token.lookup not in in_lower_case)


def _taken_apart(token: Token, rules: Rules) -> Parts:
    if Layer.POSSESSIVES not in rules.layers:
        return Parts("", token.lookup, "")
    return parts(token.lookup, rules.language)


def _is_listed(token: Token, word: Parts, rules: Rules) -> bool:
    if Layer.ACCEPT_LISTS not in rules.layers:
        return False
    return any(map(rules.accepts, {composed(token.text), written_core(token, word)}))


def _is_name(word: Parts, seen: frozenset[str], rules: Rules) -> bool:
    if word.core not in seen:
        return False
    if rules.language in _CAPITAL_NOUNS:
        # What resembles a word is rather that word misspelled.
        return not rules.near(word.core)
    always = _ALWAYS_CAPITAL.get(rules.language)
    return not always or always.isdisjoint(rules.near(word.core))
