"""Lists of misspellings and annotated texts, in the formats in which people share them."""

import csv
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.accuracy.mistakes import misspelled
from huleedu_dagster.spelling.tokens import normalise

SEED = "accuracy"
"""What the halves of a list and generated misspellings depend on."""

GENERATED = "generated:"
"""In place of a path: so many misspellings made for this purpose (`generated:500`)."""

_MARKUP = re.compile(
    r"\{(?P<ours>[^{}|\n]+)\|(?P<ours_right>[^{}|\n]+)\}"
    r"|<ERR\s+targ=(?P<targ>[^>]*)>(?P<err>.*?)</ERR>",
    re.IGNORECASE | re.DOTALL,
)
_COMMENT = ("#", ";", "//")


@dataclass(frozen=True, slots=True)
class Misspelling:
    """One line of a list.

    Attributes:
        wrong: As written, lower case.
        right: What may have been meant, lower case; most often one word.
    """

    wrong: str
    right: frozenset[str]


@dataclass(frozen=True, slots=True)
class WordList:
    """A list of misspellings, each wrong word once."""

    name: str
    words: tuple[Misspelling, ...]


@dataclass(frozen=True, slots=True)
class Slip:
    """A place of a text that is wrong, in characters, and what ought to stand there."""

    start: int
    end: int
    right: str


@dataclass(frozen=True, slots=True)
class Text:
    """A text as it was written, and where it is wrong; a clean one nowhere."""

    name: str
    text: str
    slips: tuple[Slip, ...]


def read_source(name: str, language: str) -> WordList | Text:
    """Read a list or a text, whichever it is.

    Args:
        name: A path, or `generated:` and a number.
        language: ISO 639-1 code, for what is generated.

    Raises:
        OSError: The file cannot be read.
        ValueError: The number of what is to be generated is none.
    """
    if name.startswith(GENERATED):
        size = int(name.removeprefix(GENERATED))
        return WordList(name, _once(misspelled(language, size, SEED)))
    path = Path(name)
    raw = path.read_bytes()
    # Older corpora are in Latin-1.
    text = raw.decode("utf-8-sig") if _is_utf8(raw) else raw.decode("latin-1")
    return read_text(path.name, text)


def read_text(name: str, text: str) -> WordList | Text:
    """Make a list or a text of what a file holds.

    A list has two words a line, or a right word after `$` and wrong ones below it; anything else is
    a text.
    """
    lines = [it.strip() for it in text.splitlines() if it.strip()]
    lines = [it for it in lines if not it.startswith(_COMMENT)]
    if _is_below_the_right_word(lines):
        return WordList(name, _once(_below_the_right_word(lines)))
    pairs = [_pair(it) for it in lines]
    if pairs and None not in pairs:
        return WordList(name, _once(it for it in pairs if it is not None))
    return annotated(name, _without_comments(text))


def annotated(name: str, marked: str) -> Text:
    """Take the markup out of a text: `{wrong|right}` or `<ERR targ=right> wrong </ERR>`."""
    pieces: list[str] = []
    slips: list[Slip] = []
    length = end = 0
    for found in _MARKUP.finditer(marked):
        before = marked[end : found.start()]
        wrong = (found["ours"] or found["err"] or "").strip()
        right = (found["ours_right"] or found["targ"] or "").strip().strip('"')
        length += len(before)
        slips.append(Slip(length, length + len(wrong), right))
        length += len(wrong)
        pieces += [before, wrong]
        end = found.end()
    return Text(name, "".join([*pieces, marked[end:]]), tuple(slips))


def half_of(words: Iterable[Misspelling], half: str) -> list[Misspelling]:
    """One half of a list, the same on every machine.

    All misspellings of a word are in the same half, so that nothing is measured on a word that
    weights were chosen for.

    Args:
        words: A list.
        half: `tune` or `test`; anything else is the whole list.
    """
    if half not in ("tune", "test"):
        return list(words)
    return [it for it in words if _is_tuned_on(min(it.right)) == (half == "tune")]


def _is_tuned_on(right: str) -> bool:
    return hashlib.sha256(f"{SEED} {right}".encode()).digest()[0] % 2 == 0


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _once(pairs: Iterable[tuple[str, Iterable[str]]]) -> tuple[Misspelling, ...]:
    found: dict[str, set[str]] = {}
    for wrong, right in pairs:
        found.setdefault(_plain(wrong), set()).update(map(_plain, right))
    # A list may call a word a misspelling of itself in another case.
    kept = ((wrong, right) for wrong, right in found.items() if wrong not in right)
    return tuple(Misspelling(wrong, frozenset(right)) for wrong, right in kept)


def _plain(word: str) -> str:
    return normalise(word.strip().replace("_", " "))


def _pair(line: str) -> tuple[str, list[str]] | None:
    """The wrong and the right words of a line of a list, or nothing."""
    if "->" in line:
        wrong, _, right = line.partition("->")
        return wrong, [re.sub(r"\(.*\)", "", it) for it in right.split(",")]
    if "\t" in line:
        cells = line.split("\t")
    elif "," in line and ", " not in line:
        cells = next(csv.reader([line]))
    else:
        cells = line.split()
    if len(cells) < 2 or (len(cells) > 2 and not cells[2].isdigit()):
        return None
    return cells[0], [cells[1]]


def _is_below_the_right_word(lines: Iterable[str]) -> bool:
    """Whether right words stand after `$`; a text may begin a line with a price."""
    some = list(lines)
    return some[:1] != [] and some[0].startswith("$") and all(len(it.split()) < 3 for it in some)


def _below_the_right_word(lines: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    right = ""
    for line in lines:
        if line.startswith("$"):
            right = line[1:]
        elif right not in ("", "?"):
            # Some lists say how often a misspelling was seen.
            yield line.split()[0], [right]


def _without_comments(text: str) -> str:
    return "\n".join(it for it in text.splitlines() if not it.startswith("# "))
