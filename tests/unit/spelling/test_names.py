"""What a speller must not do to names, and what it does for words that have a capital."""

import pytest

from huleedu_dagster.settings import Settings
from huleedu_dagster.spelling.engines import IndexEngine
from huleedu_dagster.spelling.port import Confidence, Correction, Reason, SpellingOptions
from huleedu_dagster.spelling.speller import DictionarySpeller

SPELLER = DictionarySpeller(IndexEngine(Settings().spelling_cache))


def check(text: str, language: str = "en", variety: str = "") -> tuple[Correction, ...]:
    return SPELLER.check(text, SpellingOptions(language=language, variety=variety)).corrections


def corrected(text: str, language: str = "en", variety: str = "") -> str:
    return SPELLER.check(text, SpellingOptions(language=language, variety=variety)).corrected_text


@pytest.mark.parametrize("name", ["Jiahao", "Minjun", "Hermione", "Eoin", "Treharne", "Kahoot"])
def test_a_name_that_is_only_at_the_start_of_a_sentence_is_never_replaced(name: str) -> None:
    assert corrected(f"{name} is my friend.") == f"{name} is my friend."


@pytest.mark.parametrize(("language", "name"), [("fr", "Ngozi"), ("de", "Hodan")])
def test_nor_in_another_language(language: str, name: str) -> None:
    assert corrected(f"{name}.", language) == f"{name}."


def test_a_misspelling_at_the_start_of_a_sentence_is_told_as_likely() -> None:
    [item] = check("Becouse of that.")
    assert (item.suggestions, item.confidence) == (("Because",), Confidence.LIKELY)
    assert (item.reason, item.applied) == (Reason.MAY_BE_A_NAME, False)


def test_it_is_certain_if_it_is_written_without_its_capital_too() -> None:
    assert corrected("Becouse of that, becouse of this.") == "Because of that, because of this."


def test_german_names_inside_a_sentence_are_never_replaced_and_nouns_are_told() -> None:
    text = "Ich spiele mit Finn, Hodan und Murat. Isa heißt Cem. Das ist ein Fenstr."
    assert corrected(text, "de") == text
    last = check(text, "de")[-1]
    assert (last.original, last.suggestions[0], last.reason) == (
        "Fenstr",
        "Fenster",
        Reason.MAY_BE_A_NAME,
    )


@pytest.mark.parametrize(
    ("variety", "text"),
    [
        ("en-GB", "I saw Ted in Manila, at Pearl Harbor and the World Trade Center."),
        ("en-US", "I saw Al Pacino and Lilly with Earl Grey and the Labour Party."),
        ("en-GB", "He said hes tired and shes late. I walked a mil."),
        ("en-US", "My dell is al there."),
    ],
)
def test_a_variety_replaces_no_name_and_no_other_word(variety: str, text: str) -> None:
    assert corrected(text, variety=variety) == text


def test_days_and_languages_are_no_names() -> None:
    found = check("We met on Saterday and spoke Engish with my friend Lindqvist.")
    assert [(it.original, it.suggestions[0]) for it in found] == [
        ("Saterday", "Saturday"),
        ("Engish", "English"),
    ]
    assert not any(it.applied for it in found)


def test_an_elided_name_is_a_name() -> None:
    assert check("D'Artagnan et d'Artagnan.", "fr") == ()


def test_the_capital_behind_an_article_stays() -> None:
    [item] = check("Bonjour. L'Afriqque est grande.", "fr")
    assert item.suggestions[0] == "L'Afrique"


def test_what_always_has_a_capital_gets_it() -> None:
    found = {it.original: it.suggestions[0] for it in check("in febuary we spoke engish")}
    assert found == {"febuary": "February", "engish": "English"}


def test_items_of_a_list_and_verse_are_checked() -> None:
    found = check("My shopping:\n- Tomatos\n- Potatos\n\nA poem\nTeh sun is up")
    assert [it.original for it in found] == ["Tomatos", "Potatos", "Teh"]
