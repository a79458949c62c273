"""Tokens: where words are, what they are looked up as, and what is no word at all."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huleedu_dagster.spelling.tokens import Token, count_words, normalise, tokenise


def words(text: str) -> list[str]:
    return [token.text for token in tokenise(text)]


@given(st.text())
def test_every_token_stands_in_the_text_at_its_offset(text: str) -> None:
    end = 0
    for token in tokenise(text):
        assert token.offset >= end
        end = token.offset + len(token.text)
        assert text[token.offset : end] == token.text
        assert token.lookup == normalise(token.text)


def test_a_hyphen_ends_a_word_and_the_offsets_follow() -> None:
    assert list(tokenise("A well-known café.")) == [
        Token(0, "A", "a", True),
        Token(2, "well", "well", False),
        Token(7, "known", "known", False),
        Token(13, "café", "café", False),
    ]


@pytest.mark.parametrize("apostrophe", ["'", "\u2019", "\u2018", "\u00b4", "`"])
def test_any_apostrophe_between_letters_is_part_of_the_word(apostrophe: str) -> None:
    [token] = tokenise(f"Don{apostrophe}t")
    assert token.lookup == "don't"


def test_quotation_marks_around_a_word_are_not_part_of_it() -> None:
    assert words("He said ‘hello’ and 'bye' to the students' dog") == (
        ["He", "said", "hello", "and", "bye", "to", "the", "students", "dog"]
    )


def test_decomposed_letters_and_soft_hyphens_stay_in_the_word() -> None:
    [city, climate] = tokenise("Malmo\u0308 cli\u00admate")
    assert (city.text, city.lookup) == ("Malmo\u0308", "malmö")
    assert (climate.text, climate.lookup) == ("cli\u00admate", "climate")


@pytest.mark.parametrize(
    "skipped",
    [
        "https://www.skola.se/a?b=c#d",
        "www.exampel.org/wich",
        "skola.se",
        "http://exampel",
        "anna.lindqvist@elev.exampel.se",
        "2024",
        "3,14",
        "21st",
        "mp3",
        "NASA",
        "NASA's",
        "DVDs",
        "ÅÄÖ",
    ],
)
def test_addresses_numbers_and_acronyms_are_no_words(skipped: str) -> None:
    assert words(f"See {skipped}, please.") == ["See", "please"]


def test_a_missing_space_after_a_full_stop_is_not_an_address() -> None:
    assert words("I went home.It was late.") == ["I", "went", "home", "It", "was", "late"]


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("One two. Three four! Five? Six… Seven", ["One", "Three", "Five", "Six", "Seven"]),
        ("A title\n\nText goes on\nover lines", ["A", "Text"]),
        ("I met Mr. Berg and J. Ek. He ran.", ["I", "He"]),
        ("So do I. Then", ["So", "Then"]),
        ("She said: “Come here.” Then", ["She", "Come", "Then"]),
        ("See https://skola.se. After it", ["See", "After"]),
    ],
)
def test_where_sentences_start(text: str, starts: list[str]) -> None:
    assert [token.text for token in tokenise(text) if token.sentence_start] == starts


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        (" - — \n", 0),
        ("Don't use well-known words.", 4),
        ("Mail a@b.se in 2024 – now!", 5),
    ],
)
def test_words_are_counted_as_a_word_processor_does(text: str, count: int) -> None:
    assert count_words(text) == count


@pytest.mark.parametrize("unit", ["a.", "a@", "a-", "http://!", "a'", "a\u0308", "www.!"])
def test_hostile_text_takes_linear_time(unit: str) -> None:
    started = time.process_time()
    list(tokenise(unit * 50_000))
    assert time.process_time() - started < 20
