"""The index against pyspellchecker's own dictionaries: the same answers, word by word.

The library takes a third of a second for a word, so most words are held against a yardstick
that compares with every word of the dictionary, and the yardstick against the library.
"""

import random
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from spellchecker import SpellChecker

from huleedu_dagster.spelling.candidates import CandidateSource
from huleedu_dagster.spelling.dictionaries import Dictionary, installed_languages
from huleedu_dagster.spelling.engine import IndexCandidates
from huleedu_dagster.spelling.reference_candidates import ReferenceCandidates
from tests.unit.spelling.misspellings import COMMON
from tests.unit.spelling.samples import sample
from tests.unit.spelling.yardstick import Yardstick

LANGUAGES = ["en", "de", "fr", "es"]


ROOT = Path(__file__).resolve().parents[3]
MEMORY = """
import random, re, sys
from pathlib import Path
from huleedu_dagster.spelling.dictionaries import Dictionary
from huleedu_dagster.spelling.engine import IndexCandidates
index = IndexCandidates.open(Dictionary.installed("en"), Path(sys.argv[1]))
letters = random.Random(1)
for _ in range(3000):
    word = "".join(letters.choices("aeiourstnldm", k=8))
    index.known(word), index.candidates(word)
print(re.search(r"RssAnon:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@cache
def yardstick(language: str) -> Yardstick:
    return Yardstick(Dictionary.installed(language))


@cache
def reference(language: str) -> ReferenceCandidates:
    return ReferenceCandidates(Dictionary.installed(language))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("indexes")


def index(language: str, folder: Path) -> IndexCandidates:
    return IndexCandidates.open(Dictionary.installed(language), folder)


def assert_equal_to_yardstick(language: str, folder: Path, size: int) -> None:
    words, engine = sample(yardstick(language), language, size), index(language, folder)
    expected = yardstick(language).candidates(words)
    differences = [
        (word, wanted ^ engine.candidates(word))
        for word, wanted in zip(words, expected, strict=True)
        if wanted != engine.candidates(word)
    ]
    assert differences == []


def assert_equal_to_library(language: str, folder: Path, words: list[str]) -> None:
    sources: list[CandidateSource] = [reference(language), index(language, folder)]
    for word in words:
        found = [it.candidates(word) for it in sources]
        assert found == [*yardstick(language).candidates([word])] * 2, word
        assert len({it.known(word) for it in sources}) == 1, word
        for candidate in sorted(found[0])[:5]:
            assert len({it.count(candidate) for it in sources}) == 1, candidate


@pytest.mark.parametrize("language", LANGUAGES)
def test_candidates_are_those_of_a_search_through_the_whole_dictionary(
    language: str, folder: Path
) -> None:
    assert_equal_to_yardstick(language, folder, 40)


@pytest.mark.parametrize("language", LANGUAGES)
def test_candidates_are_those_of_the_library(language: str, folder: Path) -> None:
    # The library's time grows with the square of a word's length.
    words = [it for it in sample(yardstick(language), language, 12) if len(it) < 9]
    assert_equal_to_library(language, folder, random.Random(language).sample(words, 24))


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_candidates_of_thousands_of_words_are_those_of_a_search_through_the_whole_dictionary(
    language: str, folder: Path
) -> None:
    assert_equal_to_yardstick(language, folder, 2200)


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_candidates_of_hundreds_of_words_are_those_of_the_library(
    language: str, folder: Path
) -> None:
    words = [it for it in sample(yardstick(language), language, 150) if len(it) < 15]
    assert_equal_to_library(language, folder, random.Random(0).sample(words, 75))


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_words_within_two_edits_come_with_their_distance(language: str, folder: Path) -> None:
    words = sample(yardstick(language), language, 4)[-10:]
    engine = index(language, folder)
    for word, wanted in zip(words, yardstick(language).within(words), strict=True):
        assert engine.within(word, 2) == wanted
        assert engine.within(word, 1) == {it: n for it, n in wanted.items() if n < 2}


@pytest.mark.parametrize("language", ["nl", "eu"])
def test_words_with_numbers_are_searched_as_the_library_does(language: str, folder: Path) -> None:
    # Dutch has "a3" and "mp3", Basque "c3po". The library does not go to two edits by way of a
    # number: from "3x" it comes to "a3" neither by deleting the "x" first nor otherwise.
    engine, library = index(language, folder), reference(language)
    for word in ["3x", "33x", "4é", "é3", "+in", "😀3"]:
        assert engine.candidates(word) == library.candidates(word), word


@pytest.mark.slow
@pytest.mark.parametrize("language", sorted(installed_languages() - {*LANGUAGES, "nl", "eu"}))
def test_the_other_languages_are_searched_as_the_library_does(language: str, folder: Path) -> None:
    words = [it for it in sample(yardstick(language), language, 30) if len(it) < 9]
    assert_equal_to_library(language, folder, random.Random(language).sample(words, 15))


def test_the_languages_are_those_of_the_library() -> None:
    assert installed_languages() == set(SpellChecker.languages())
    with pytest.raises(ValueError, match="sv"):
        Dictionary.installed("sv")


def test_a_process_holds_little_memory_beside_the_shared_index(folder: Path) -> None:
    index("en", folder)
    found = subprocess.run(
        [sys.executable, "-c", MEMORY, str(folder)], check=True, cwd=ROOT, stdout=subprocess.PIPE
    )
    assert int(found.stdout) < 60_000


def test_common_misspellings_are_not_in_the_dictionary(folder: Path) -> None:
    # They would test nothing otherwise; a few, such as "calender", are words too.
    engine = index("en", folder)
    assert sum(not engine.known(word) for word in COMMON) >= 150


def test_the_version_names_engine_library_and_dictionary(folder: Path) -> None:
    dictionary = Dictionary.installed("es")
    about = f"{dictionary.source} dict {dictionary.sha256[:12]}"
    assert about.startswith("pyspellchecker 0.")
    assert index("es", folder).version == f"index/2 {about}"
    assert reference("es").version == f"reference/2 {about}"
