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
_MOST_DIFFERENCES = 2

OTHER_VARIETY = {"en-GB": "en-US", "en-US": "en-GB"}
"""The varieties whose spelling can be told from that of another, and that other."""


def respellings(word: str, variety: str, accepts: Callable[[str], bool]) -> list[str]:
    """The spellings of `word` that a variety accepts, in the order of the alphabet.

    Args:
        word: A word of the other variety, lower case.
        variety: One of `OTHER_VARIETY`.
        accepts: Whether a dictionary of the variety holds a word.
    """
    found: set[str] = set()
    forms = {word}
    for _ in range(_MOST_DIFFERENCES):
        forms = {new for form in forms for new in _rewritten(form, variety)}
        found |= {form for form in forms if form != word and accepts(form)}
        if found:
            break
    return sorted(found)


def _rewritten(word: str, variety: str) -> set[str]:
    found = set()
    for old, new in _REWRITINGS[variety]:
        start = word.find(old)
        while start != -1:
            found.add(word[:start] + new + word[start + len(old) :])
            start = word.find(old, start + 1)
    return found
