"""The committed sample class: made by its script, readable, and quick to check."""

import subprocess
import sys
from pathlib import Path

import pytest
from spellchecker import SpellChecker

from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.extraction.direct import DirectExtractor
from huleedu_dagster.spelling.policy import Rules, flagged
from huleedu_dagster.spelling.tokens import count_words, tokenise
from scripts.make_samples import BAD, GOOD, ROOT, SAMPLES, paragraphs

MOST_UNKNOWN_WORDS = 40
CHECKER = SpellChecker(language="en")


def unknown_words(student: str) -> set[str]:
    """What is flagged by the dictionary alone: no accept-list, no search."""
    rules = Rules(
        language="en",
        accepted=frozenset(),
        is_known=lambda word: not CHECKER.unknown([word]),
        near=lambda _: (),
        accepts=lambda _: False,
        one_variety=False,
        respell=lambda _: (),
    )
    found = flagged(list(tokenise("\n\n".join(paragraphs(student)))), rules)
    return {flag.parts.core for flag in found}


def test_the_script_makes_the_committed_bytes(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "make_samples.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, cwd=tmp_path)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_bytes() for path in SAMPLES.iterdir()}
    assert made == committed


def test_nine_essays_and_three_bad_files_between_them() -> None:
    names = sorted(GOOD | BAD)
    assert (len(GOOD), len(BAD)) == (9, 3)
    assert [name[:2] for name in names] == [f"{number:02}" for number in range(1, 13)]
    assert names[0] in GOOD
    assert names[-1] in GOOD


@pytest.mark.parametrize("student", [student for student, _ in GOOD.values()])
def test_every_essay_has_misspellings_and_a_fair_length(student: str) -> None:
    assert len(unknown_words(student)) >= 2
    assert 180 <= count_words("\n\n".join(paragraphs(student))) <= 310


def test_the_class_is_quick_to_check() -> None:
    distinct = set().union(*(unknown_words(student) for student, _ in GOOD.values()))
    assert len(distinct) <= MOST_UNKNOWN_WORDS, sorted(distinct)


@pytest.mark.parametrize(
    ("name", "encoding"), [("07-greta-holm.txt", "latin-1"), ("11-klara-sjoberg.txt", "utf-16")]
)
def test_swedish_letters_are_in_the_unusual_encodings(name: str, encoding: str) -> None:
    text = (SAMPLES / name).read_bytes().decode(encoding)
    student, _ = GOOD[name]
    assert text == "\n\n".join(paragraphs(student)) + "\n"
    assert set("åäöÅÖ") & set(text) >= {"ö"}
    with pytest.raises(UnicodeDecodeError):
        (SAMPLES / name).read_bytes().decode("utf-8")


@pytest.mark.parametrize("name", GOOD)
def test_every_essay_is_read_back_to_its_paragraphs(name: str) -> None:
    path = SAMPLES / name
    student, _ = GOOD[name]
    extraction = DirectExtractor().extract(path.read_bytes(), path.suffix[1:])
    assert extraction.text == "\n\n".join(paragraphs(student))
    assert extraction.warnings == ()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("03-cecilia-strand.txt", Code.EMPTY_CONTENT),
        ("06-fredrik-aberg.docx", Code.CORRUPTED_FILE),
        ("10-johan-ek.docx", Code.UNSUPPORTED_FORMAT),
    ],
)
def test_every_bad_file_gets_its_code(name: str, code: Code) -> None:
    path = SAMPLES / name
    assert DirectExtractor().extract(path.read_bytes(), path.suffix[1:]).code == code
