"""A generated class: the same files for the same seed, in four formats."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.factory.documents import docx_bytes, odt_bytes, pdf_bytes, txt_bytes

_VOCABULARY = (
    "the a every our their old new small grey quiet harbour ship museum river winter summer "
    "teacher friend letter story morning window street bridge garden music child sailor market "
    "remembers carries watches opens follows answers builds forgets mends paints slowly often "
    "together again before after under behind because while when and but so of on in with"
)
_BUILDERS: dict[str, Callable[[Sequence[str]], bytes]] = {
    "docx": docx_bytes,
    "odt": odt_bytes,
    "pdf": pdf_bytes,
    "txt": txt_bytes,
}
_PARAGRAPHS = 5
_WORDS_OF_A_PARAGRAPH = 55


def write_class(folder: Path, count: int, *, seed: int = 20261122) -> None:
    """Write `count` essays of about 275 words, one folder for each student."""
    random_words = random.Random(seed)
    for number in range(1, count + 1):
        suffix = list(_BUILDERS)[(number - 1) % len(_BUILDERS)]
        paragraphs = [_paragraph(random_words) for _ in range(_PARAGRAPHS)]
        path = folder / f"student-{number:02}" / f"essay.{suffix}"
        path.parent.mkdir(parents=True)
        path.write_bytes(_BUILDERS[suffix](paragraphs))


def _paragraph(random_words: random.Random) -> str:
    words = random_words.choices(_VOCABULARY.split(), k=_WORDS_OF_A_PARAGRAPH)
    sentences = [words[start : start + 11] for start in range(0, len(words), 11)]
    return " ".join(f"{' '.join(it).capitalize()}." for it in sentences)
