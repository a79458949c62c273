"""British and American spellings of the same words, by the rules in which they differ.

A pair of endings or stems alone proves nothing ("four" is no British "for"), so every rewriting
counts only if a dictionary of the variety asked for accepts it.
"""

from collections.abc import Callable

_BRITISH_AMERICAN = (
    ("our", "or"),
    ("ise", "ize"),
    ("isa", "iza"),
    ("isi", "izi"),
    ("yse", "yze"),
    ("ysi", "yzi"),
    ("tre", "ter"),
    ("bre", "ber"),
    ("ogue", "og"),
    ("ence", "ense"),
    ("ll", "l"),
    ("l", "ll"),
    ("ae", "e"),
    ("oe", "e"),
    ("grey", "gray"),
    ("tyre", "tire"),
    ("programme", "program"),
    ("cheque", "check"),
    ("plough", "plow"),
    ("mould", "mold"),
    ("moust", "must"),
    ("pyj", "paj"),
    ("ium", "um"),
    ("sceptic", "skeptic"),
    ("jewellery", "jewelry"),
    ("ageing", "aging"),
    ("gement", "gment"),
    ("mum", "mom"),
    ("xion", "ction"),
    ("cosy", "cozy"),
)
_REWRITINGS = {
    "en-US": _BRITISH_AMERICAN,
    "en-GB": tuple((american, british) for british, american in _BRITISH_AMERICAN),
}
# Rules that fit many pairs of words that have nothing to do with each other.
_LOOSE = frozenset({("ll", "l"), ("l", "ll"), ("ae", "e"), ("e", "ae"), ("oe", "e"), ("e", "oe")})
_MOST_DIFFERENCES = 2

OTHER_VARIETY = {"en-GB": "en-US", "en-US": "en-GB"}
"""The varieties whose spelling can be told from that of another, and that other."""


def respellings(
    word: str,
    variety: str,
    accepts: Callable[[str], bool],
    other_accepts: Callable[[str], bool],
) -> list[str]:
    """The spellings of `word` that a variety accepts, in the order of the alphabet.

    Args:
        word: A word of the other variety, lower case.
        variety: One of `OTHER_VARIETY`.
        accepts: Whether a dictionary of the variety holds a word.
        other_accepts: Whether one of the other variety does.
    """
    found: set[str] = set()
    forms = {word: False}
    for _ in range(_MOST_DIFFERENCES):
        forms = {
            new: loose or was_loose
            for form, was_loose in forms.items()
            for new, loose in _rewritten(form, variety)
        }
        # What the other variety has as well is another word: "mil" is no American "mill".
        found |= {
            form
            for form, loose in forms.items()
            if form != word and accepts(form) and not (loose and other_accepts(form))
        }
        if found:
            break
    return sorted(found)


def _rewritten(word: str, variety: str) -> set[tuple[str, bool]]:
    """Every rewriting of the word, and whether by one of the loose rules."""
    found = set()
    for old, new in _REWRITINGS[variety]:
        start = word.find(old)
        while start != -1:
            form = word[:start] + new + word[start + len(old) :]
            found.add((form, (old, new) in _LOOSE))
            start = word.find(old, start + 1)
    return found
