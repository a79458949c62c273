"""The reference speller against the real English dictionary.

A word two edits from the dictionary costs a third of a second, so there are few of them here.
"""

import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spellchecker import SpellChecker

from huleedu_dagster.spelling import reference
from huleedu_dagster.spelling.policy import parts
from huleedu_dagster.spelling.port import Correction, Speller
from huleedu_dagster.spelling.reference import ReferenceSpeller, match_case, rank

SPELLER: Speller = ReferenceSpeller()
ROOT = Path(__file__).resolve().parents[3]

TEXTS = st.lists(
    st.sampled_from(["Freind", "doesn’tt", "freind’s", "the", "Åsa", "2024", "www.skola.se"])
    | st.sampled_from(["NASA", "well-knwon", "😀", "“", ".", " ", "\n\n", "-", "—"])
    | st.text(max_size=8)
).map("".join)


def check(text: str, **options: frozenset[str]) -> tuple[Correction, ...]:
    return SPELLER.check(text, language="en", **options).corrections


def firsts(text: str) -> list[str]:
    return [correction.suggestions[0] for correction in check(text)]


@settings(deadline=None)
@given(TEXTS)
def test_offsets_index_the_text_and_rebuild_the_corrected_one(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # Real searches of arbitrary words would take minutes.
        patch.setattr(SpellChecker, "candidates", lambda _, word: {"it's"} if word > "d" else None)
        report = ReferenceSpeller().check(text, language="en")
    rebuilt = text
    for item in reversed(report.corrections):
        end = item.offset + item.length
        assert text[item.offset : end] == item.original
        assert item.applied == bool(item.suggestions)
        if item.applied:
            rebuilt = rebuilt[: item.offset] + item.suggestions[0] + rebuilt[end:]
    assert rebuilt == report.corrected_text
    offsets = [item.offset for item in report.corrections]
    assert offsets == sorted(set(offsets))


def test_a_text_is_corrected_and_all_else_is_untouched() -> None:
    text = "My  freind lives\tin Växjö\u00a0– becouse of me…\n\nThe end.\n"
    report = SPELLER.check(text, language="en")
    assert report.corrected_text == (
        "My  friend lives\tin Växjö\u00a0– because of me…\n\nThe end.\n"
    )
    assert report.words == 10
    assert [item.original for item in report.corrections] == ["freind", "becouse"]


@pytest.mark.parametrize("text", ["", " \n", "The dog is at www.exampel.se with NASA in 2024."])
def test_nothing_to_flag_leaves_the_text_alone(text: str) -> None:
    report = SPELLER.check(text, language="en")
    assert (report.corrected_text, report.corrections) == (text, ())


def test_the_case_of_the_original_comes_back() -> None:
    assert firsts("Freind. The freind.") == ["Friend", "friend"]


@pytest.mark.parametrize(
    ("original", "expected"),
    [("freind", "friend"), ("Freind", "Friend"), ("FREIND", "FRIEND"), ("fREind", "friend")],
)
def test_case_is_matched(original: str, expected: str) -> None:
    assert match_case(original, "friend") == expected


def test_the_apostrophe_of_the_original_stays() -> None:
    assert firsts("he doesn’tt and she doesn'tt") == ["doesn’t", "doesn't"]
    assert firsts("a freind’s dog, a freind's dog") == ["friend’s", "friend's"]


def test_a_sentence_start_with_a_capital_is_still_checked_but_a_name_is_not() -> None:
    text = "Lindqvist's dog saw Lindqvist. Becouse of that I wrote to Lindqvist."
    assert [item.original for item in check(text)] == ["Becouse"]


def test_accepted_words_are_not_flagged() -> None:
    assert check("a freind", accepted_words=frozenset({"freind"})) == ()


def test_no_candidate_is_a_flag_without_a_correction() -> None:
    report = SPELLER.check("the xqzwvkjq dog", language="en")
    assert report.corrections == (Correction(4, 8, "xqzwvkjq", (), applied=False),)
    assert report.corrected_text == "the xqzwvkjq dog"


@pytest.mark.parametrize("word", ["freind", "becouse", "wich", "alot", "goverment"])
def test_suggestions_are_the_best_of_the_librarys_candidates(word: str) -> None:
    library = SpellChecker(language="en", distance=2)
    candidates = library.candidates(word)
    assert candidates is not None
    [item] = check(f"the {word}")
    assert set(item.suggestions) <= candidates
    assert len(item.suggestions) == min(3, len(candidates))
    least = min(library[suggestion] for suggestion in item.suggestions)
    assert all(library[other] <= least for other in candidates - set(item.suggestions))
    best = library.correction(word)
    assert best is not None
    assert library[item.suggestions[0]] == library[best]


def test_rank_prefers_diacritics_then_counts_then_the_alphabet() -> None:
    counts = Counter({"came": 900, "café": 5, "cane": 50, "cape": 50, "care": 50})
    for candidates in (sorted(counts), sorted(counts, reverse=True)):
        assert rank("cafe", candidates, counts.__getitem__) == [
            "café",
            "came",
            "cane",
            "cape",
            "care",
        ]


def test_missing_diacritics_come_first_at_a_sentence_start_too() -> None:
    # The library itself turns "Cafe" into "came".
    library = SpellChecker(language="en")
    assert library.unknown(["touche"])
    assert firsts("Touche. It is touche.") == ["Touché", "touché"]


def test_a_word_is_searched_once_for_each_speller(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[str] = []
    search = SpellChecker.candidates

    def spy(self: SpellChecker, word: str) -> set[str] | None:
        searched.append(word)
        return search(self, word)

    monkeypatch.setattr(SpellChecker, "candidates", spy)
    speller = ReferenceSpeller()
    speller.check("freind, Freind and freind’s", language="en")
    again = speller.check("A freind.", language="en")
    assert searched == ["freind"]
    assert again.corrected_text == "A friend."
    ReferenceSpeller().check("A freind.", language="en")
    assert searched == ["freind", "freind"]


def test_languages_do_not_share_suggestions() -> None:
    speller = ReferenceSpeller()
    english = speller.check("the maisonn", language="en").corrections
    french = speller.check("l’homme et la maisonn", language="fr").corrections
    assert [item.original for item in french] == ["maisonn"]
    assert french[0].suggestions[0] == "maison"
    assert english[0].original == "maisonn"


def test_an_unknown_language_is_refused() -> None:
    assert "sv" not in SPELLER.languages
    with pytest.raises(ValueError, match="sv"):
        SPELLER.check("hej", language="sv")


def test_the_version_names_library_and_dictionary() -> None:
    assert re.fullmatch(
        r"reference/1 pyspellchecker \d+(\.\d+)+ dict [0-9a-f]{12}", SPELLER.version
    )
    started = time.perf_counter()
    assert SPELLER.version == ReferenceSpeller().version
    assert time.perf_counter() - started < 0.5


def test_parts_of_a_known_compound_survive() -> None:
    [item] = check("a well-knwon dog")
    assert (item.offset, item.original, item.suggestions[0]) == (7, "knwon", "known")
    assert parts("knwon", "en").core == "knwon"


def test_importing_the_speller_loads_no_dictionary_library() -> None:
    code = f"import sys, {reference.__name__}; sys.exit('spellchecker' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_answers_do_not_depend_on_the_hash_seed() -> None:
    # Each has three candidates or more with the same, highest count.
    code = (
        "from huleedu_dagster.spelling.reference import ReferenceSpeller as S;"
        "print(ascii(S().check('the garoteq hoppleq imbrueq miffq neviq', language='en')))"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1
    assert b"'the garote hopple imbrue miff nevi'" in answers.pop()
