"""The ranker that weighs edits, against the real dictionaries and a small one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from huleedu_dagster.settings import Settings
from huleedu_dagster.spelling.candidates import CandidateSource
from huleedu_dagster.spelling.channel import ChannelRanker, sound_key
from huleedu_dagster.spelling.dictionaries import Dictionary
from huleedu_dagster.spelling.engine import IndexCandidates
from huleedu_dagster.spelling.engines import IndexEngine, ReferenceEngine
from huleedu_dagster.spelling.port import Confidence, Reason, SpellingOptions
from huleedu_dagster.spelling.rankers import CountRanker, Ranker
from huleedu_dagster.spelling.reference_candidates import ReferenceCandidates
from huleedu_dagster.spelling.speller import DictionarySpeller
from tests.unit.spelling.misspellings import COMMON

ROOT = Path(__file__).resolve().parents[3]
ENGINE = IndexEngine(Settings().spelling_cache)
ENGLISH = ENGINE.open("en")
RANKER: Ranker = ChannelRanker()


def suggestions(word: str, source: CandidateSource = ENGLISH) -> tuple[str, ...]:
    return RANKER.judgement(word, source).suggestions


def small(folder: Path, counts: dict[str, int]) -> CandidateSource:
    path = folder / "xx.json"
    path.write_text(json.dumps(counts), encoding="utf-8")
    return IndexCandidates.open(Dictionary.own("xx", path), folder)


def test_suggestions_are_words_of_the_dictionary_within_two_edits_and_at_most_three() -> None:
    for word in filter(lambda it: not ENGLISH.known(it), COMMON):
        found, near = suggestions(word), ENGLISH.within(word, 2)
        assert len(set(found)) == len(found) == min(3, len(near))
        assert set(found) <= near.keys()


def test_a_word_with_nothing_near_has_no_suggestion() -> None:
    found = RANKER.judgement("xqzwvkjq", ENGLISH)
    assert (found.suggestions, found.confidence, found.reason) == (
        (),
        Confidence.UNSURE,
        Reason.NO_CANDIDATE,
    )


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("afrade", "afraid"), ("photograf", "photograph"), ("rember", "remember")],
)
def test_two_likely_edits_go_before_one_that_is_unlikely(wrong: str, right: str) -> None:
    assert ENGLISH.within(wrong, 2)[right] == 2
    assert right not in ENGLISH.candidates(wrong)
    assert suggestions(wrong)[0] == right


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("tounge", "tongue"),
        ("monky", "monkey"),
        ("rember", "remember"),
        ("beleave", "believe"),
    ],
)
def test_what_people_do_goes_before_what_is_common(wrong: str, right: str) -> None:
    by_count = CountRanker().judgement(wrong, ENGLISH)
    assert by_count.suggestions[0] != right
    found = RANKER.judgement(wrong, ENGLISH)
    assert found.suggestions[0] == right
    assert found.confidence != Confidence.CERTAIN


def test_a_word_that_differs_in_diacritics_alone_goes_first_however_rare(tmp_path: Path) -> None:
    source = small(tmp_path, {"café": 1, "cage": 10**6, "cafes": 10**6})
    assert suggestions("cafe", source)[0] == "café"


def test_the_alphabet_settles_what_is_equal(tmp_path: Path) -> None:
    source = small(tmp_path, {"tobb": 5, "tabb": 5, "tubb": 5, "tebb": 1})
    assert suggestions("tibb", source) == ("tabb", "tobb", "tubb")


def test_a_word_with_a_letter_between_two_that_are_swapped_is_ranked_too(tmp_path: Path) -> None:
    assert suggestions("ca", small(tmp_path, {"abc": 5})) == ("abc",)


def test_it_is_never_surer_than_the_librarys_order() -> None:
    for word in filter(lambda it: not ENGLISH.known(it), COMMON):
        found, plain = RANKER.judgement(word, ENGLISH), CountRanker().judgement(word, ENGLISH)
        if found.confidence == Confidence.CERTAIN:
            assert plain.confidence == Confidence.CERTAIN
            assert found.suggestions[0] == plain.suggestions[0]


def test_the_answers_over_the_library_itself_are_the_same(tmp_path: Path) -> None:
    # A thousand times slower for the library's whole dictionary, so a part of it has to do.
    meant = ["friend", "weird", "because", "before", "bought", "brought", "thought", "there"]
    meant += ["their", "three", "where", "wear", "tongue", "lounge", "don't", "done", "café"]
    counts = {word: ENGLISH.count(word) + 1 for word in meant}
    index = small(tmp_path, counts)
    reference = ReferenceCandidates(Dictionary.own("xx", tmp_path / "xx.json"))
    for word in ["freind", "wierd", "becuase", "befour", "brougt", "thougt", "ther", "thier"]:
        assert RANKER.judgement(word, index) == RANKER.judgement(word, reference)
    for word in ["whear", "tounge", "dont", "cafe", "xqzwvkjq"]:
        assert RANKER.judgement(word, index) == RANKER.judgement(word, reference)


@pytest.mark.slow
def test_the_answers_over_the_librarys_own_dictionary_are_the_same() -> None:
    reference = ReferenceEngine().open("en")
    words = ["freind", "ther", "theif", "befour", "enuff", "tounge", "wich", "dont", "becos"]
    for word in [*words, "sord", "rember", "xqzwv"]:
        assert RANKER.judgement(word, ENGLISH) == RANKER.judgement(word, reference)


def test_the_answers_do_not_depend_on_the_process() -> None:
    code = (
        "from tests.unit.spelling.test_channel import COMMON, suggestions;"
        "print([suggestions(it) for it in COMMON[::10]])"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1


def test_the_speller_takes_it_in_place_of_its_own() -> None:
    speller = DictionarySpeller(ENGINE, ranker=RANKER)
    found = speller.check("A monky on her tounge.", SpellingOptions()).corrections
    assert [(it.original, it.suggestions[0]) for it in found] == [
        ("monky", "monkey"),
        ("tounge", "tongue"),
    ]
    assert speller.version != DictionarySpeller(ENGINE).version


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("fisical", "physical"),
        ("nock", "knock"),
        ("rong", "wrong"),
        ("sience", "science"),
        ("adress", "address"),
        ("nite", "night"),
        ("éléphant", "elefant"),
    ],
)
def test_words_that_sound_alike_have_one_key(left: str, right: str) -> None:
    assert sound_key(left) == sound_key(right)


def test_words_that_sound_different_have_different_keys() -> None:
    words = ["thief", "their", "tongue", "lounge", "monkey", "money", "castle", "case"]
    assert len({sound_key(it) for it in words}) == len(words)
